"""DICOMweb before a client that was not written here: what came and what was made is listed, and fetched byte-equal."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from dicomweb_client.api import DICOMwebClient
from dicomweb_client.session_utils import create_session
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import JPEGLSLossless, RLELossless

from app import outcomes
from app.documents import DICOM_KINDS, Document
from app.outcomes import StudyOutcome
from app.report import encode
from app.study import uid_hash
from tests.unit.audit.judge import read, told
from tests.unit.receive.objects import make_object, to_file
from tests.unit.report.factory import MADE_AT, STUDY_UID, make_report, make_study
from tests.unit.web.api.test_uploads import served
from tests.unit.web.house import House

SLICES = 4
OTHER = "1.2.77"
WHEN: dict[str, object] = {"StudyDate": "18951108", "StudyTime": "101500"}


@dataclass(frozen=True)
class Filled:
    """A service with a study of images and documents, and another one of two objects."""

    house: House
    address: str
    images: tuple[Path, ...]
    documents: tuple[Document, ...]

    def client(self, role: str = "viewer") -> DICOMwebClient:
        session = create_session()
        session.headers.update(self.house.bearer(role))
        return DICOMwebClient(self.address, session=session)

    def get(self, path: str, role: str = "viewer", **headers: str):  # type: ignore[no-untyped-def]
        session = create_session()
        return session.get(f"{self.address}{path}", headers=self.house.bearer(role) | headers)


def image(sop: str, **elements: object) -> Dataset:
    """A small image of another patient."""
    name = "<script>alert(1)</script>^O'Brien"
    return make_object(OTHER, sop, PatientName=name, SeriesInstanceUID=f"{OTHER}.1", **WHEN | elements)


def compressed(sop: str, syntax: str, pixels: np.ndarray) -> bytes:
    made = image(
        sop,
        Rows=pixels.shape[0],
        Columns=pixels.shape[1],
        BitsAllocated=16,
        BitsStored=16,
        HighBit=15,
        PixelRepresentation=0,
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        PixelData=pixels.tobytes(),
    )
    whole = dcmread(io.BytesIO(to_file(made)))
    whole.compress(syntax, generate_instance_uid=False)
    buffer = io.BytesIO()
    whole.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.fixture
def filled(house_of: Callable[..., House], tmp_path: Path) -> Iterator[Filled]:
    house = house_of(audit={"file": tmp_path / "audit.log"})
    study = make_study(tmp_path / "study", slices=SLICES)
    images = tuple(sorted((tmp_path / "study").glob("*.dcm")))
    key = f"{uid_hash(STUDY_UID)}-{'1' * 16}"
    documents = encode(make_report(), study, house.settings.results / key, made_at=MADE_AT)
    known = StudyOutcome(key, 1000.0, files=("a",), study_uid=STUDY_UID, documents=documents)
    outcomes.begin(house.settings.results, known)
    pixels = np.arange(64 * 48, dtype=np.uint16).reshape(64, 48)
    others = (
        compressed(f"{OTHER}.2", JPEGLSLossless, pixels),
        compressed(f"{OTHER}.3", RLELossless, pixels),
        to_file(image(f"{OTHER}.4", Modality="SR", SeriesNumber=7)),
    )
    client = house.client()
    for content in (*(each.read_bytes() for each in images), *others):
        answer = client.post("/api/v1/uploads", content=content, headers=house.bearer("operator"))
        assert answer.json()["stored"] == 1, answer.text
    with served(house) as port:
        yield Filled(house, f"http://127.0.0.1:{port}/dicom-web", images, documents)


def value(found: dict, tag: str) -> object:
    return found[tag]["Value"][0]


def spooled(filled: Filled, study: str) -> dict[str, bytes]:
    folder = filled.house.settings.spool.folder / "studies" / uid_hash(study)
    return {str(dcmread(each).SOPInstanceUID): each.read_bytes() for each in folder.iterdir()}


def data_set(file: bytes) -> bytes:
    """A file without its head, which says who stored it."""
    return file[144 + int.from_bytes(file[140:144], "little") :]


def test_lists_studies_with_what_the_standard_asks_for(filled: Filled) -> None:
    found = {value(each, "0020000D"): each for each in filled.client().search_for_studies()}
    assert set(found) == {STUDY_UID, OTHER}
    made = [each for each in filled.documents if each.kind in DICOM_KINDS]
    head = found[STUDY_UID]
    assert head["00080061"]["Value"] == sorted({"CT", *(dcmread(each.path).Modality for each in made)})
    assert value(head, "00201208") == SLICES + len(made)
    assert value(head, "00100020") == "P-1"
    assert value(found[OTHER], "00100010") == {"Alphabetic": "<script>alert(1)</script>^O'Brien"}
    assert value(head, "00081190").endswith(f"/dicom-web/studies/{STUDY_UID}")
    for tag in ("00080020", "00080030", "00080050", "00080090", "00100030", "00100040", "00200010"):
        assert "vr" in head[tag]
        assert "vr" in found[OTHER][tag]


def test_a_study_is_fetched_byte_for_byte_images_and_results(filled: Filled) -> None:
    client = filled.client()
    instances = client.search_for_instances(STUDY_UID)
    stored = spooled(filled, STUDY_UID)
    results = {each.sop_instance_uid: each.path.read_bytes() for each in filled.documents if each.kind in DICOM_KINDS}
    assert {value(each, "00080018") for each in instances} == set(stored) | set(results)
    assert len(stored) == SLICES
    for each in instances:
        series, sop = str(value(each, "0020000E")), str(value(each, "00080018"))
        path = f"/studies/{STUDY_UID}/series/{series}/instances/{sop}"
        assert filled.get(path, Accept="application/dicom").content == (stored | results)[sop]
        client.retrieve_instance(STUDY_UID, series, sop)
    assert sorted(data_set(each) for each in stored.values()) == sorted(
        data_set(each.read_bytes()) for each in filled.images
    )
    whole = client.retrieve_study(STUDY_UID)
    assert {each.SOPInstanceUID for each in whole} == set(stored) | set(results)
    parts = filled.get(f"/studies/{STUDY_UID}")
    assert parts.headers["content-type"].startswith('multipart/related; type="application/dicom"; boundary=')
    for content in (*stored.values(), *results.values()):
        assert content in parts.content
    series = str(value(client.search_for_series(STUDY_UID, search_filters={"Modality": "CT"})[0], "0020000E"))
    assert len(client.retrieve_series(STUDY_UID, series)) == SLICES


def test_metadata_are_the_headers_and_pixels_come_by_address(filled: Filled) -> None:
    client = filled.client()
    found = client.retrieve_study_metadata(STUDY_UID)
    assert len(found) == SLICES + sum(each.kind in DICOM_KINDS for each in filled.documents)
    stored = spooled(filled, STUDY_UID)
    for each in found:
        sop = str(value(each, "00080018"))
        if sop in stored:
            whole = dcmread(io.BytesIO(stored[sop]))
            # The client names us without our port: the address of the path is what counts.
            address = urlsplit(each["7FE00010"]["BulkDataURI"]).path.removeprefix("/dicom-web")
            assert client.retrieve_bulkdata(f"{filled.address}{address}")[0] == whole.PixelData
            told = Dataset.from_json({tag: content for tag, content in each.items() if tag != "7FE00010"})
            del whole.PixelData
            assert told.to_json_dict() == whole.to_json_dict()


def test_frames_are_as_stored(filled: Filled) -> None:
    client = filled.client()
    (ct,) = client.search_for_series(STUDY_UID, search_filters={"Modality": "CT"})
    series = str(value(ct, "0020000E"))
    stored = spooled(filled, STUDY_UID)
    sop = next(iter(sorted(stored)))
    frame = client.retrieve_instance_frames(STUDY_UID, series, sop, [1])
    assert frame[0] == dcmread(io.BytesIO(stored[sop])).PixelData
    base = f"/studies/{OTHER}/series/{OTHER}.1/instances"
    wild = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
    jls = filled.get(f"{base}/{OTHER}.2/frames/1", Accept=wild)
    assert jls.status_code == 200
    assert f"Content-Type: image/jls; transfer-syntax={JPEGLSLossless}".encode() in jls.content
    (decoded,) = client.retrieve_instance_frames(
        OTHER, f"{OTHER}.1", f"{OTHER}.2", [1], media_types=(("image/jls", JPEGLSLossless),)
    )
    assert decoded.startswith(b"\xff\xd8")
    refused = filled.get(f"{base}/{OTHER}.3/frames/1", Accept='multipart/related; type="application/octet-stream"')
    assert (refused.status_code, "image/dicom-rle" in refused.json()["detail"]) == (406, True)
    assert filled.get(f"{base}/{OTHER}.2/frames/2", Accept=wild).status_code == 404
    assert filled.get(f"{base}/{OTHER}.4/frames/1", Accept=wild).status_code == 404


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("StudyInstanceUID=1.2.77", {OTHER}),
        (f"0020000D=1.2.77,{STUDY_UID}", {OTHER, STUDY_UID}),
        ("StudyInstanceUID=1.2.7", set()),
        ("PatientID=P-*", {STUDY_UID}),
        ("PatientID=P-?", {STUDY_UID}),
        ("PatientID=p-1", set()),
        ("PatientName=*O'BRIEN", {OTHER}),
        ("ModalitiesInStudy=SR", {OTHER, STUDY_UID}),
        ("ModalitiesInStudy=MR", set()),
        ("PatientID=&limit=1&offset=2", set()),
        ("StudyDate=18951108", {OTHER}),
        ("StudyDate=18950101-18960101", {OTHER}),
        ("StudyDate=-18951107", set()),
        ("StudyDate=18951109-", {STUDY_UID}),
        ("StudyTime=10&PatientID=1", {OTHER}),
        ("limit=0", set()),
    ],
)
def test_searches(query: str, found: set[str], filled: Filled) -> None:
    answer = filled.get(f"/studies?{query}")
    assert answer.status_code == 200, answer.text
    assert {value(each, "0020000D") for each in answer.json()} == found


def test_a_page_says_that_more_follows_and_the_client_gets_all(filled: Filled) -> None:
    first = filled.get(f"/studies/{STUDY_UID}/instances?limit=2&fuzzymatching=true")
    assert len(first.json()) == 2
    warnings = first.headers["warning"]
    assert "fuzzymatching parameter is not supported" in warnings
    assert "Additional results can be requested" in warnings
    all_of_it = filled.client().search_for_instances(STUDY_UID, limit=2, get_remaining=True)
    uids = [value(each, "00080018") for each in all_of_it]
    assert len(uids) == len(set(uids)) == SLICES + sum(each.kind in DICOM_KINDS for each in filled.documents)


@pytest.mark.parametrize(
    ("path", "accept", "status", "words"),
    [
        ("/studies?Nonsense=1", "*/*", 400, "no DICOM attribute"),
        ("/studies?Modality=CT", "*/*", 400, "not matched in a search for study"),
        ("/studies?limit=-1", "*/*", 400, "limit"),
        ("/studies?limit=%F0%9F%98%80", "*/*", 400, "limit"),
        ("/studies?StudyDate=yesterday", "*/*", 400, "20260131"),
        ("/studies?fuzzymatching=maybe", "*/*", 400, "neither true nor false"),
        ("/studies", "application/dicom+xml", 406, "application/dicom+json"),
        ("/studies", ";;;", 400, "accept"),
        ("/studies/1.2.999", "*/*", 404, "/dicom-web/studies"),
        ("/studies/1.2.999/series", "*/*", 404, "/dicom-web/studies"),
        ("/studies/..%2f..%2fetc", "*/*", 404, ""),
        ("/studies/abc", "*/*", 422, "study"),
        (f"/studies/{OTHER}", "application/dicom; transfer-syntax=1.2.840.10008.1.2", 406, "transfer-syntax=*"),
        (f"/studies/{OTHER}", "application/dicom", 406, "multipart"),
        (f"/studies/{OTHER}/rendered", "image/jpeg", 406, "page of the study"),
        (f"/studies/{OTHER}/series/{OTHER}.1/instances/{OTHER}.2/frames/0", "*/*", 404, "frames 1 to 1"),
        (f"/studies/{OTHER}/series/{OTHER}.1/instances/{OTHER}.2/bulkdata/00100010", "*/*", 404, "BulkDataURI"),
    ],
)
def test_what_cannot_be_answered_is_a_problem(path: str, accept: str, status: int, words: str, filled: Filled) -> None:
    answer = filled.get(path, Accept=accept)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert words in answer.json()["detail"]


def test_who_looked_stands_in_the_audit_trail_once(filled: Filled, tmp_path: Path) -> None:
    assert filled.get("/studies").status_code == 200
    assert filled.get(f"/studies/{STUDY_UID}/metadata").status_code == 200
    assert filled.get(f"/studies/{STUDY_UID}/series").status_code == 200
    assert filled.get(f"/studies/{STUDY_UID}", role="monitor").status_code == 403
    found = [told(each) for each in read(tmp_path / "audit.log")]
    looked = [each for each in found if each["event"] == "DICOM Instances Accessed"]
    assert [each["what"] for each in looked] == [{"Study Instance UID": STUDY_UID, "Patient Number": "P-1"}]
    assert looked[0]["who"]["the-viewer"][0] is True
    came = [each["who"] for each in found if each["event"] == "DICOM Instances Transferred"]
    assert len(came) == SLICES + 3
    assert all("the-operator" in each for each in came)


def test_a_superseded_revision_s_documents_are_not_listed_beside_the_newer_ones(filled: Filled) -> None:
    from dataclasses import replace

    results = filled.house.settings.results
    older = outcomes.study(filled.house.settings, STUDY_UID)
    assert older is not None
    report = make_report()
    outcomes.record(results / older.key, lambda known: replace(known, reports=(report,)))
    newer = f"{uid_hash(STUDY_UID)}-{'2' * 16}"
    study = make_study(filled.images[0].parent.parent / "again", slices=SLICES)
    documents = encode(replace(report, revision="2" * 16), study, results / newer, made_at=MADE_AT)
    outcomes.begin(
        results,
        replace(older, key=newer, received_at=2000.0, files=("a", "b"), reports=(report,), documents=documents),
    )
    listed = {value(each, "00080018") for each in filled.client().search_for_instances(STUDY_UID)}
    kinds = [each for each in documents if each.kind in DICOM_KINDS]
    assert {each.sop_instance_uid for each in kinds} <= listed
    assert not listed & {each.sop_instance_uid for each in filled.documents if each.kind in DICOM_KINDS}
