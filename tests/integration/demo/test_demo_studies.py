"""The studies of the demonstration as files: what belongs together, what is told of them, and the judges."""

import subprocess
from pathlib import Path

import pytest
from pydicom import dcmread

from app.demo.studies import CHEST, CHEST_SIZE, WRIST, Case, draw

pytestmark = pytest.mark.timeout(200)


def test_a_chest_with_its_lateral_view_is_one_study_of_one_patient(tmp_path: Path) -> None:
    drawn = draw(Case(CHEST, "lesions", beside=True), 1004, tmp_path, "run")
    frontal, lateral = (dcmread(path) for path in sorted(tmp_path.iterdir()))
    assert {frontal.StudyInstanceUID, lateral.StudyInstanceUID} == {drawn.uid}
    assert frontal.Rows == frontal.Columns == CHEST_SIZE
    for name in ("PatientID", "PatientName", "PatientAge", "PatientSex", "PatientBirthDate", "Manufacturer"):
        assert frontal[name].value == lateral[name].value
    assert drawn.unread == {lateral.SeriesInstanceUID: "lateral chest"}
    assert frontal.SeriesInstanceUID != lateral.SeriesInstanceUID
    assert drawn.truth == {"lung_lesion": True, "pneumothorax": False}
    assert "nodule" in drawn.words or "mass" in drawn.words


def test_another_token_is_another_study_with_the_same_pictures(tmp_path: Path) -> None:
    first = draw(Case(WRIST, "fracture"), 5, tmp_path / "1", "one")
    second = draw(Case(WRIST, "fracture"), 5, tmp_path / "2", "two")
    assert first.uid != second.uid
    assert (first.truth, first.words) == (second.truth, second.words)
    assert first.truth == {"wrist_fracture": True}
    pixels = [[dcmread(path).PixelData for path in sorted((tmp_path / name).iterdir())] for name in ("1", "2")]
    assert pixels[0] == pixels[1]
    assert len(pixels[0]) == 2


@pytest.mark.debian
@pytest.mark.parametrize("case", [Case(CHEST, "pneumothorax", beside=True), Case(WRIST)], ids=["chest", "wrist"])
def test_the_studies_are_consistent(case: Case, tmp_path: Path) -> None:
    """Patient and study are the same in all images (dcentvfy), as archives expect."""
    draw(case, 3, tmp_path, "run")
    done = subprocess.run(
        ["dcentvfy", *sorted(tmp_path.iterdir())], capture_output=True, text=True, timeout=60, check=False
    )
    assert [line for line in done.stderr.splitlines() if line.startswith("Error")] == []
