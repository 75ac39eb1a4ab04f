"""BHSD: pairs of images and masks by name, five numbers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from bundles.common.datalist.images import NIFTI, ImageFolder
from bundles.common.datalist.problems import Problems
from bundles.common.datalist.records import Reading
from bundles.head_ct_hemorrhage.scripts.datasets.bhsd import read
from tests.unit.bundles.common.datalist.sets import datalist, records, refusal
from tests.unit.bundles.common.datalist.volumes_in import labels, marked, nifti

NAME = "ID_0219ef88_ID_e5c1a31210"
ALL = marked((0, 0, 0, 1), (1, 0, 0, 2), (2, 0, 1, 3), (3, 0, 1, 4), (4, 0, 3, 5))


def reader(images: Path, masks: Path, made: Path) -> Callable[[Problems], Reading]:
    return lambda problems: read(ImageFolder(images, NIFTI), ImageFolder(masks, NIFTI), made, problems)


def test_numbers_become_ours_and_slices_follow_the_mask(tmp_path: Path) -> None:
    nifti(tmp_path / "images" / f"{NAME}.nii.gz", 40)
    nifti(tmp_path / "ground truths" / f"{NAME}.nii.gz", ALL)
    found = records(reader(tmp_path / "images", tmp_path / "ground truths", tmp_path / "made"))
    mask = tmp_path / "made" / f"{NAME}_mask.nii.gz"
    assert found[NAME].item() == {
        "image": f"{NAME}.nii.gz",
        "mask": str(mask),
        "patient": "ID_0219ef88",
        "label": 1,
        "types": [1] * 5,
        "slices": [1, 1, 0, 1],
    }
    # epidural, intraparenchymal, intraventricular, subarachnoid, subdural
    np.testing.assert_array_equal(
        labels(mask), marked((0, 0, 0, 3), (1, 0, 0, 5), (2, 0, 1, 4), (3, 0, 1, 1), (4, 0, 3, 2))
    )


def test_names_with_prefixes_in_one_folder(tmp_path: Path) -> None:
    for number in (1, 2):
        nifti(tmp_path / "set" / f"image_{number}.nii.gz", 40)
        nifti(tmp_path / "set" / f"label_{number}.nii.gz")
    wanted = reader(tmp_path / "set", tmp_path / "set", tmp_path / "made")
    found = records(wanted)
    assert [(found[key].patient, found[key].item()["label"]) for key in sorted(found)] == [("1", 0), ("2", 0)]
    assert datalist(wanted).notes == ("2 volumes tell no patient; each counts as one",)


def test_studies_of_one_patient_share_a_split(tmp_path: Path) -> None:
    for study in ("ID_1", "ID_2", "ID_3"):
        nifti(tmp_path / "images" / f"ID_0219ef88_{study}.nii.gz", 40)
        nifti(tmp_path / "masks" / f"ID_0219ef88_{study}.nii.gz")
    splits = datalist(reader(tmp_path / "images", tmp_path / "masks", tmp_path / "made")).splits
    assert sorted(len(found) for found in splits.values()) == [0, 0, 3]


def test_what_does_not_fit_is_named_all_at_once(tmp_path: Path) -> None:
    images, masks = tmp_path / "images", tmp_path / "masks"
    for name in ("lonely", "strange", "half", "cut", "fine"):
        nifti(images / f"{name}.nii.gz", 40)
    for name, values in (("orphan", 0), ("strange", marked((0, 0, 0, 6))), ("fine", 0)):
        nifti(masks / f"{name}.nii.gz", values)
    nifti(masks / "half.nii.gz", 0, (6, 5, 2))
    nifti(images / "deep" / "fine.nii", 40)
    cut = nifti(masks / "cut.nii")
    cut.write_bytes(cut.read_bytes()[:-14])
    message = refusal(reader(images, masks, tmp_path / "made"))
    for words in (
        f"{images / 'lonely.nii.gz'}: the image has no mask below {masks}",
        f"{masks / 'orphan.nii.gz'}: the mask has no image below {images}",
        "strange.nii.gz: the mask has the value 6, which the data set does not describe",
        "half.nii.gz: (6, 5, 2) voxels, its image half.nii.gz has (6, 5, 4)",
        "cut.nii: truncated or corrupt NIfTI data",
        "'fine' is there twice: also",
    ):
        assert words in message
