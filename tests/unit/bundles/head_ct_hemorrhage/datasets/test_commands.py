"""Every set has a command; its datalist is read by the bundle; whatever happens to the bytes, read or refused."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from monai.transforms import LoadImaged
from typer.testing import CliRunner

from bundles.common.datalist.images import NIFTI, ImageFolder
from bundles.common.datalist.problems import DatalistError
from bundles.common.monai_reader import SeriesReader
from bundles.head_ct_hemorrhage.scripts.datasets import cq500, ct_ich, rsna
from bundles.head_ct_hemorrhage.scripts.datasets.__main__ import app
from bundles.head_ct_hemorrhage.scripts.stack import volume_of
from bundles.head_ct_hemorrhage.scripts.training import load_cases
from tests.unit.bundles.common.datalist.sets import datalist
from tests.unit.bundles.common.datalist.volumes_in import marked, nifti, stack
from tests.unit.bundles.head_ct_hemorrhage.datasets import test_cq500, test_ct_ich, test_rsna

FILES = {
    "rsna.csv": "ID,Label\n" + test_rsna.rows("ID_00000000a"),
    "reads.csv": f"{test_cq500.HEADER}\n{test_cq500.ROWS[0]}\n",
    "labels.csv": "\n".join([test_ct_ich.HEADER, *test_ct_ich.ROWS[:4], ""]),
}
SETS = {
    "rsna": ["rsna", "--csv", "rsna.csv", "--images", "rsna"],
    "cq500": ["cq500", "--csv", "reads.csv", "--images", "cq500", "--series", "thin"],
    "ct-ich": ["ct-ich", "--csv", "labels.csv", "--images", "ct_scans", "--masks", "masks"],
    "bhsd": ["bhsd", "--images", "ct_scans", "--masks", "bhsd"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    stack(folder / "rsna", ["ID_00000000a.dcm"], "1.7.1", PatientID="ID_aaaaaaaa")
    test_cq500.make(folder / "cq500", 0, "CT Plain", "1.5.2")
    nifti(folder / "ct_scans" / "049.nii", 40)
    nifti(folder / "masks" / "049.nii", marked((1, 2, 1, 255)))
    nifti(folder / "bhsd" / "049.nii", marked((1, 2, 1, 5)))
    write(folder)
    return folder


def write(folder: Path) -> None:
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", SETS)
def test_the_bundle_reads_what_the_command_writes(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder)
    monkeypatch.chdir(folder)
    out = f"out/{name}/datalist.json"
    result = CliRunner().invoke(app, [*SETS[name], "--out", out, "--shares", "1,0,0"])
    assert result.exit_code == 0, result.output
    (case,) = load_cases(out, "training")
    images = case["image"] if isinstance(case["image"], list) else [case["image"]]
    assert all(Path(image).is_file() and Path(image).is_absolute() for image in images)
    assert ("mask" in case, name in {"ct-ich", "bhsd"}) in {(True, True), (False, False)}
    if "mask" in case:
        assert Path(case["mask"]) == folder / "out" / name / "made" / "049_mask.nii.gz"
        assert Path(case["mask"]).is_file()
    item = json.loads(Path(out).read_text(encoding="utf-8"))["training"][0]
    assert not Path(item["image"][0] if isinstance(item["image"], list) else item["image"]).is_absolute()
    assert case["label"] == 1
    loaded = LoadImaged("image", reader=SeriesReader, image_only=False)(case)
    assert len(case.get("slices", range(8))) == volume_of(loaded["image"]).hu.shape[0]


def test_the_wrong_table_and_a_place_for_masks_among_the_images(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder)
    monkeypatch.chdir(folder)
    wrong = CliRunner().invoke(app, ["rsna", "--csv", "reads.csv", "--images", "rsna", "--out", "out/d.json"])
    assert (wrong.exit_code, "reads.csv:1: no column 'ID'" in wrong.output) == (1, True)
    inside = CliRunner().invoke(app, [*SETS["bhsd"], "--out", "ct_scans/d.json"])
    assert (inside.exit_code, "is below the images" in inside.output) == (2, True)


@pytest.mark.parametrize("name", FILES)
@given(data=st.data())
def test_read_or_refused(name: str, folder: Path, data: st.DataObject) -> None:
    write(folder)
    raw = FILES[name].encode()
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, min(len(raw), start + 12)))
    piece = data.draw(st.one_of(st.binary(max_size=4), st.sampled_from([b",", b"-", b"9" * 30, b'"', b"1e999", b"\n"])))
    (folder / name).write_bytes(raw[:start] + piece + raw[end:])
    leave_out = data.draw(st.booleans())
    try:
        if name == "rsna.csv":
            images = ImageFolder(folder / "rsna")
            datalist(lambda problems: rsna.read(folder / name, images, problems), leave_out=leave_out)
        elif name == "reads.csv":
            images = ImageFolder(folder / "cq500")
            datalist(lambda problems: cq500.read(folder / name, images, problems), leave_out=leave_out)
        else:
            images, masks = ImageFolder(folder / "ct_scans", NIFTI), ImageFolder(folder / "masks", NIFTI)
            datalist(
                lambda problems: ct_ich.read(folder / name, images, masks, folder / "made", problems),
                leave_out=leave_out,
            )
    except DatalistError as error:
        assert str(error)
