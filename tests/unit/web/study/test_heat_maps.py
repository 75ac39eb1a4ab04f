"""Heat maps of a study's images: named to the viewer, shown to whoever may see the images, gone with the results."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app import outcomes
from app.findings import Presence
from app.heat import heat_file, heat_name, keep_heat
from app.outcomes import StudyOutcome
from tests.unit.report.radiographs import STUDY_UID, image_uid, wrist_report, wrist_study
from tests.unit.web.study.received import ROLES, Site, begun, finished, spooled

HEAT = np.arange(256, dtype=np.uint8).reshape(16, 16)
FRACTURE = "wrist_fracture"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.of(tmp_path, audit={"file": tmp_path / "audit.log"})


@pytest.fixture
def seen(site: Site, tmp_path: Path) -> StudyOutcome:
    """A fracture in the second of two projections."""
    wrist_study(tmp_path / "in")
    outcome, study = begun(site.settings, spooled(site.settings, sorted((tmp_path / "in").glob("*.dcm"))))
    return finished(site.settings, outcome, study, wrist_report())


def kept(site: Site, outcome: StudyOutcome, number: int) -> Path:
    path = heat_file(site.settings.results / outcome.key, heat_name("wrist_fracture", FRACTURE, image_uid(number)))
    keep_heat(path, HEAT)
    return path


def told(site: Site, outcome: StudyOutcome, number: int) -> list[dict[str, object]]:
    found: list[dict[str, object]] = site.client().get(f"/study/{outcome.key}/series/{number}").json()["heats"]
    return found


def test_the_image_in_which_it_is_present_has_a_heat_map_for_its_viewer(site: Site, seen: StudyOutcome) -> None:
    path = kept(site, seen, 2)
    kept(site, seen, 1)  # of an analysis that never answered: this projection is below the threshold
    assert told(site, seen, 0) == []
    (heat,) = told(site, seen, 1)
    name = heat.pop("name")
    assert heat == {"slice": 0, "bundle": "wrist_fracture", "finding": FRACTURE}
    answer = site.client().get(f"/study/{seen.key}/series/1/heat/{name}")
    assert (answer.status_code, answer.content) == (200, path.read_bytes())
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("image/png", "no-store")
    assert site.client().get(f"/study/{seen.key}/series/0/heat/{name}").status_code == 404


def test_without_a_file_or_a_finding_there_is_none(site: Site, seen: StudyOutcome) -> None:
    assert told(site, seen, 1) == []
    kept(site, seen, 2)
    absent = wrist_report(Presence.ABSENT, revision=seen.reports[0].revision)
    outcomes.record(site.settings.results / seen.key, lambda known: replace(known, reports=(absent,)))
    assert told(site, seen, 1) == []


def test_another_revision_has_its_own(site: Site, seen: StudyOutcome) -> None:
    """Two runs of the same images: what the older one kept is not shown as the newer one's."""
    kept(site, seen, 2)
    files = [site.settings.spool.folder / "studies" / seen.key.partition("-")[0] / name for name in seen.files]
    fewer, study = begun(site.settings, files[1:], study_uid=STUDY_UID)
    finished(site.settings, fewer, study, replace(wrist_report(), more=(), series_uid=study.series[0].uid))
    assert told(site, fewer, 0) == []
    assert len(told(site, seen, 1)) == 1


@pytest.mark.parametrize("role", ["", *ROLES])
def test_whoever_may_see_the_images_sees_it_and_nobody_else(site: Site, seen: StudyOutcome, role: str) -> None:
    kept(site, seen, 2)
    (heat,) = told(site, seen, 1)
    answer = site.client(role).get(f"/study/{seen.key}/series/1/heat/{heat['name']}")
    assert answer.status_code == (200 if role else 401)


def test_the_sight_is_written_down(site: Site, seen: StudyOutcome, tmp_path: Path) -> None:
    path = kept(site, seen, 2)
    name = re.fullmatch(r"\.heat-(.*)\.png", path.name)
    assert name
    assert site.client().get(f"/study/{seen.key}/series/1/heat/{name[1]}").status_code == 200
    assert (tmp_path / "audit.log").read_text().count("DICOM Instances Accessed") == 1


@pytest.mark.parametrize(
    ("name", "status"),
    [("0" * 32, 404), ("0" * 31, 422), ("..%2f..%2foutcome.json", 404), ("%2e%2e", 422), ("A" * 32, 422)],
)
def test_other_names_lead_nowhere(site: Site, seen: StudyOutcome, name: str, status: int) -> None:
    kept(site, seen, 2)
    assert site.client().get(f"/study/{seen.key}/series/1/heat/{name}").status_code == status


def test_one_that_is_gone_since_is_said(site: Site, seen: StudyOutcome) -> None:
    client, path = site.client(), kept(site, seen, 2)
    name = client.get(f"/study/{seen.key}/series/1").json()["heats"][0]["name"]
    path.unlink()
    answer = client.get(f"/study/{seen.key}/series/1/heat/{name}")
    assert (answer.status_code, "load the page" in answer.json()["detail"]) == (410, True)


def test_the_page_says_where_it_is_and_is_off_at_first(site: Site, seen: StudyOutcome) -> None:
    page = site.client().get(f"/study/{seen.key}").text
    assert re.search(r'data-layer="looked"[^>]*aria-pressed="false"[^>]*hidden>Heat map<', page)
    assert "where the network looked (Grad-CAM); no outline of a finding" in page
    assert re.search(r"<noscript>.*[Hh]eat map.*</noscript>", page)
