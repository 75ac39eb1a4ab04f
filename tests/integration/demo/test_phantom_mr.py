"""MR phantoms before the judges: dciodvfy, the one reader, the command line, sets in parallel processes."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from app.demo.phantoms.dicom_writer import write_series
from app.demo.phantoms.mr.baseline import baseline_auc
from app.demo.phantoms.mr.gallery import contact_sheet
from app.demo.phantoms.mr.phantom import MrPhantom, make_mr_phantom
from app.demo.phantoms.mr.scan import PLANES, Plane
from app.demo.phantoms.mr.volume_set import write_volume_set
from app.demo.phantoms.mr.writer import SCANNERS, stored_values, to_datasets
from app.demo.phantoms.training_set import ras_affine, save_nifti
from bundles.common.reader import read_stack

ALLOWED = (
    # The makers' own values, as their scanners write them; defined terms may be extended (PS3.3 C.8.3.1).
    "Warning - Unrecognized defined term <M> for value 3 of attribute <Image Type>",
    "Warning - Unrecognized defined term <M_FFE> for value 3 of attribute <Image Type>",
    "Warning - Unrecognized defined term <IR> for value 1 of attribute <Scan Options>",
    "Warning - Unrecognized defined term <FAST_GEMS> for value 1 of attribute <Scan Options>",
    # A header that names no body part cannot know whether the part is paired (PS3.3 C.7.3.1): Laterality is empty.
    (
        "Warning - is only permitted to be empty when actually unknown; should be absent (not empty) if an unpaired "
        "body part, and have a value if a paired body part - attribute <Laterality>"
    ),
)


def complaints(path: Path) -> list[str]:
    """What dciodvfy says beyond the allow-list and the name of the IOD."""
    result = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, timeout=60, check=False)
    lines = [line for line in result.stderr.splitlines() if line and line != "MRImage"]
    return [line for line in lines if line not in ALLOWED]


@pytest.fixture(scope="module")
def phantom() -> MrPhantom:
    return make_mr_phantom(31, diameters=(14.0,), plane="axial", spacing_mm=6.0)


@pytest.mark.debian
@pytest.mark.parametrize("scanner", sorted(SCANNERS))
@pytest.mark.parametrize("seed", [1, 2, 3, 5])
def test_every_series_passes_dciodvfy(tmp_path: Path, phantom: MrPhantom, scanner: str, seed: int) -> None:
    images = to_datasets(replace(phantom, seed=seed), scanner=SCANNERS[scanner], token="run")
    for path in write_series(images[::8], tmp_path):
        assert complaints(path) == []


@pytest.mark.parametrize("plane", sorted(PLANES))
@pytest.mark.parametrize("scanner", sorted(SCANNERS))
def test_the_one_reader_gives_dicom_and_nifti_alike(tmp_path: Path, plane: Plane, scanner: str) -> None:
    drawn = make_mr_phantom(12, diameters=(14.0,), plane=plane, spacing_mm=6.0)
    write_series(to_datasets(drawn, scanner=SCANNERS[scanner]), tmp_path / "dicom")
    stored = stored_values(drawn, SCANNERS[scanner])
    save_nifti(stored, ras_affine(drawn.scan.affine_lps), tmp_path / "image.nii.gz")
    save_nifti(drawn.mask, ras_affine(drawn.scan.affine_lps), tmp_path / "mask.nii.gz")
    dicom, nifti = read_stack(tmp_path / "dicom"), read_stack(tmp_path / "image.nii.gz")
    assert np.array_equal(dicom.array, stored)
    assert np.array_equal(nifti.array, stored)
    np.testing.assert_allclose(dicom.affine, drawn.scan.affine_lps[:, [2, 1, 0, 3]], atol=1e-4)
    np.testing.assert_allclose(nifti.affine, dicom.affine, atol=1e-4)
    assert dicom.geometry is not None
    assert dicom.geometry.plane == plane
    assert dicom.modality == "MR"
    assert np.array_equal(read_stack(tmp_path / "mask.nii.gz").array, drawn.mask)


def test_the_command_line_writes_studies_with_their_truth(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app.demo.phantoms", "mr", "dicom", str(tmp_path), "--count", "2"]
    command += ["--spacing", "5", "--plane", "sagittal", "--with-plain"]
    subprocess.run(command, check=True, timeout=180, capture_output=True)
    truths = json.loads((tmp_path / "truth.json").read_text())
    assert [truth["presence"] for truth in truths] == [True, False]
    assert truths[0]["lesions"][0]["diameter_mm"] >= 9
    for truth in truths:
        files = sorted((tmp_path / truth["folder"]).glob("*.dcm"))
        headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
        assert [h.SOPInstanceUID for h in headers] == truth["sop_instance_uids"]
        assert {h.SeriesInstanceUID for h in headers} == {truth["series_uid"]}
        assert {"ContrastBolusAgent" in h for h in headers} == {truth["agent_said"]}
        assert len(truth["slices"]) == len(files) == truth["images"]
        assert any(truth["slices"]) == truth["presence"]
        before = pydicom.dcmread(next((tmp_path / truth["folder"] / "plain").iterdir()), stop_before_pixels=True)
        assert before.SeriesInstanceUID == truth["plain_series_uid"] != truth["series_uid"]
        assert before.StudyInstanceUID == truth["study_uid"]
        assert "ContrastBolusAgent" not in before


def test_a_training_set_is_written_in_parallel_grows_and_is_scored(tmp_path: Path) -> None:
    write_volume_set(tmp_path, 3, seed=5, workers=2, spacing_mm=5.0)
    first = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cases").iterdir()}
    datalist = write_volume_set(tmp_path, 9, seed=5, workers=2, spacing_mm=5.0)
    assert first.items() <= {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cases").iterdir()}.items()
    lists = json.loads(datalist.read_text())
    assert [len(lists[name]) for name in ("training", "validation", "test")] == [7, 1, 1]
    assert {line["label"] for line in lists["training"]} == {0, 1}
    scores = baseline_auc(datalist, "training")
    assert scores.cases == 7
    assert 0 <= scores.blob <= 1
    assert 0 <= scores.compact <= 1
    held_out = json.loads(write_volume_set(tmp_path, 9, 5, 1, 5.0, held_out=True).read_text())
    assert [len(held_out[name]) for name in ("training", "validation", "test")] == [0, 0, 9]


def test_the_gallery_shows_heads_of_both_kinds(tmp_path: Path) -> None:
    from PIL import Image

    with Image.open(contact_sheet(tmp_path, seed=3, count=2, spacing_mm=4.0)) as sheet:
        pixels = np.asarray(sheet)
    assert pixels.shape == (2 * 256, 6 * 240, 3)
    orange = (pixels[..., 0] > 200) & (pixels[..., 2] < 80)
    assert orange[:256].any()
    assert not orange[256:].any()
