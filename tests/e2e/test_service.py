"""One running service, many studies: real ones, and everything that is wrong with studies."""

import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml
from pydicom import Dataset, dcmread
from pydicom.uid import BasicTextSRStorage, generate_uid

from app.__main__ import main
from app.findings import Outcome, Presence
from app.outcomes import State, StudyOutcome
from bundles.common.reader import read_stack
from tests.allowlists.dciodvfy import errors
from tests.e2e.conftest import SCANNER, Orthanc, Service, destination, documents, installed
from tests.integration.workflow.tiny import ct_slices, write_bundle, write_files

pytestmark = [pytest.mark.debian, pytest.mark.timeout(200)]

HEAD = "head_ct_hemorrhage"
SMALL = {"name": "small", "bundle": "brightness", "replace": True, "when": {"Modality": "CT", "Rows": {"max": 64}}}


@pytest.fixture(scope="module")
def service(folder: Path, root: Path, orthanc: Orthanc) -> Iterator[Service]:
    """With the real bundle, and a quick one for the small studies that are written here."""
    bundles = folder / "bundles"
    bundles.mkdir()
    write_bundle(bundles)
    (bundles / HEAD).symlink_to(root / "bundles" / HEAD)
    (folder / "rules.yaml").write_text(yaml.safe_dump({"rules": [SMALL]}))
    with installed(
        folder,
        bundles={"folder": str(bundles)},
        routes=[str(folder / "rules.yaml")],
        destinations=[destination(orthanc)],
    ) as service:
        service.start()
        yield service
        assert service.stop() == 0


def send(service: Service, slices: Sequence[Dataset], folder: Path) -> StudyOutcome:
    """Send a study that was made here, and wait for its end."""
    write_files(folder, list(slices))
    sent = service.send(sorted(folder.iterdir()))
    assert set(sent.statuses) == {0}
    return service.outcome(slices[0].StudyInstanceUID)


def the_sr(orthanc: Orthanc, outcome: StudyOutcome) -> Dataset:
    (sr,) = documents(orthanc, outcome.study_uid, "SR")
    return sr


class TestRealStudies:
    @pytest.fixture(scope="class")
    @staticmethod
    def head(service: Service, imaging_data: Path) -> tuple[StudyOutcome, list[Path]]:
        files = sorted((imaging_data / "dicom" / "ct_head_ge").iterdir())
        assert set(service.send(files).statuses) == {0}
        return service.outcome(dcmread(files[0]).StudyInstanceUID), files

    def test_a_head_ct_ends_as_an_sr_at_the_pacs(
        self, head: tuple[StudyOutcome, list[Path]], orthanc: Orthanc, tmp_path: Path
    ) -> None:
        outcome, _ = head
        assert outcome.state is State.DELIVERED, outcome
        (report,) = outcome.reports
        assert (report.algorithm.name, report.outcome) == (HEAD, Outcome.SUCCEEDED)
        assert len(report.findings[0].slices) == 28
        assert documents(orthanc, outcome.study_uid, "SR")[0].PatientID == dcmread(head[1][0]).PatientID
        path = tmp_path / "sr.dcm"
        the_sr(orthanc, outcome).save_as(path)
        assert errors(path) == []
        dump = subprocess.run(["dsrdump", path], capture_output=True, check=True, timeout=30)
        assert b"Intracranial hemorrhage" in dump.stdout

    def test_its_tilt_is_named(self, head: tuple[StudyOutcome, list[Path]]) -> None:
        outcome, _ = head
        told = " ".join([*outcome.notes, *outcome.reports[0].notes])
        assert "tilt" in told

    def test_its_hounsfield_units_are_right(self, head: tuple[StudyOutcome, list[Path]], service: Service) -> None:
        """One voxel in the middle of each slice, against the arithmetic of PS3.3 C.11.1 by hand."""
        outcome, files = head
        spooled = [service.settings.spool.folder / "studies" / outcome.key[:32] / name for name in outcome.files]
        stack = read_stack(spooled)
        values = {}
        for file in files:
            data = dcmread(file)
            value = int(np.frombuffer(data.PixelData, "<i2").reshape(data.Rows, data.Columns)[256, 250])
            values[data.SOPInstanceUID] = value * float(data.RescaleSlope) + float(data.RescaleIntercept)
        assert [values[uid] for uid in stack.source_uids] == stack.array[:, 256, 250].tolist()

    def test_the_same_head_again_makes_nothing_new(
        self, head: tuple[StudyOutcome, list[Path]], service: Service, orthanc: Orthanc
    ) -> None:
        outcome, files = head
        assert set(service.send(files).statuses) == {0}
        service.until(lambda: not any((service.settings.spool.folder / "active").iterdir()), "the second round")
        assert service.outcome(outcome.study_uid) == outcome
        assert len(documents(orthanc, outcome.study_uid, "SR")) == 1

    @pytest.mark.parametrize(("name", "modality"), [("mr_t1c_mprage", "MR"), ("cr", "CR")])
    def test_what_no_bundle_wants_is_kept_with_the_reasons(
        self, name: str, modality: str, service: Service, imaging_data: Path, orthanc: Orthanc
    ) -> None:
        """Sent by our own `send`: storescu alone does not mix JPEG 2000 with JPEG-LS in one association."""
        folder = imaging_data / "dicom" / name
        port = str(service.settings.listener.port)
        with pytest.raises(SystemExit) as sent:
            main(["send", str(folder), "--port", port, "--calling", SCANNER])
        assert sent.value.code == 0
        files = sorted(folder.glob("*.dcm"))
        for uid in {dcmread(file, stop_before_pixels=True).StudyInstanceUID for file in files}:
            outcome = service.outcome(uid)
            assert outcome.state is State.UNWANTED
            assert outcome.decision
            reasons = {each.bundle: each.reasons for each in outcome.decision.declined}
            assert any(f"Modality is {modality}" in reason for reason in reasons[HEAD])
            assert documents(orthanc, uid, "SR") == []
            with urllib.request.urlopen(f"{service.address}/api/v1/studies/{uid}", timeout=10) as answer:
                assert f"Modality is {modality}".encode() in answer.read()
        assert len(list((service.settings.spool.folder / "studies").glob("*/*.dcm"))) >= len(files)


class TestBadInput:
    def test_a_stranger_is_rejected(self, service: Service, tmp_path: Path) -> None:
        write_files(tmp_path, ct_slices(slices=1))
        sent = service.send(list(tmp_path.iterdir()), calling_ae="STRANGER")
        assert sent.code != 0
        assert "Calling AE Title Not Recognized" in sent.log

    def test_an_object_without_pixels_is_kept_and_does_not_disturb(
        self, service: Service, orthanc: Orthanc, tmp_path: Path
    ) -> None:
        slices = ct_slices()
        outcome = send(service, [*slices, text_report(slices[0])], tmp_path)
        assert outcome.state is State.DELIVERED
        assert len(outcome.files) == 6
        assert the_sr(orthanc, outcome).StudyInstanceUID == outcome.study_uid

    def test_pixels_that_end_early_are_undetermined(self, service: Service, orthanc: Orthanc, tmp_path: Path) -> None:
        slices = ct_slices()
        slices[2].PixelData = slices[2].PixelData[:1000]
        outcome = send(service, slices, tmp_path)
        assert_undetermined(outcome, "")
        assert the_sr(orthanc, outcome)

    def test_a_missing_slice_is_named_and_undetermined(
        self, service: Service, orthanc: Orthanc, tmp_path: Path
    ) -> None:
        slices = ct_slices(slices=8)
        del slices[4]
        outcome = send(service, slices, tmp_path)
        assert_undetermined(outcome, "missing")
        assert the_sr(orthanc, outcome)

    def test_a_repeated_position_is_named(self, service: Service, tmp_path: Path) -> None:
        slices = ct_slices()
        slices[3].ImagePositionPatient = slices[2].ImagePositionPatient
        slices[4].ImagePositionPatient[2] = 15
        outcome = send(service, slices, tmp_path)
        assert outcome.state is State.DELIVERED
        assert "position" in " ".join([*outcome.notes, *outcome.reports[0].notes, outcome.reports[0].reason])

    def test_a_localizer_inside_the_series_is_set_apart(self, service: Service, tmp_path: Path) -> None:
        slices = ct_slices()
        slices[0].ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        slices[0].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        outcome = send(service, slices, tmp_path)
        assert outcome.state is State.DELIVERED
        assert [report.outcome for report in outcome.reports] == [Outcome.SUCCEEDED]
        assert len(outcome.reports[0].findings[0].slices) == 4

    def test_missing_rescale_tags_are_undetermined(self, service: Service, tmp_path: Path) -> None:
        slices = ct_slices()
        for each in slices:
            del each.RescaleSlope, each.RescaleIntercept, each.RescaleType
        assert_undetermined(send(service, slices, tmp_path), "escale")

    def test_one_slice_is_too_few(self, service: Service, orthanc: Orthanc, tmp_path: Path) -> None:
        outcome = send(service, ct_slices(slices=1), tmp_path)
        assert_undetermined(outcome, "1 slice")
        assert the_sr(orthanc, outcome)

    def test_a_missing_patient_id_stays_missing(self, service: Service, orthanc: Orthanc, tmp_path: Path) -> None:
        slices = ct_slices()
        for each in slices:
            del each.PatientID
        outcome = send(service, slices, tmp_path)
        assert outcome.state is State.DELIVERED
        assert the_sr(orthanc, outcome).PatientID in {None, ""}

    @pytest.mark.parametrize(
        ("characters", "name"),
        [
            (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
            ("ISO_IR 144", "Люкceмбypг^Иван"),
            ("ISO_IR 192", "Ørsted^山田"),
        ],
        ids=["japanese", "cyrillic", "unicode"],
    )
    def test_names_of_the_world_come_back_whole(
        self, characters: str | list[str], name: str, service: Service, orthanc: Orthanc, tmp_path: Path
    ) -> None:
        slices = ct_slices()
        for each in slices:
            each.SpecificCharacterSet = characters
            each.PatientName = name
        outcome = send(service, slices, tmp_path)
        assert outcome.state is State.DELIVERED
        assert str(the_sr(orthanc, outcome).PatientName) == name
        assert name.partition("^")[0] not in service.log


def assert_undetermined(outcome: StudyOutcome, reason: str) -> None:
    (report,) = outcome.reports
    assert {finding.presence for finding in report.findings} == {Presence.UNDETERMINED}
    assert reason in report.reason
    assert report.reason
    assert outcome.state is State.DELIVERED


def text_report(image: Dataset) -> Dataset:
    data = Dataset()
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber"):
        setattr(data, keyword, image[keyword].value)
    data.SOPClassUID = BasicTextSRStorage
    data.SOPInstanceUID = generate_uid()
    data.SeriesInstanceUID = generate_uid()
    data.Modality = "SR"
    data.SeriesNumber = data.InstanceNumber = 1
    data.ValueType = "CONTAINER"
    return data


def test_the_log_holds_no_patient_data(service: Service) -> None:
    for word in ("Test^Life", "山田", "1.2.826"):
        assert word not in service.log
