"""Heads in MR through one running service: real ones, and phantoms in every plane.

Which metastases the network finds is not asked here (the model card says how often it is right), but that every study
ends in documents, that nothing is lost, and that every outline lies where the network drew it.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread

from app.demo.phantoms.dicom_writer import write_series
from app.demo.phantoms.mr.scan import Plane
from app.demo.phantoms.mr.writer import SCANNERS, to_datasets
from app.findings import Outcome, Presence, Report
from app.outcomes import State, StudyOutcome
from app.report.words import shown_lesions
from bundles.common.reader import read_stack
from tests.allowlists.dciodvfy import errors
from tests.e2e.conftest import Orthanc, Service, destination, documents, installed
from tests.e2e.heads import ENHANCED, METASTASIS, MOST, PLAIN, eager, from_nifti, phantom
from tests.integration.report.test_segmentation_geometry import read_with_dcmqi, same

pytestmark = [pytest.mark.debian, pytest.mark.timeout(900)]

PATIENCE_S = 300.0
CONFIG = f"bundles/{METASTASIS}/configs/inference.yaml"


@pytest.fixture(scope="module")
def service(folder: Path, root: Path, orthanc: Orthanc) -> Iterator[Service]:
    """With the detector of the repository."""
    bundles = folder / "bundles"
    bundles.mkdir()
    (bundles / METASTASIS).symlink_to(root / "bundles" / METASTASIS)
    with served(folder, bundles, orthanc) as service:
        yield service


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory, root: Path, orthanc: Orthanc) -> Iterator[Service]:
    """With a copy of it that finds something in every head."""
    folder = tmp_path_factory.mktemp("finder")
    eager(folder / "bundles", root)
    with served(folder, folder / "bundles", orthanc) as service:
        yield service


@contextmanager
def served(folder: Path, bundles: Path, orthanc: Orthanc) -> Iterator[Service]:
    """A running installation that sends everything it makes to Orthanc."""
    peer = destination(orthanc, documents=["sr", "seg", "key_image"])
    with installed(folder, bundles={"folder": str(bundles)}, destinations=[peer]) as service:
        service.start()
        yield service
        assert service.stop() == 0


def send(service: Service, files: Sequence[Path]) -> StudyOutcome:
    """Send a study and wait for its end; nothing of it is lost on the way."""
    assert set(service.send(files).statuses) == {0}
    outcome = service.outcome(str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID), PATIENCE_S)
    assert len(outcome.files) == len(files)
    return outcome


def answered(outcome: StudyOutcome, files: Sequence[Path], orthanc: Orthanc, folder: Path) -> Report:
    """The one report of a study that was read whole; its documents are at the PACS and the judge finds them right."""
    assert outcome.state is State.DELIVERED, outcome
    assert [document.problem for document in outcome.documents] == [""] * len(outcome.documents)
    (report,) = outcome.reports
    assert (report.algorithm.name, report.outcome) == (METASTASIS, Outcome.SUCCEEDED), report.reason
    (finding,) = report.findings
    assert finding.presence in {Presence.PRESENT, Presence.ABSENT}
    assert [each.sop_instance_uid for each in finding.slices] == list(read_stack(files).source_uids)
    stored = [dcmread(BytesIO(content)) for content in orthanc.instances()]
    stored = [each for each in stored if each.StudyInstanceUID == outcome.study_uid]
    kinds = Counter(each.Modality for each in stored)
    assert (kinds["SR"], kinds["SEG"]) == (1, bool(shown_lesions(finding)))
    # The most suspicious slice, whatever the answer.
    assert kinds["OT"] >= 1
    for number, document in enumerate(stored):
        path = folder / f"{document.Modality}{number}.dcm"
        document.save_as(path)
        assert errors(path) == []
    return report


def drawn_by_the_bundle(root: Path, config: Path, series: Path, out: Path) -> dict[int, NDArray[np.float64]]:
    """LPS points of every lesion by the bundle alone, `monai.bundle run`, from the NIfTI mask that it writes."""
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", config, "--input", series]
    command += ["--output_dir", out]
    # One thread as in the service: sums in another order may lift a voxel over the threshold.
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(part) for part in command], cwd=root, env=alone, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (path,) = out.glob("*_mask.nii.gz")
    mask = nibabel.load(path)
    labels = np.asarray(mask.dataobj)
    found = {}
    for number in range(1, int(labels.max()) + 1):
        index = np.argwhere(labels == number)
        ras = nibabel.affines.apply_affine(mask.affine, index)
        found[number] = ras * (-1, -1, 1)
    return found


def outlined(outcome: StudyOutcome, orthanc: Orthanc, folder: Path) -> dict[int, NDArray[np.float64]]:
    """LPS points of every segment that lies at the PACS, as dcmqi reads them."""
    (document,) = documents(orthanc, outcome.study_uid, "SEG")
    path = folder / "segmentation.dcm"
    document.save_as(path)
    return read_with_dcmqi(path)


class TestRealHeads:
    def test_an_mprage_comes_back(
        self, service: Service, imaging_data: Path, orthanc: Orthanc, root: Path, tmp_path: Path
    ) -> None:
        """Siemens, 120 slices; neither ContrastBolusAgent nor BodyPartExamined."""
        folder = imaging_data / "dicom" / "mr_t1c_mprage"
        files = sorted(folder.iterdir())
        outcome = send(service, files)
        answered(outcome, files, orthanc, tmp_path)
        assert_outlined_as_drawn(outcome, folder, orthanc, root, tmp_path)

    def test_a_head_without_its_skull_comes_back(
        self, service: Service, imaging_data: Path, orthanc: Orthanc, root: Path, tmp_path: Path
    ) -> None:
        """A volume of a public set as DICOM; the same volume as NIfTI gives the same outlines."""
        volume = imaging_data / "mr_brain_metastasis" / "t1c.nii.gz"
        files = write_series(from_nifti(volume, ENHANCED), tmp_path / "in")
        outcome = send(service, files)
        answered(outcome, files, orthanc, tmp_path)
        assert_outlined_as_drawn(outcome, volume, orthanc, root, tmp_path)

    def test_one_without_contrast_agent_is_passed_over_with_the_reason(
        self, service: Service, imaging_data: Path, orthanc: Orthanc, tmp_path: Path
    ) -> None:
        files = write_series(from_nifti(imaging_data / "mr_brain_metastasis" / "t1.nii.gz", PLAIN), tmp_path)
        outcome = send(service, files)
        assert outcome.state is State.UNWANTED, outcome
        assert outcome.decision
        (declined,) = outcome.decision.declined
        assert declined.bundle == METASTASIS
        assert declined.reasons
        assert documents(orthanc, outcome.study_uid, "SR") == []


class TestEveryPlane:
    @pytest.mark.parametrize("plane", ["sagittal", "coronal", "axial"])
    def test_outlines_lie_where_the_bundle_drew_them(
        self, plane: Plane, finder: Service, orthanc: Orthanc, root: Path, tmp_path: Path
    ) -> None:
        images = to_datasets(phantom(plane), scanner=SCANNERS["philips"], token=plane)
        for image in images:
            image.SeriesDescription = ENHANCED
        files = write_series(images, tmp_path / "in")
        outcome = send(finder, files)
        report = answered(outcome, files, orthanc, tmp_path)
        assert 1 <= len(report.findings[0].lesions) <= MOST
        config = finder.settings.bundles.folder / METASTASIS / "configs" / "inference.yaml"
        drawn = drawn_by_the_bundle(root, config, tmp_path / "in", tmp_path / "bundle")
        seen = outlined(outcome, orthanc, tmp_path)
        assert seen.keys() == set(range(1, len(report.findings[0].lesions) + 1))
        assert all(same(seen[number], drawn[number]) for number in seen)


def assert_outlined_as_drawn(outcome: StudyOutcome, source: Path, orthanc: Orthanc, root: Path, folder: Path) -> None:
    """Where lesions are shown, the segmentation at the PACS is what the bundle draws by itself."""
    if lesions := shown_lesions(outcome.reports[0].findings[0]):
        drawn = drawn_by_the_bundle(root, Path(CONFIG), source, folder / "bundle")
        seen = outlined(outcome, orthanc, folder)
        assert seen.keys() == {lesion.number for lesion in lesions} <= drawn.keys()
        assert all(same(seen[number], drawn[number]) for number in seen)


def test_the_log_holds_no_patient_data(service: Service, finder: Service) -> None:
    for word in ("Test^Head", "Phantom^MR", "VS-SEG"):
        assert word not in service.log
        assert word not in finder.log
