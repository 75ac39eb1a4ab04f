"""The page of a study and its parts, over a real spool, real documents and people of each role."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from app import outcomes
from app.assignment import Declined
from app.documents import DocumentKind, Receipt, Waiting
from app.findings import Presence
from app.outcomes import StudyOutcome
from app.receive.pruning import Tombstones
from app.settings import Settings
from bundles.common.reader import read_stack
from tests.unit.report.factory import STUDY_UID, make_study
from tests.unit.report.radiographs import chest_report, chest_study
from tests.unit.report.volumes import lesion_report
from tests.unit.web.study.received import ROLES, Site, begun, document_of, finished, spooled

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.of(tmp_path, audit={"file": tmp_path / "audit.log"})


def head(site: Site, tmp_path: Path, **headers: object) -> StudyOutcome:
    """A head CT of four slices with lesions in three of them."""
    make_study(tmp_path / "in", headers=headers)
    outcome, study = begun(site.settings, spooled(site.settings, sorted((tmp_path / "in").glob("*.dcm"))))
    report = lesion_report(study, site.settings.results / outcome.key)
    uid = study.series[0].uid
    declined = (Declined("chest/accepts", "chest", uid, 0, ("Modality is <b>CT</b>, wanted CR",)),)
    return finished(site.settings, outcome, study, report, declined=declined)


@pytest.fixture
def seen(site: Site, tmp_path: Path) -> StudyOutcome:
    return head(site, tmp_path)


def values_of(answer: object) -> np.ndarray:  # type: ignore[type-arg]
    headers, content = answer.headers, answer.content  # type: ignore[attr-defined]
    kind = np.dtype(headers["Vigil-Kind"]).newbyteorder("<")
    return np.frombuffer(content, kind).reshape(int(headers["Vigil-Rows"]), int(headers["Vigil-Columns"]))


def test_shows_what_was_found_where_and_why_others_declined(site: Site, seen: StudyOutcome) -> None:
    answer = site.client().get(f"/study/{seen.key}")
    assert answer.status_code == 200
    for words in (
        "Jane Doe",
        "Brain metastasis",
        "lesion 1 of 2",
        "probability 93.7 %, threshold 50.0 %",
        "Modality is &lt;b&gt;CT&lt;/b&gt;, wanted CR",
        "0x0000 Success",
        "committed",
        "This is the only revision",
    ):
        assert words in answer.text, words
    assert len(answer.content) < 300_000
    assert "<script>" not in answer.text.replace("<script type", "").replace("<script src", "")


def test_scripts_in_headers_stay_text(site: Site, tmp_path: Path) -> None:
    outcome = head(
        site, tmp_path, PatientName=f"Doe{SCRIPT}^Jane", SeriesDescription=f'"{SCRIPT}', StudyDescription=SCRIPT
    )
    client = site.client()
    page = client.get(f"/study/{outcome.key}").text
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 3
    assert SCRIPT not in page
    for document in outcome.documents:
        view = client.get(f"/study/{outcome.key}/documents/{document.path.name}")
        assert view.status_code == 200, document.path.name
        assert SCRIPT not in view.text
    assert SCRIPT in client.get(f"/study/{outcome.key}/series/0").json()["name"]


def test_slices_are_the_numbers_of_the_reader(site: Site, seen: StudyOutcome, tmp_path: Path) -> None:
    expected = read_stack(tmp_path / "in").array
    client = site.client()
    for index in range(4):
        answer = client.get(f"/study/{seen.key}/series/0/slices/{index}")
        assert answer.headers["Vigil-Units"] == "HU"
        assert values_of(answer).tolist() == expected[index].tolist()


def test_a_series_tells_its_viewer_what_to_draw(site: Site, seen: StudyOutcome) -> None:
    found = site.client().get(f"/study/{seen.key}/series/0").json()
    assert (found["rows"], found["columns"], found["slices"], found["between_mm"]) == (64, 64, 4, 5.0)
    assert found["edges"] == {"left": "R", "right": "L", "top": "A", "bottom": "P"}
    assert found["positions_mm"] == [0, 5, 10, 15]
    (scores,) = found["scores"]
    assert scores["values"] == [0.125, 0.875, 0.875, 0.875]
    assert found["start"] == scores["top"] == 1
    assert {mark["layer"] for mark in found["marks"]} == {"outline", "centre"}
    assert {mark["slice"] for mark in found["marks"] if mark["layer"] == "outline"} == {1, 2, 3}
    assert found["problems"] == []


def test_radiographs_show_their_boxes_and_directions(site: Site, tmp_path: Path) -> None:
    chest_study(tmp_path / "in")
    outcome, study = begun(site.settings, spooled(site.settings, sorted((tmp_path / "in").glob("*.dcm"))))
    outcome = finished(site.settings, outcome, study, chest_report())
    found = site.client().get(f"/study/{outcome.key}/series/0").json()
    assert found["edges"] == {"left": "R", "right": "L", "top": "H", "bottom": "F"}
    assert (found["spacing_mm"], found["at_detector"], found["slices"]) == ([0.5, 0.5], True, 1)
    expected = [list(region.box) for finding in outcome.reports[0].findings for region in finding.regions]
    boxes = [mark["lines"][0] for mark in found["marks"] if mark["layer"] == "detection"]
    assert [[box[0], box[1], box[2], box[5]] for box in boxes] == expected
    assert expected


def test_every_document_is_read_and_kept_as_it_is(site: Site, seen: StudyOutcome) -> None:
    client = site.client()
    assert {each.kind for each in seen.documents} == set(DocumentKind)
    for document in seen.documents:
        name = document.path.name
        kept = client.get(f"/study/{seen.key}/documents/{name}/file")
        assert kept.content == document.path.read_bytes()
        assert f'filename="{name}"' in kept.headers["content-disposition"]
        assert kept.headers["content-disposition"].startswith("attachment")
        assert client.get(f"/study/{seen.key}/documents/{name}").status_code == 200
    tree = client.get(f"/study/{seen.key}/documents/{document_of(seen, DocumentKind.SR).path.name}").text
    for words in ("Neoplasm, Secondary (14799000, SCT)", "Present (52101004, SCT)", "RESEARCH USE ONLY"):
        assert words in tree, words
    picture = client.get(f"/study/{seen.key}/documents/{document_of(seen, DocumentKind.KEY_IMAGE).path.name}/picture")
    assert picture.content.startswith(b"\x89PNG")
    pdf = client.get(f"/study/{seen.key}/documents/{document_of(seen, DocumentKind.PDF).path.name}/pdf")
    assert pdf.content.startswith(b"%PDF-")
    assert pdf.headers["content-disposition"].startswith("inline")


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/study/" + "0" * 32 + "-" + "0" * 16, 404),
        ("/study/..%2f..%2fetc", 404),
        ("/study/%00", 404),
        ("/study/" + "9" * 3000, 404),
        ("/study/{key}/documents/outcome.json", 404),
        ("/study/{key}/documents/..%2foutcome.json", 404),
        ("/study/{key}/documents/%2e%2e/file", 404),
        ("/study/{key}/series/9", 404),
        ("/study/{key}/series/-1", 422),
        ("/study/{key}/series/x", 422),
        ("/study/{key}/series/0/slices/4", 404),
        ("/study/{key}/series/0/slices/99999999999999999999", 422),
    ],
)
def test_what_is_not_there_is_said(site: Site, seen: StudyOutcome, address: str, status: int) -> None:
    answer = site.client().get(address.format(key=seen.key))
    assert answer.status_code == status


def test_a_study_that_retention_removed_is_told_from_one_that_never_was(site: Site, seen: StudyOutcome) -> None:
    client, study = site.client(), seen.key.partition("-")[0]
    assert client.get(f"/study/{seen.key}/series/0/slices/0").status_code == 200
    for file in (site.settings.spool.folder / "studies" / study).iterdir():
        file.unlink()
    (site.settings.spool.folder / "pruned").mkdir()
    Tombstones(site.settings.spool.folder / "pruned").add(study, seen.files)
    page = client.get(f"/study/{seen.key}")  # the results are still there
    assert (page.status_code, "lesion 1 of 2" in page.text) == (200, True)
    assert "send the study once more to see them here" in page.text
    assert "(retention). How they came was not noted;" in page.text
    assert "PACS;" not in page.text
    assert 'id="viewer-canvas"' not in page.text
    gone = site.client().get(f"/study/{seen.key}/series/0/slices/1")
    assert gone.status_code == 410
    assert "send the study once more" in gone.json()["detail"]
    (site.settings.results / seen.key).rename(site.settings.results / ".gone")
    page = client.get(f"/study/{seen.key}")
    assert page.status_code == 410
    assert "retention" in page.text


def test_damaged_pixels_say_so(site: Site, tmp_path: Path) -> None:
    make_study(tmp_path / "in")
    files = spooled(site.settings, sorted((tmp_path / "in").glob("*.dcm")))
    files[1].write_bytes(files[1].read_bytes()[:-100])
    outcome, study = begun(site.settings, files)
    client = site.client()
    index = [each.path.name for each in study.series[0].instances].index(files[1].name)
    answer = client.get(f"/study/{outcome.key}/series/0/slices/{index}")
    assert answer.status_code == 422
    assert "truncated" in answer.json()["detail"]
    assert any("truncated" in problem for problem in client.get(f"/study/{outcome.key}/series/0").json()["problems"])
    assert client.get(f"/study/{outcome.key}").status_code == 200


def test_a_damaged_document_says_so_and_the_others_are_whole(site: Site, seen: StudyOutcome) -> None:
    damaged = document_of(seen, DocumentKind.SR).path
    damaged.write_bytes(b"no DICOM at all")
    client = site.client()
    answer = client.get(f"/study/{seen.key}/documents/{damaged.name}")
    assert (answer.status_code, "damaged" in answer.text) == (422, True)
    damaged.unlink()
    assert client.get(f"/study/{seen.key}/documents/{damaged.name}/file").status_code == 410
    assert client.get(f"/study/{seen.key}").status_code == 200
    assert (
        client.get(f"/study/{seen.key}/documents/{document_of(seen, DocumentKind.JSON).path.name}").status_code == 200
    )


@pytest.mark.parametrize("deed", ["replay", "rerun"])
@pytest.mark.parametrize("role", ["", *ROLES])
def test_only_operators_act(site: Site, seen: StudyOutcome, role: str, deed: str) -> None:
    answer = site.client(role).post(f"/study/{seen.key}/{deed}")
    if role in {"operator", "admin"}:
        # No destinations are set up here, which is a reason of its own; another analysis is begun.
        assert answer.status_code == (409 if deed == "replay" else 303)
    else:
        assert answer.status_code == (403 if role else 401)


def test_nobody_sees_anything(site: Site, seen: StudyOutcome) -> None:
    client = site.client("")
    for part in (
        "",
        "/series/0",
        "/series/0/slices/0",
        "/series/0/thumbnail",
        f"/documents/{seen.documents[0].path.name}/file",
    ):
        assert client.get(f"/study/{seen.key}{part}").status_code == 401


def test_a_browser_needs_the_token_of_its_form(site: Site, seen: StudyOutcome) -> None:
    client = site.client("")
    secret = site.secrets["operator"]
    csrf = re.search(r'name="csrf" value="([^"]+)"', client.get("/login").text)
    assert csrf
    assert client.post("/login", data={"token": secret, "csrf": csrf[1]}).status_code == 303
    page = client.get(f"/study/{seen.key}").text
    assert client.post(f"/study/{seen.key}/rerun").status_code == 403
    assert client.post(f"/study/{seen.key}/rerun", data={"csrf": "1.x"}).status_code == 403
    token = re.search(r'name="csrf" value="([^"]+)"', page)
    assert token
    answer = client.post(f"/study/{seen.key}/rerun", data={"csrf": token[1]})
    assert answer.status_code == 303
    assert answer.headers["location"] != f"/study/{seen.key}"


def test_viewers_get_no_buttons_that_they_may_not_press(site: Site, seen: StudyOutcome) -> None:
    assert "/rerun" not in site.client().get(f"/study/{seen.key}").text


def test_sights_are_written_down_once_for_a_stack(site: Site, seen: StudyOutcome, tmp_path: Path) -> None:
    client = site.client()
    client.get(f"/study/{seen.key}")
    for index in range(4):
        client.get(f"/study/{seen.key}/series/0/slices/{index}")
    told = (tmp_path / "audit.log").read_text()
    assert told.count("DICOM Instances Accessed") == 1
    site.client("operator").get(f"/study/{seen.key}/series/0/slices/0")
    site.client("operator").post(f"/study/{seen.key}/rerun")
    told = (tmp_path / "audit.log").read_text()
    assert told.count("DICOM Instances Accessed") == 3
    assert STUDY_UID in told


def test_what_waits_and_what_was_refused_is_told_with_advice(site: Site, seen: StudyOutcome) -> None:
    name, other = seen.documents[0].path.name, seen.documents[1].path.name

    def change(known: StudyOutcome) -> StudyOutcome:
        receipts = tuple(each for each in known.receipts if each.document not in {name, other})
        refused = Receipt("pacs", other, delivered=False, attempts=5, detail="0xA700 out of resources")
        late = Waiting("pacs", name, 2, "stored; commitment was asked for", 2e9, ("1.2.3",), 1.9e9)
        return replace(known, receipts=(*receipts, refused), waiting=(late,))

    outcomes.record(site.settings.results / seen.key, change)
    page = site.client().get(f"/study/{seen.key}").text
    for words in ("awaiting commitment", "asked for", "dead letter", "0xA700 out of resources", "replay", "2033-05-18"):
        assert words in page, words


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        (("VIGIL_UPLOAD",), "They came by upload to this service;"),
        (("CT1", "CT2"), "They came from CT1 and CT2 by DICOM;"),
        (("CT1", "VIGIL_UPLOAD"), "They came from CT1 by DICOM and by upload to this service;"),
    ],
)
def test_of_images_that_are_gone_it_is_told_how_they_came(
    site: Site, seen: StudyOutcome, sources: tuple[str, ...], words: str
) -> None:
    outcomes.record(site.settings.results / seen.key, lambda known: replace(known, sources=sources))
    for file in (site.settings.spool.folder / "studies" / seen.key.partition("-")[0]).iterdir():
        file.unlink()
    page = site.client().get(f"/study/{seen.key}").text
    assert words in page
    assert "nothing here tells why" in page


def test_while_a_destination_is_away_a_report_is_answered_and_sent_again(site: Site, seen: StudyOutcome) -> None:
    name = document_of(seen, DocumentKind.SR).path.name
    late = Waiting("pacs", name, 7, "no connection", 2e9)

    def change(known: StudyOutcome) -> StudyOutcome:
        receipts = tuple(each for each in known.receipts if each.document != name)
        return replace(known, receipts=receipts, waiting=(late,), finished_at=None)

    outcomes.record(site.settings.results / seen.key, change)
    destination = {"kind": "dicom", "name": "pacs", "host": "127.0.0.1", "port": 9, "ae_title": "PACS"}
    there = Site(Settings.model_validate(site.settings.model_dump() | {"destinations": [destination]}), site.secrets)
    operator = there.client("")
    csrf = re.search(r'name="csrf" value="([^"]+)"', operator.get("/login").text)
    assert csrf
    operator.post("/login", data={"token": there.secrets["operator"], "csrf": csrf[1]})
    page = operator.get(f"/study/{seen.key}").text
    assert 'data-final="no"' in page
    for words in (
        'data-load="/feedback/study/',
        "Send again",
        "7 attempts so far",
        f"1 of {len(seen.shipments)} deliveries goes on since",
    ):
        assert words in page, words
    assert "Send again" not in there.client("viewer").get(f"/study/{seen.key}").text


def test_a_study_on_its_way_shows_how_far_it_is(site: Site, tmp_path: Path) -> None:
    make_study(tmp_path / "in")
    outcome, _ = begun(site.settings, spooled(site.settings, sorted((tmp_path / "in").glob("*.dcm"))))
    page = site.client().get(f"/study/{outcome.key}").text
    assert 'data-final="no"' in page
    assert "The study is being assembled" in page


def test_revisions_are_compared(site: Site, seen: StudyOutcome, tmp_path: Path) -> None:
    files = [site.settings.spool.folder / "studies" / seen.key.partition("-")[0] / name for name in seen.files]
    fewer, study = begun(site.settings, files[:3], study_uid=STUDY_UID)
    report = lesion_report(study, site.settings.results / fewer.key, np.ones((64, 64, 3), np.int32))
    absent = replace(report.findings[0], presence=Presence.ABSENT, certainty=0.25, lesions=())
    finished(site.settings, fewer, study, replace(report, findings=(absent,)))
    page = site.client().get(f"/study/{seen.key}").text
    assert fewer.key in page
    assert "present 93 % (threshold 50 %)" in page
    assert "absent 25 % (threshold 50 %)" in page
    assert "1 image came." in page


def test_every_key_image_is_drawn_as_it_was_made(site: Site, seen: StudyOutcome) -> None:
    from io import BytesIO

    from PIL import Image

    document = document_of(seen, DocumentKind.KEY_IMAGE)
    answer = site.client().get(f"/study/{seen.key}/documents/{document.path.name}/picture")
    assert np.array_equal(np.asarray(Image.open(BytesIO(answer.content))), dcmread(document.path).pixel_array)
