"""Calibration is read as written, and thresholds land where they belong."""

import shutil
from pathlib import Path

import pytest

from bundles.common.contract import load_service
from bundles.head_ct_hemorrhage.scripts.calibration import FINDING_OF, write_calibration, write_thresholds
from bundles.head_ct_hemorrhage.scripts.running import calibration, find_images, flag


def test_calibration_is_read_as_written(tmp_path: Path) -> None:
    assert calibration(str(tmp_path)) == {}
    (tmp_path / "configs").mkdir()
    write_calibration(tmp_path, {"hemorrhage": (1.23456, -0.5)}, cases=3)
    assert calibration(str(tmp_path)) == {"hemorrhage": (1.2346, -0.5)}


def test_thresholds_land_at_their_findings_and_nothing_else_changes(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "bundles/head_ct_hemorrhage/configs", tmp_path / "configs")
    before = load_service(tmp_path)
    values = {name: 0.1 * (index + 1) for index, name in enumerate(FINDING_OF)}
    write_thresholds(tmp_path, values)
    after = load_service(tmp_path)
    assert [output.threshold for output in after.findings] == pytest.approx(list(values.values()))
    assert [output.finding for output in after.findings] == list(FINDING_OF.values())
    assert after.model_copy(update={"findings": before.findings}) == before
    assert "# Evidence that this is a head" in (tmp_path / "configs/service.yaml").read_text()


def test_a_contract_without_a_finding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/service.yaml").write_text("findings: []\n")
    with pytest.raises(ValueError, match="intracranial_hemorrhage"):
        write_thresholds(tmp_path, {"hemorrhage": 0.5})


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
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.dcm").touch()
    assert [Path(item["image"]).name for item in find_images(str(tmp_path))] == ["a", "b"]


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither NIfTI"):
        find_images(str(tmp_path))
    with pytest.raises(ValueError, match="missing"):
        find_images(str(tmp_path / "nowhere"))
