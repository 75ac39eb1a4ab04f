"""Another analysis asked for by the API: answered with the new revision, refused in words, written down once."""

from dataclasses import replace
from pathlib import Path

import pytest

from app import outcomes, reruns
from app.arrivals import key_of
from app.assignment import Decision
from app.outcomes import StudyOutcome
from app.retention import pruning
from app.study import uid_hash
from tests.unit.report.factory import STUDY_UID, make_study
from tests.unit.web.study.received import Site, begun, spooled


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.of(tmp_path, audit={"file": tmp_path / "audit.log"})


@pytest.fixture
def known(site: Site, tmp_path: Path) -> StudyOutcome:
    """A study that no bundle wanted: as done as can be."""
    make_study(tmp_path / "in")
    files = spooled(site.settings, sorted((tmp_path / "in").glob("*.dcm")))
    return begun(site.settings, files, decision=Decision((), ()))[0]


def questions(site: Site) -> list[str]:
    return [path.stem for path in (site.settings.results / reruns.FOLDER).glob("*.json")]


@pytest.mark.parametrize("named_by", ["key", "uid"])
def test_the_answer_is_the_new_revision_which_a_worker_will_begin(
    named_by: str, site: Site, known: StudyOutcome, tmp_path: Path
) -> None:
    name = known.key if named_by == "key" else STUDY_UID
    answer = site.client("operator").post(f"/api/v1/studies/{name}/rerun")
    told = answer.json()
    assert (answer.status_code, told["state"], told["images"]) == (202, "received", len(known.files))
    assert told["key"] != known.key
    assert answer.headers["location"] == f"/api/v1/studies/{told['key']}"
    assert site.client().get(answer.headers["location"]).json()["key"] == told["key"]
    assert questions(site) == [told["key"]]
    audit = (tmp_path / "audit.log").read_text()
    assert audit.count("another analysis was asked for") == 1
    assert "the-operator" in audit


def test_who_asks_a_second_time_is_told_so_as_a_problem(site: Site, known: StudyOutcome, tmp_path: Path) -> None:
    client = site.client("operator")
    second = client.post(f"/api/v1/studies/{known.key}/rerun").json()["key"]
    for name, words in ((known.key, second.rpartition("-")[2]), (second, "not finished")):
        answer = client.post(f"/api/v1/studies/{name}/rerun")
        assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
        assert words in answer.json()["detail"]
    assert questions(site) == [second]
    assert (tmp_path / "audit.log").read_text().count("another analysis was asked for") == 1
    outcomes.record(site.settings.results / second, lambda each: replace(each, decision=Decision((), ())))
    assert client.post(f"/api/v1/studies/{second}/rerun").status_code == 202


def test_what_is_not_known_not_here_or_not_now_is_said(site: Site, known: StudyOutcome) -> None:
    client = site.client("operator")
    assert client.post(f"/api/v1/studies/{'0' * 32}/rerun").status_code == 404
    assert client.post("/api/v1/studies/Doe^Jane/rerun").status_code == 422
    with pruning(site.settings.run) as ours:
        assert ours
        answer = client.post(f"/api/v1/studies/{known.key}/rerun")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    next((site.settings.spool.folder / "studies").glob("*/*.dcm")).unlink()
    answer = client.post(f"/api/v1/studies/{known.key}/rerun")
    assert answer.status_code == 409
    assert "send the study once more" in answer.json()["detail"]
    assert questions(site) == []


@pytest.mark.parametrize(("role", "status"), [("", 401), ("viewer", 403), ("operator", 202), ("admin", 202)])
def test_only_operators_ask(role: str, status: int, site: Site, known: StudyOutcome) -> None:
    answer = site.client(role).post(f"/api/v1/studies/{known.key}/rerun")
    assert answer.status_code == status
    assert len(questions(site)) == (status == 202)


@pytest.mark.parametrize("deed", ["rerun", "replay"])
@pytest.mark.parametrize("named_by", ["key", "hash", "uid"])
def test_of_a_study_that_no_worker_has_begun_one_is_told_to_wait(
    named_by: str, deed: str, site: Site, tmp_path: Path
) -> None:
    make_study(tmp_path / "in")
    spooled(site.settings, sorted((tmp_path / "in").glob("*.dcm")))
    study = uid_hash(STUDY_UID)
    name = {"key": key_of(study), "hash": study, "uid": STUDY_UID}[named_by]
    client = site.client("operator")
    assert client.get(f"/api/v1/studies/{name}").status_code == 200
    words = "no worker has begun this study yet; wait until it is finished"
    answer = client.post(f"/api/v1/studies/{name}/{deed}")
    assert (answer.status_code, answer.json()["detail"]) == (409, words)
    page = client.post(f"/study/{name}/{deed}")
    assert (page.status_code, words in page.text.lower()) == (409, True)
    assert questions(site) == []
