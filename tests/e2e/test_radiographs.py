"""Radiographs through one running service: real ones, phantoms, and everything that is wrong with radiographs.

Which finding the networks see is not asked here (the model cards say how often they are right), but that every study
ends as it has to: read, passed over with reasons, or undetermined.
"""

import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import JPEGLSLossless

from app.__main__ import main
from app.findings import Outcome, Presence, Report
from app.outcomes import State, StudyOutcome
from tests.allowlists.dciodvfy import errors
from tests.e2e.conftest import SCANNER, Orthanc, Service, destination, documents, installed
from tests.e2e.radiographs import (
    SILENT,
    TELLING,
    captured,
    chest,
    compressed,
    drawn,
    says,
    strip,
    study,
    with_air,
    wrapped,
    wrist,
)

pytestmark = [pytest.mark.debian, pytest.mark.timeout(280)]

CHEST, WRIST, VIEW = "chest_radiograph", "wrist_fracture", "radiograph_view"
CLEAR_WRISTS = frozenset({0, 1, 2, 3, 4})
"""Of the five real wrists, in the order of their names, those that the picture alone tells."""
SOUGHT = {CHEST: {"lung_lesion", "pneumothorax"}, WRIST: {"wrist_fracture"}}


@pytest.fixture(scope="module")
def service(folder: Path, root: Path, orthanc: Orthanc) -> Iterator[Service]:
    """With the two detectors of the repository, and what tells views apart."""
    bundles = folder / "bundles"
    bundles.mkdir()
    for name in (CHEST, WRIST, VIEW):
        (bundles / name).symlink_to(root / "bundles" / name)
    with installed(folder, bundles={"folder": str(bundles)}, destinations=[destination(orthanc)]) as service:
        service.start()
        yield service
        assert service.stop() == 0


def grazped(imaging_data: Path) -> list[Path]:
    files = sorted((imaging_data / "xr_wrist_grazped").glob("*.png"))
    assert len(files) == 5
    return files


def send(service: Service, images: Sequence[Dataset], folder: Path) -> StudyOutcome:
    """Send a study and wait for its end; nothing of it is lost on the way."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        image.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return send_folder(service, folder)


def send_folder(service: Service, *paths: Path) -> StudyOutcome:
    """Sent by our own `send`: storescu alone does not mix transfer syntaxes in one association."""
    with pytest.raises(SystemExit) as sent:
        main(["send", *map(str, paths), "--port", str(service.settings.listener.port), "--calling", SCANNER])
    assert sent.value.code == 0
    files = [file for path in paths for file in (path.iterdir() if path.is_dir() else [path])]
    outcome = service.outcome(str(dcmread(files[0], stop_before_pixels=True).StudyInstanceUID))
    assert len(outcome.files) == len(files)
    spooled = service.settings.spool.folder / "studies" / outcome.key[:32]
    assert all((spooled / name).is_file() for name in outcome.files)
    return outcome


def the_report(outcome: StudyOutcome, bundle: str, images: Sequence[Dataset]) -> Report:
    """The one report of a study: of this bundle, of all these images, with everything that the bundle seeks."""
    (report,) = outcome.reports
    assert report.algorithm.name == bundle
    assert {uid for uid, _ in report.stacks} == {image.SeriesInstanceUID for image in images}
    assert {finding.kind for finding in report.findings} == SOUGHT[bundle]
    return report


def assert_read(outcome: StudyOutcome, bundle: str, images: Sequence[Dataset], orthanc: Orthanc, folder: Path) -> None:
    """Answered, in one SR that names every image that was read, and that the judge finds right."""
    assert outcome.state is State.DELIVERED, outcome
    report = the_report(outcome, bundle, images)
    assert report.outcome is Outcome.SUCCEEDED, report.reason
    assert Presence.UNDETERMINED not in {finding.presence for finding in report.findings}
    (sr,) = documents(orthanc, outcome.study_uid, "SR")
    assert sr.PatientID == images[0].PatientID
    assert evidence(sr) == {image.SOPInstanceUID for image in images}
    path = folder / "report.sr.dcm"
    sr.save_as(path)
    assert errors(path) == []
    subprocess.run(["dsrdump", path], capture_output=True, check=True, timeout=30)


def evidence(sr: Dataset) -> set[str]:
    """Every instance that an SR refers to as evidence."""
    return {
        instance.ReferencedSOPInstanceUID
        for request in sr.CurrentRequestedProcedureEvidenceSequence
        for series in request.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }


def assert_unwanted(outcome: StudyOutcome, orthanc: Orthanc) -> str:
    """No bundle took it, and it says why, to people too; the reasons in one text."""
    assert outcome.state is State.UNWANTED, outcome
    assert documents(orthanc, outcome.study_uid, "SR") == []
    assert outcome.decision
    reasons = {each.bundle: each.reasons for each in outcome.decision.declined}
    assert reasons.keys() == {CHEST, WRIST}
    assert all(reasons.values())
    return " ".join(reason for each in outcome.decision.declined for reason in each.reasons)


def assert_undetermined(outcome: StudyOutcome, bundle: str, orthanc: Orthanc) -> str:
    """A document says that nothing can be said, and why; the reason."""
    assert outcome.state is State.DELIVERED, outcome
    (report,) = outcome.reports
    assert report.algorithm.name == bundle
    assert {finding.presence for finding in report.findings} == {Presence.UNDETERMINED}
    assert report.outcome is not Outcome.SUCCEEDED
    assert report.reason
    assert len(documents(orthanc, outcome.study_uid, "SR")) == 1
    return report.reason


class TestRealRadiographs:
    def test_a_chest_in_two_compressions_comes_back_as_one_sr(
        self, service: Service, imaging_data: Path, orthanc: Orthanc, tmp_path: Path
    ) -> None:
        """MONOCHROME1; the same picture near-lossless in JPEG-LS and lossy in JPEG 2000."""
        files = sorted((imaging_data / "dicom" / "cr").glob("RG1*.dcm"))
        assert len(files) == 2
        outcome = send_folder(service, *files)
        assert_read(outcome, CHEST, [dcmread(file, stop_before_pixels=True) for file in files], orthanc, tmp_path)

    @pytest.mark.parametrize(("name", "says"), [("RG2", "BodyPartExamined is HIP"), ("RG3", "EXTREMITY")])
    def test_hip_and_tibia_are_left_alone(
        self, name: str, says: str, service: Service, imaging_data: Path, orthanc: Orthanc
    ) -> None:
        (file,) = (imaging_data / "dicom" / "cr").glob(f"{name}*.dcm")
        outcome = send_folder(service, file)
        assert says in assert_unwanted(outcome, orthanc)
        with urllib.request.urlopen(f"{service.address}/api/v1/studies/{outcome.study_uid}", timeout=10) as answer:
            assert says.encode() in answer.read()

    @pytest.mark.parametrize("number", range(5))
    def test_wrists_come_back_as_one_sr_each(
        self, number: int, service: Service, imaging_data: Path, orthanc: Orthanc, tmp_path: Path
    ) -> None:
        image = wrapped(grazped(imaging_data)[number], telling=True)
        outcome = send(service, [image], tmp_path / "in")
        assert_read(outcome, WRIST, [image], orthanc, tmp_path)

    @pytest.mark.parametrize("number", range(5))
    def test_wrists_whose_header_is_silent_come_back_where_their_picture_is_clear(
        self, number: int, service: Service, imaging_data: Path, orthanc: Orthanc, tmp_path: Path
    ) -> None:
        """The bundle that tells views apart has learnt from phantoms; of real wrists it may say "unclear", not more."""
        image = wrapped(grazped(imaging_data)[number], telling=False)
        outcome = send(service, [image], tmp_path / "in")
        if number in CLEAR_WRISTS:
            assert_read(outcome, WRIST, [image], orthanc, tmp_path)
        else:
            assert "unclear" in assert_unwanted(outcome, orthanc)


class TestViews:
    @pytest.mark.parametrize("system", [TELLING, SILENT])
    def test_a_frontal_chest_is_read(self, system: str, service: Service, orthanc: Orthanc, tmp_path: Path) -> None:
        images = study(chest(), system=system)
        assert_read(send(service, images, tmp_path / "in"), CHEST, images, orthanc, tmp_path)

    @pytest.mark.parametrize("system", [TELLING, SILENT])
    @pytest.mark.parametrize("kind", ["chest-lateral", "hand", "hip"])
    def test_other_views_are_left_alone(
        self, kind: str, system: str, service: Service, orthanc: Orthanc, tmp_path: Path
    ) -> None:
        assert_unwanted(send(service, study(drawn(kind), system=system), tmp_path), orthanc)

    def test_two_projections_of_a_wrist_make_one_sr(self, service: Service, orthanc: Orthanc, tmp_path: Path) -> None:
        images = study(wrist(projection="PA"), wrist(projection="LATERAL"))
        outcome = send(service, images, tmp_path / "in")
        assert_read(outcome, WRIST, images, orthanc, tmp_path)
        scored = outcome.reports[0].findings[0].slices
        assert {each.sop_instance_uid for each in scored} == {image.SOPInstanceUID for image in images}

    @pytest.mark.parametrize("system", [TELLING, SILENT])
    def test_a_lateral_view_beside_a_frontal_chest_is_passed_over(
        self, system: str, service: Service, orthanc: Orthanc, tmp_path: Path
    ) -> None:
        frontal, lateral = study(chest(), drawn("chest-lateral"), system=system)
        outcome = send(service, [frontal, lateral], tmp_path / "in")
        assert_read(outcome, CHEST, [frontal], orthanc, tmp_path)
        assert outcome.decision
        declined = {(each.bundle, each.series_uid) for each in outcome.decision.declined}
        assert (CHEST, lateral.SeriesInstanceUID) in declined

    def test_a_chest_and_a_wrist_in_one_study_get_a_report_each(
        self, service: Service, orthanc: Orthanc, tmp_path: Path
    ) -> None:
        images = study(chest(), wrist())
        outcome = send(service, images, tmp_path)
        assert outcome.state is State.DELIVERED
        assert {report.algorithm.name for report in outcome.reports} == {CHEST, WRIST}
        assert len(documents(orthanc, outcome.study_uid, "SR")) == 2

    @pytest.mark.parametrize("kind", ["hand", "chest-lateral"])
    def test_a_picture_that_is_not_what_its_header_says_is_undetermined(
        self, kind: str, service: Service, orthanc: Orthanc, tmp_path: Path
    ) -> None:
        images = [says(image, "CHEST") for image in study(drawn(kind))]
        assert "picture" in assert_undetermined(send(service, images, tmp_path), CHEST, orthanc)


def test_a_pneumothorax_is_flagged_for_early_reading(service: Service, orthanc: Orthanc, tmp_path: Path) -> None:
    images = study(with_air())
    outcome = send(service, images, tmp_path / "in")
    assert_read(outcome, CHEST, images, orthanc, tmp_path)
    (report,) = outcome.reports
    assert report.urgent
    (finding,) = [finding for finding in report.findings if finding.kind == "pneumothorax"]
    assert finding.presence is Presence.PRESENT
    assert {region.sop_instance_uid for region in finding.regions} <= {images[0].SOPInstanceUID}
    with urllib.request.urlopen(f"{service.address}/metrics", timeout=10) as answer:
        counted = [line for line in answer.read().decode().splitlines() if line.startswith("vigil_early_reading_total")]
    assert any(CHEST in line and float(line.rpartition(" ")[2]) >= 1 for line in counted), counted
    with urllib.request.urlopen(f"{service.address}/api/v1/studies/{outcome.study_uid}", timeout=10) as answer:
        assert '"urgent":true' in answer.read().decode().replace(" ", "")


class TestBadInput:
    def test_an_eight_bit_secondary_capture_is_read(self, service: Service, orthanc: Orthanc, tmp_path: Path) -> None:
        images = captured(chest())
        assert_read(send(service, images, tmp_path / "in"), CHEST, images, orthanc, tmp_path)

    def test_a_single_row_is_undetermined(self, service: Service, orthanc: Orthanc, tmp_path: Path) -> None:
        assert_undetermined(send(service, strip(chest()), tmp_path), CHEST, orthanc)

    def test_a_jpeg_that_ends_early_is_undetermined(self, service: Service, orthanc: Orthanc, tmp_path: Path) -> None:
        (image,) = study(chest())
        outcome = send(service, [compressed(image, JPEGLSLossless, keep=0.4)], tmp_path)
        assert_undetermined(outcome, CHEST, orthanc)

    def test_the_same_jpeg_undamaged_is_read(self, service: Service, orthanc: Orthanc, tmp_path: Path) -> None:
        images = [compressed(image, JPEGLSLossless) for image in study(chest())]
        assert_read(send(service, images, tmp_path / "in"), CHEST, images, orthanc, tmp_path)

    def test_one_damaged_projection_never_makes_the_study_absent(
        self, service: Service, orthanc: Orthanc, tmp_path: Path
    ) -> None:
        whole, damaged = study(wrist(projection="PA"), wrist(projection="LATERAL"))
        damaged.PixelData = damaged.PixelData[:1000]
        outcome = send(service, [whole, damaged], tmp_path)
        assert outcome.state is State.DELIVERED
        (report,) = outcome.reports
        (finding,) = report.findings
        assert finding.presence is not Presence.ABSENT
        assert (finding.presence is Presence.UNDETERMINED) == (report.outcome is Outcome.PARTIAL)
        assert "image" in " ".join([report.reason, *report.notes])
        assert len(documents(orthanc, outcome.study_uid, "SR")) == 1

    def test_a_picture_that_shows_nothing_is_undetermined(
        self, service: Service, orthanc: Orthanc, tmp_path: Path
    ) -> None:
        (image,) = study(chest())
        image.PixelData = bytes(len(image.PixelData))
        assert_undetermined(send(service, [image], tmp_path), CHEST, orthanc)


def test_the_log_holds_no_patient_data(service: Service) -> None:
    for word in ("Test^Ray", "CompressedSamples", "1.2.826"):
        assert word not in service.log
