"""While no worker runs: what was received is in the lists, has a page with its images, and pages say what is wrong."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app import outcomes
from app.arrivals import Arrivals, key_of
from app.outcomes import StudyOutcome
from app.receive.spool import Spool
from app.settings import Settings
from app.study import revision_of, uid_hash
from app.web.health import Pulse
from app.web.server import create_app
from app.web.worklist import mark_of
from bundles.common.headers import read_header
from tests.unit.report.factory import STUDY_UID, make_study
from tests.unit.worklist_cases import settings_in, with_tables

KEY = key_of(uid_hash(STUDY_UID))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = settings_in(tmp_path)
    make_study(tmp_path / "in")
    spool = Spool(settings.spool.folder, 0)
    for path in sorted((tmp_path / "in").glob("*.dcm")):
        read = read_header(path).dataset
        content = path.read_bytes()
        start = 144 + int.from_bytes(content[140:144], "little")
        spool.store(
            content[start:],
            sop_class_uid=read.SOPClassUID,
            sop_instance_uid=read.SOPInstanceUID,
            transfer_syntax_uid=read.file_meta.TransferSyntaxUID,
            calling_ae="CT1",
        )
    return settings


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    engine = with_tables(settings)
    yield TestClient(create_app(settings, dict))
    engine.dispose()


def test_the_worklist_lists_it(client: TestClient) -> None:
    text = client.get("/", params={"q": STUDY_UID}).text
    assert f'id="{KEY}"' in text
    assert "no worker has begun this study yet" in text
    assert "1 study" in text


@pytest.mark.parametrize("name", [STUDY_UID, uid_hash(STUDY_UID), KEY])
def test_it_has_a_page_with_its_images(client: TestClient, name: str) -> None:
    answer = client.get(f"/study/{name}")
    assert answer.status_code == 200
    for words in ("Jane Doe", "4 images have come so far", "No worker has begun this study yet", 'id="viewer"'):
        assert words in answer.text, words
    assert "Analyse again" not in answer.text
    assert client.get(f"/study/{name}/series/0/slices/0").status_code == 200
    assert client.get(f"/study/{name}/series/0/thumbnail").headers["content-type"] == "image/png"


def test_a_study_tells_where_its_images_came_from(settings: Settings) -> None:
    arrivals = Arrivals(settings)
    found = arrivals.find(STUDY_UID)
    assert found is not None
    assert arrivals.study(found).sources == ("CT1",)


def test_the_api_tells_it_by_name_and_lists_what_was_begun(client: TestClient) -> None:
    detail = client.get(f"/api/v1/studies/{STUDY_UID}").json()
    assert (detail["key"], detail["state"], detail["images"]) == (KEY, "received", 4)
    assert client.get("/api/v1/studies").json()["items"] == []
    assert client.post(f"/api/v1/studies/{KEY}/rerun").status_code in {401, 403, 409}


def test_the_page_of_the_system_counts_it(client: TestClient) -> None:
    text = client.get("/system").text
    assert "Studies received, begun by no worker</dt><dd>1, the one that waits longest since" in text


def test_a_worker_is_missed_only_after_it_had_time_to_show_itself() -> None:
    now, counts = [0.0], {"worker-1": 7}
    pulse = Pulse(lambda: dict(counts), 30.0, clock=lambda: now[0])
    assert not pulse.silent()
    pulse.feel()
    now[0] = 29.0
    assert not pulse.silent()
    now[0] = 31.0
    assert pulse.silent()
    counts["worker-1"] = 8
    pulse.feel()
    assert not pulse.silent()
    now[0] = 62.0
    pulse.feel()
    assert pulse.silent()


def test_pages_say_that_no_worker_answers(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("/", f"/study/{KEY}"):
        assert "No worker answers" not in client.get(address).text
    monkeypatch.setattr(Pulse, "silent", lambda _: True)
    for address in ("/", f"/study/{KEY}"):
        assert "No worker answers" in client.get(address).text
    assert f'data-turn="{mark_of(1, silent=True)}"' in client.get("/").text
    assert mark_of(1, silent=True) != mark_of(1, silent=False)


@pytest.mark.parametrize("interrupted", [False, True])
def test_old_revisions_tell_of_further_images_only_until_they_are_begun(
    interrupted: bool, client: TestClient, settings: Settings
) -> None:
    spool = Spool(settings.spool.folder, 0)
    study = uid_hash(STUDY_UID)
    files = spool.files(study)
    if interrupted:
        (settings.spool.folder / "interrupted" / study).write_text("x\n0\n")

    def begin(count: int) -> str:
        part, broken = files[:count], interrupted and count == len(files)
        key = f"{study}-{revision_of(part, interrupted=broken)}"
        return outcomes.begin(
            settings.results,
            StudyOutcome(key, 1000.0, files=tuple(each.name for each in part), study_uid=STUDY_UID, interrupted=broken),
        ).key

    old = begin(2)
    words = "Further images of this study have come"
    assert words in client.get(f"/study/{old}").text
    new = begin(len(files))
    assert (settings.spool.folder / "active" / study).exists()
    for key in (old, new):
        assert words not in client.get(f"/study/{key}").text
