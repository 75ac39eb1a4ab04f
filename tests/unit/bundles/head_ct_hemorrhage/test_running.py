"""Switches are read, and what there is to analyse is found."""

from pathlib import Path

import pytest

from bundles.common.running import flag
from bundles.head_ct_hemorrhage.scripts.running import find_images
from tests.unit.bundles.common.dicom import ct_slice, save


@pytest.mark.parametrize(("given", "meant"), [(True, True), ("true", True), ("False", False), (0, False)])
def test_switches_of_the_command_line(given: object, meant: bool) -> None:
    assert flag(given) is meant


def test_a_switch_that_is_neither_is_refused() -> None:
    with pytest.raises(ValueError, match="true or false"):
        flag("maybe")


def test_images_are_found_without_their_masks(tmp_path: Path) -> None:
    for name in ("1.nii.gz", "1_mask.nii.gz", "2.nii"):
        (tmp_path / name).touch()
    assert [Path(item["image"]).name for item in find_images(str(tmp_path))] == ["1.nii.gz", "2.nii"]
    assert len(find_images(str(tmp_path), limit=1)) == 1


def test_folders_of_dicom_files_are_series(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        save(tmp_path / folder, [ct_slice(1)])
    (tmp_path / "truth.json").write_text("{}")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("no DICOM")
    assert [Path(item["image"]).name for item in find_images(str(tmp_path))] == ["a", "b"]


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither NIfTI"):
        find_images(str(tmp_path))
    with pytest.raises(ValueError, match="missing"):
        find_images(str(tmp_path / "nowhere"))
