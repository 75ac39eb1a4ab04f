"""Bundles as the Model Zoo writes them, dropped into the folder of a running service: no code, no contract of ours."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from scipy.spatial import cKDTree

from app.demo.phantoms.dicom_writer import to_datasets, write_series
from app.demo.phantoms.phantom import make_phantom
from app.findings import Outcome, Report
from app.outcomes import State, StudyOutcome
from bundles.common.reader import read_stack
from tests.allowlists.dciodvfy import errors
from tests.e2e.conftest import Orthanc, Service, destination, documents, installed
from tests.integration.infer import zoo
from tests.integration.report.test_segmentation_geometry import TOLERANCE_MM, expected, read_with_dcmqi

pytestmark = [pytest.mark.debian, pytest.mark.timeout(400)]

SEED, SIZE = 811, 128
UNET, EXACT, CLASSES, BRATS = "head_ct_structures", "exact", "head_ct_classes", "brats_mri_segmentation"


@pytest.fixture(scope="module")
def service(folder: Path, orthanc: Orthanc) -> Iterator[Service]:
    """With three bundles that can be served, and one that cannot."""
    bundles = folder / "bundles"
    zoo.write_segmentation(bundles, UNET)
    zoo.write_exact(bundles, EXACT)
    zoo.write_classification(bundles, CLASSES)
    path = zoo.write_segmentation(bundles, BRATS) / "configs/metadata.json"
    content = json.loads(path.read_text())
    content["network_data_format"]["inputs"]["image"]["num_channels"] = 4
    path.write_text(json.dumps(content))
    peer = destination(orthanc, documents=["sr", "seg", "key_image"])
    with installed(folder, bundles={"folder": str(bundles)}, destinations=[peer]) as service:
        service.start()
        yield service
        assert service.stop() == 0


@pytest.fixture(scope="module")
def head(service: Service, folder: Path) -> tuple[StudyOutcome, list[Path]]:
    """A phantom head CT, and what became of it."""
    upright = replace(make_phantom(SEED, SIZE, kinds=()).acquisition, tilt_deg=0.0)
    write_series(to_datasets(make_phantom(SEED, SIZE, kinds=(), acquisition=upright)), folder / "study")
    files = sorted((folder / "study").iterdir())
    assert set(service.send(files).statuses) == {0}
    outcome = service.outcome(dcmread(files[0]).StudyInstanceUID, 300)
    assert outcome.state is State.DELIVERED, outcome
    assert [document.problem for document in outcome.documents] == [""] * len(outcome.documents)
    return outcome, files


def report_of(outcome: StudyOutcome, bundle: str) -> Report:
    (report,) = [each for each in outcome.reports if each.algorithm.name == bundle]
    return report


def at_the_pacs(orthanc: Orthanc, outcome: StudyOutcome, modality: str, bundle: str) -> Dataset:
    found = documents(orthanc, outcome.study_uid, modality)
    (document,) = [each for each in found if each.ManufacturerModelName == bundle]
    return document


def test_every_bundle_that_can_be_served_has_answered(head: tuple[StudyOutcome, list[Path]]) -> None:
    outcome, _ = head
    assert {report.algorithm.name for report in outcome.reports} == {UNET, EXACT, CLASSES}
    assert {report.outcome for report in outcome.reports} == {Outcome.SUCCEEDED}
    assert all(report.findings == () and report.determined for report in outcome.reports)


@pytest.mark.parametrize("bundle", [UNET, EXACT])
def test_a_segmentation_lies_at_the_pacs_on_the_source_grid(
    bundle: str, head: tuple[StudyOutcome, list[Path]], orthanc: Orthanc, tmp_path: Path
) -> None:
    outcome, files = head
    document = at_the_pacs(orthanc, outcome, "SEG", bundle)
    path = tmp_path / "seg.dcm"
    document.save_as(path)
    assert errors(path) == []
    found = read_with_dcmqi(path)
    report = report_of(outcome, bundle)
    drawn = {structure.segment: structure for structure in report.structures if structure.segment}
    assert set(found) == set(drawn)
    stack = read_stack(files)
    voxel = abs(float(np.linalg.det(stack.affine_ras[:3, :3])))
    for segment, structure in drawn.items():
        assert structure.volume_mm3 == pytest.approx(len(found[segment]) * voxel, rel=1e-6)
    if bundle == EXACT:
        above = (stack.array > 0).transpose(2, 1, 0).astype(np.int32)
        wanted = np.concatenate(list(expected(files, above).values()))
        assert len(found[1]) == len(wanted)
        assert cKDTree(found[1]).query(wanted)[0].max() < TOLERANCE_MM


@pytest.mark.parametrize("bundle", [UNET, EXACT, CLASSES])
def test_its_report_is_sound_and_names_bundle_version_and_that_nobody_tested_it(
    bundle: str, head: tuple[StudyOutcome, list[Path]], orthanc: Orthanc, tmp_path: Path
) -> None:
    outcome, _ = head
    path = tmp_path / "sr.dcm"
    at_the_pacs(orthanc, outcome, "SR", bundle).save_as(path)
    assert errors(path) == []
    dump = subprocess.run(["dsrdump", "+Pl", path], capture_output=True, check=True, timeout=30).stdout.decode()
    wanted = "Class A, score" if bundle == CLASSES else "Segmentation of brain"
    for words in (wanted, f"Algorithm: {bundle} 0.5.1", "RESEARCH USE ONLY", "no operating point was set"):
        assert words in dump
    assert "121052" not in dump  # Presence of property


def test_what_cannot_be_served_is_named_in_the_log_and_by_check(service: Service) -> None:
    (line,) = [json.loads(line) for line in service.log.splitlines() if "bundle_refused" in line]
    assert (line["bundle"], "4 input channels" in line["reason"]) == (BRATS, True)
    done = subprocess.run(
        [sys.executable, "-m", "app", "check", "--config", service.config],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "COLUMNS": "400"},
    )
    (told,) = [line for line in done.stdout.splitlines() if line.startswith(f"bundle {BRATS}")]
    assert "it wants 4 input channels" in told
    assert [line.split()[2] for line in done.stdout.splitlines() if line.startswith(f"bundle {UNET}")] == ["ok"]


def test_the_pages_show_volumes_and_scores(service: Service, head: tuple[StudyOutcome, list[Path]]) -> None:
    def page(path: str) -> str:
        with urllib.request.urlopen(f"{service.address}{path}", timeout=10) as answer:
            return unescape(answer.read().decode())

    (structure, *_) = report_of(head[0], EXACT).structures
    assert structure.volume_mm3 is not None
    assert head[0].reports[0].structures[0].words in page("/")
    study = page(f"/study/{head[0].key}")
    assert "Measured, without an operating point" in study
    assert structure.name in study
    assert f"{structure.volume_mm3 / 1000:.2f} ml" in study
