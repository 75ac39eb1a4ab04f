"""Both sets have a command; whatever happens to their bytes, they are read or refused."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bundles.common.datalist.images import ImageFolder
from bundles.common.datalist.problems import DatalistError
from bundles.wrist_fracture.scripts.datasets import grazpedwri, mura
from bundles.wrist_fracture.scripts.datasets.__main__ import app
from bundles.wrist_fracture.scripts.datasets.voc import encode
from tests.unit.bundles.common.datalist.sets import datalist, picture
from tests.unit.bundles.wrist_fracture.datasets.test_grazpedwri import HEADER, ROW, STEM

STUDY = "M/train/XR_WRIST/patient00010/study1_positive/"
FILES = {
    "dataset.csv": HEADER + ROW,
    f"{STEM}.txt": "3 0.5 0.5 0.2 0.1\n8 0.1 0.1 0.1 0.1\n",
    f"{STEM}.xml": encode(STEM, [(8, (5, 10, 15, 30)), (3, (40, 90, 60, 110))]),
    "paths.csv": f"{STUDY}image1.png\n",
    "studies.csv": f"{STUDY},1\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    picture(folder / "images" / f"{STEM}.png", 100, 200)
    picture(folder / "images" / STUDY / "image1.png", 100, 200)
    write(folder)
    return folder


def write(folder: Path) -> None:
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")


def test_the_commands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder)
    monkeypatch.chdir(folder)
    common = ["--images", "images", "--out", "out/datalist.json"]
    for arguments, images in (
        (["grazpedwri", "--csv", "dataset.csv", "--yolo", ".", "--voc", "."], [f"{STEM}.png"]),
        (["mura", "--paths", "paths.csv", "--studies", "studies.csv"], [f"{STUDY}image1.png"]),
    ):
        result = CliRunner().invoke(app, [*arguments, *common])
        assert result.exit_code == 0, result.output
        content = json.loads((folder / "out" / "datalist.json").read_text(encoding="utf-8"))
        found = [item["image"] for split in ("training", "validation", "test") for item in content[split]]
        assert found == images
    result = CliRunner().invoke(app, ["grazpedwri", "--csv", "paths.csv", *common])
    assert (result.exit_code, "paths.csv:1: no column 'filestem'" in result.output) == (1, True)


@pytest.mark.parametrize("name", FILES)
@given(data=st.data())
def test_read_or_refused(name: str, folder: Path, data: st.DataObject) -> None:
    write(folder)
    raw = FILES[name].encode()
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, min(len(raw), start + 12)))
    piece = data.draw(st.one_of(st.binary(max_size=4), st.sampled_from([b",", b"-", b"9" * 30, b'"', b"1e999", b"\n"])))
    (folder / name).write_bytes(raw[:start] + piece + raw[end:])
    images = ImageFolder(folder / "images")
    try:
        if name in ("paths.csv", "studies.csv"):
            tables = [folder / "paths.csv"], [folder / "studies.csv"]
            datalist(lambda problems: mura.read(*tables, images, problems, own_split=True))
        else:
            labels = grazpedwri.LabelFolders.below(folder, folder)
            datalist(lambda problems: grazpedwri.read(folder / "dataset.csv", images, labels, problems))
    except DatalistError as error:
        assert str(error)
