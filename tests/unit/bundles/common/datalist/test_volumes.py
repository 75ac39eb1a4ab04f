"""Volumes of data sets: NIfTI headers and labels, series from single slices, and how a datalist names them."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import typer

from bundles.common.datalist.assemble import Choices, assemble
from bundles.common.datalist.command import made_folder
from bundles.common.datalist.images import ANY, ImageFolder
from bundles.common.datalist.problems import Damaged, Place, Problems
from bundles.common.datalist.records import Reading, VolumeRecord
from bundles.common.datalist.series import by_series, read_slice, series_of
from bundles.common.datalist.splits import Shares
from bundles.common.datalist.tables import read_rows
from bundles.common.datalist.volumes import check_pair, grid_of, read_labels, write_volume
from bundles.common.datalist.writing import counts, write_datalist
from bundles.common.reader import read_stack
from tests.unit.bundles.common.datalist.volumes_in import AFFINE, marked, nifti, stack
from tests.unit.bundles.common.dicom import CORONAL


def record(key: str, **more: object) -> VolumeRecord:
    return VolumeRecord(key=key, image=key, patient=key, place=Place(Path("set.csv"), 2), **more)


def test_paths_of_volumes_are_relative_to_the_datalist(tmp_path: Path) -> None:
    mask = tmp_path / "lists" / "made" / "a_mask.nii.gz"
    records = (
        record("a.nii", mask=str(mask), label=1, labels={"bleed": 1}, more={"slices": [0, 1]}),
        record("s/1.dcm", files=("s/1.dcm", "s/2.dcm"), label=0, labels={"bleed": 0}),
    )
    reading = Reading("set", (), records, (), (), tmp_path / "images")
    made = assemble(reading, Problems(), Choices(Shares(1, 0, 0)))
    write_datalist(made, tmp_path / "lists" / "datalist.json")
    content = json.loads((tmp_path / "lists" / "datalist.json").read_text(encoding="utf-8"))
    assert content["training"] == [
        {
            "image": "../images/a.nii",
            "mask": "made/a_mask.nii.gz",
            "patient": "a.nii",
            "label": 1,
            "slices": [0, 1],
        },
        {"image": ["../images/s/1.dcm", "../images/s/2.dcm"], "mask": None, "patient": "s/1.dcm", "label": 0},
    ]
    assert counts(made) == [
        ("images", [2, 0, 0, 2]),
        ("patients", [2, 0, 0, 2]),
        ("bleed present", [1, 0, 0, 1]),
        ("bleed absent", [1, 0, 0, 1]),
        ("bleed unknown", [0, 0, 0, 0]),
        ("with a mask", [1, 0, 0, 1]),
        ("unlabelled", [0, 0, 0, 0]),
    ]


def test_made_files_go_beside_the_datalist_and_never_among_the_images(tmp_path: Path) -> None:
    images = tmp_path / "images"
    assert made_folder(None, tmp_path / "lists" / "d.json", images) == tmp_path / "lists" / "made"
    assert made_folder(tmp_path / "m", images / "d.json", images) == tmp_path / "m"
    with pytest.raises(typer.BadParameter, match="is below the images"):
        made_folder(None, images / "d.json", images)


@pytest.mark.parametrize(("largest", "kind"), [(255, np.uint8), (256, np.uint16)])
def test_labels_come_back_as_written(tmp_path: Path, largest: int, kind: type) -> None:
    values = marked((1, 2, 3, largest))
    path = write_volume(tmp_path / "new" / "mask.nii.gz", values, AFFINE)
    assert nibabel.load(path).get_data_dtype() == kind
    found, grid = read_labels(path)
    np.testing.assert_array_equal(found, values)
    np.testing.assert_allclose(grid.affine, AFFINE)
    assert grid.shape == values.shape
    np.testing.assert_allclose(read_stack(path).affine_ras, AFFINE)
    assert [file.name for file in path.parent.iterdir()] == ["mask.nii.gz"]


def test_files_that_are_no_volume_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Damaged, match="not a readable NIfTI file"):
        grid_of(tmp_path / "missing.nii")
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 3, 3, 2), np.int16), AFFINE), tmp_path / "four.nii")
    with pytest.raises(Damaged, match="expected three dimensions"):
        grid_of(tmp_path / "four.nii")
    colour = np.zeros((3, 3, 3), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    nibabel.save(nibabel.Nifti1Image(colour, AFFINE), tmp_path / "colour.nii")
    with pytest.raises(Damaged, match="a mask of"):
        read_labels(tmp_path / "colour.nii")
    flat = nifti(tmp_path / "flat.nii")
    raw = bytearray(flat.read_bytes())
    raw[280:296] = raw[296:312]  # srow_x becomes srow_y
    flat.write_bytes(raw)
    with pytest.raises(Damaged, match="its affine matrix has no volume"):
        grid_of(flat)


def test_rounded_affines_are_the_same_grid(tmp_path: Path) -> None:
    image = nifti(tmp_path / "image.nii", affine=AFFINE * (1 + 1e-7))
    assert check_pair(image, nifti(tmp_path / "mask.nii")).shape == (6, 5, 4)


def test_a_series_leaves_out_what_the_reader_leaves_out(tmp_path: Path) -> None:
    stack(tmp_path, ["c", "a", "b", "d"], "1.1", PatientID="P")
    stack(tmp_path, ["again"], "1.1", [5], PatientID="P", InstanceNumber=9)
    stack(tmp_path, ["scout1", "scout2"], "1.1", orientation=CORONAL, PatientID="P", ImageType=["LOCALIZER"])
    folder = ImageFolder(tmp_path, ANY)
    ((uid, slices),) = by_series(read_slice(folder, file) for file in folder.files).items()
    series = series_of(slices, tmp_path)
    assert (uid, series.files, series.patient, series.plane) == ("1.1", ("c", "a", "b", "d"), "P", "axial")
    assert sorted(series.left_out) == ["again", "scout1", "scout2"]
    assert series.spacing_mm == 5.0
    whole, kept = (read_stack([tmp_path / file for file in files]) for files in (folder.files, series.files))
    assert whole.source_uids == kept.source_uids


def test_the_header_tells_what_separates_fields(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    for text in ("a;b\n1,5;2\n", "a\tb\n1,5\t2\n", 'a,b\n"1,5",2\n'):
        path.write_text(text, encoding="utf-8")
        (row,) = read_rows(path, ("a", "b"), Problems(), ",;\t")
        assert (row["a"], row["b"]) == ("1,5", "2")
