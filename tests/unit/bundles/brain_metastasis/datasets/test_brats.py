"""BraTS-METS: cases by name, classes that count, patients under one number only."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bundles.brain_metastasis.scripts.datasets.brats import SUFFIXES, read
from bundles.common.datalist.images import ImageFolder
from bundles.common.datalist.problems import Problems
from bundles.common.datalist.records import Reading
from tests.unit.bundles.common.datalist.sets import datalist, records, refusal
from tests.unit.bundles.common.datalist.volumes_in import AFFINE, labels, marked, nifti

CASE = "BraTS-MET-00001-000"
PARTS = marked((0, 0, 0, 1), (1, 0, 0, 2), (2, 0, 0, 3), (3, 0, 0, 4))


def make(folder: Path, case: str, seg: np.ndarray | int = 0, grey: int = 0) -> Path:
    for kind in ("t1c", "t1n", "t2f", "t2w"):
        nifti(folder / "set" / case / f"{case}-{kind}.nii.gz", grey)
    return nifti(folder / "set" / case / f"{case}-seg.nii.gz", seg)


def reader(folder: Path, classes: tuple[str, ...] = ("NETC", "ET")) -> Callable[[Problems], Reading]:
    return lambda problems: read(ImageFolder(folder / "set", SUFFIXES), folder / "made", problems, classes)


def test_the_core_is_metastasis(tmp_path: Path) -> None:
    make(tmp_path, CASE, PARTS)
    make(tmp_path, "BraTS-MET-00002-001", marked((0, 0, 0, 2)), grey=1)
    found = records(reader(tmp_path))
    mask = tmp_path / "made" / f"{CASE}_mask.nii.gz"
    assert found[CASE].item() == {
        "image": f"{CASE}/{CASE}-t1c.nii.gz",
        "mask": str(mask),
        "patient": "00001",
        "label": 1,
        "visit": "000",
    }
    np.testing.assert_array_equal(labels(mask), marked((0, 0, 0, 1), (2, 0, 0, 1)))
    assert found["BraTS-MET-00002-001"].item()["label"] == 0
    assert datalist(reader(tmp_path)).notes == ("metastasis is NETC and ET",)


def test_other_classes_by_choice(tmp_path: Path) -> None:
    make(tmp_path, CASE, PARTS)
    records(reader(tmp_path, ("ET", "SNFH")))
    expected = marked((1, 0, 0, 1), (2, 0, 0, 1))
    np.testing.assert_array_equal(labels(tmp_path / "made" / f"{CASE}_mask.nii.gz"), expected)
    assert "classes of metastasis are ['TC'], expected some of" in refusal(reader(tmp_path, ("TC",)))
    assert "classes of metastasis are []" in refusal(reader(tmp_path, ()))


def test_examinations_of_one_patient_share_a_split(tmp_path: Path) -> None:
    for visit in range(4):
        make(tmp_path, f"BraTS-MET-00001-00{visit}", grey=visit)
    assert sorted(len(found) for found in datalist(reader(tmp_path)).splits.values()) == [0, 0, 4]


def test_one_image_under_two_numbers_is_refused(tmp_path: Path) -> None:
    for case in (CASE, "BraTS-MET-00001-001", "BraTS-MET-00418-000"):
        make(tmp_path, case)
    message = refusal(reader(tmp_path))
    assert f"the same image as {CASE}, of another patient; keep one of both" in message
    assert sorted(records(reader(tmp_path), leave_out=True)) == [CASE, "BraTS-MET-00001-001"]


def test_what_is_missing_or_damaged_is_named_all_at_once(tmp_path: Path) -> None:
    for number in range(1, 8):
        make(tmp_path, f"BraTS-MET-0000{number}-000", grey=number)
    folder = {number: tmp_path / "set" / f"BraTS-MET-0000{number}-000" for number in range(1, 8)}
    (folder[1] / "BraTS-MET-00001-000-seg.nii.gz").unlink()
    (folder[2] / "BraTS-MET-00002-000-t1c.nii.gz").unlink()
    nifti(folder[3] / "BraTS-MET-00003-000-seg.nii.gz", 5)
    nifti(folder[4] / "BraTS-MET-00004-000-seg.nii.gz", shape=(6, 5, 3))
    nifti(folder[5] / "BraTS-MET-00005-000-seg.nii.gz", affine=AFFINE * [[1], [1], [1.01], [1]])
    (folder[6] / "BraTS-MET-00006-000-t1c.nii.gz").write_bytes(b"no NIfTI")
    nifti(tmp_path / "set" / "again" / "BraTS-MET-00007-000-t1c.nii.gz")
    nifti(tmp_path / "set" / "other.nii.gz")
    message = refusal(reader(tmp_path))
    for words in (
        "BraTS-MET-00001-000 has no seg",
        "BraTS-MET-00002-000 has no t1c",
        "00003-000-seg.nii.gz: the mask has the value 5, which the data set does not describe",
        "00004-000-seg.nii.gz: (6, 5, 3) voxels, its image BraTS-MET-00004-000-t1c.nii.gz has (6, 5, 4)",
        "00005-000-seg.nii.gz: it lies elsewhere than its image",
        "00006-000-t1c.nii.gz: not a readable NIfTI file",
        "'t1c' is there twice: also",
        "2 images are listed but missing:",
    ):
        assert words in message
    assert "no image is left" in refusal(reader(tmp_path), leave_out=True)


@pytest.mark.parametrize("values", [0.5, -1, 70000.0, np.nan])
def test_masks_of_other_than_whole_numbers_are_refused(tmp_path: Path, values: float) -> None:
    import nibabel

    path = make(tmp_path, CASE)
    nibabel.save(nibabel.Nifti1Image(np.full((6, 5, 4), values, np.float32), AFFINE), path)
    assert "the mask has values that are no whole numbers from 0 to 65535" in refusal(reader(tmp_path))
