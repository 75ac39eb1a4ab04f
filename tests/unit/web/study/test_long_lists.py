"""A study with thousands of findings, documents and rules: its page stays small, and nothing of it is out of reach."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from app import outcomes
from app.assignment import Assignment, Decision, Declined
from app.documents import Document, DocumentKind, Receipt
from app.findings import Finding, Lesion, LesionKind, Presence
from app.outcomes import Shipment, StudyOutcome, Timing
from app.web.study.lists import LISTED, PAGE, Part
from app.web.study.shortening import MOST
from tests.unit.report.factory import make_study
from tests.unit.report.volumes import lesion_report
from tests.unit.web.study.received import Site, begun, finished, spooled

BOUND_BYTES = 300_000
MANY = 3000


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.of(tmp_path)


def lesions(number: int) -> tuple[Lesion, ...]:
    """The later the more certain."""
    return tuple(
        Lesion(
            number=each + 1,
            kind=LesionKind.LESION,
            index=each % 4,
            sop_instance_uid="1.2",
            centre_mm=(0.0, 0.0, 0.0),
            certainty=each / number,
            volume_mm3=10.0,
            longest_diameter_mm=3.0,
        )
        for each in range(number)
    )


def crowd(site: Site, tmp_path: Path, many: int, analyses: int) -> StudyOutcome:
    """One finding with many lesions, five without, further analyses, and as many documents, rules and notes."""
    make_study(tmp_path / "in")
    outcome, study = begun(site.settings, spooled(site.settings, sorted((tmp_path / "in").glob("*.dcm"))))
    report = lesion_report(study, site.settings.results / outcome.key)
    outcome = finished(site.settings, outcome, study, report)
    main = report.findings[0]
    whole = replace(main, presence=Presence.PRESENT, lesions=lesions(many))
    others = tuple(Finding("lung_lesion", Presence.PRESENT, 0.9, 0.5) for _ in range(5))
    further = [replace(report, findings=others[:1], stack=number + 1) for number in range(analyses)]

    def change(known: StudyOutcome) -> StudyOutcome:
        assert known.decision is not None
        chosen = [Assignment("brain", "brain/accepts", report.series_uid, each.stack, 1) for each in further]
        documents = [Document(DocumentKind.JSON, "brain", tmp_path / f"{number}.json") for number in range(many)]
        return replace(
            known,
            reports=(replace(report, findings=(whole, *others)), *further),
            decision=Decision(
                (*known.decision.assignments, *(replace(each, bundle=report.algorithm.name) for each in chosen)),
                tuple(Declined(f"rule {each}", "head", report.series_uid, 0, ("why",)) for each in range(many)),
            ),
            documents=(*known.documents, *documents),
            shipments=(*known.shipments, *(Shipment(each.path.name, "pacs") for each in documents)),
            receipts=(*known.receipts, *(Receipt("pacs", each.path.name, True, 1, "0x0000") for each in documents)),
            timings=tuple(Timing("deliver", f"{each}.json to pacs", 0.1) for each in range(many)),
            notes=tuple(f"note {each}" for each in range(many)),
        )

    return outcomes.record(site.settings.results / outcome.key, change)


def test_its_page_is_bounded_and_shows_the_most_certain(site: Site, tmp_path: Path) -> None:
    crowded = crowd(site, tmp_path, MANY, 400)
    answer = site.client().get(f"/study/{crowded.key}")
    assert answer.status_code == 200
    assert len(answer.content) < BOUND_BYTES
    total = 1 + MANY + 5 + 400
    assert f"The {MOST} most certain of {total} findings" in answer.text
    for part in set(Part) - {Part.SERIES}:
        assert f'href="/study/{crowded.key}/all/{part}" data-swap="#all-{part}"' in answer.text, part
    form = site.client().get(f"/feedback/study/{crowded.key}")
    assert len(form.content) < BOUND_BYTES


@pytest.mark.parametrize("part", list(Part))
def test_every_list_is_read_to_its_end_page_by_page(site: Site, tmp_path: Path, part: Part) -> None:
    crowded = crowd(site, tmp_path, 230, 60)
    client, address, pages, rows = site.client(), f"/study/{crowded.key}/all/{part}", 0, 0
    while address:
        answer = client.get(address)
        assert answer.status_code == 200
        assert len(answer.content) < BOUND_BYTES
        body = answer.text.partition("<tbody>")[2].partition("</tbody>")[0]
        rows += len(re.findall("<tr>", body)) if body else answer.text.count("series-button")
        following = re.search(r'rel="next" href="([^"]+)"', answer.text)
        address, pages = following[1] if following else "", pages + 1
    expected = {
        Part.FINDINGS: 1 + 230 + 5 + 60,
        Part.SERIES: 1,
        Part.ANALYSES: 61,
        Part.RULES: 230,
        Part.DOCUMENTS: len(crowded.documents),
        Part.DELIVERIES: len(crowded.shipments),
    }
    assert rows == expected[part]
    assert pages == -(-expected[part] // PAGE)


def test_series_on_a_page_without_images_lead_to_the_page_that_shows_them(site: Site, tmp_path: Path) -> None:
    make_study(tmp_path / "in")
    outcome, study = begun(site.settings, spooled(site.settings, sorted((tmp_path / "in").glob("*.dcm"))))
    finished(site.settings, outcome, study, lesion_report(study, site.settings.results / outcome.key))
    listed = site.client().get(f"/study/{outcome.key}/all/series").text
    link = f'<a class="button series-button" href="/study/{outcome.key}#series-1-slice-1" data-series="0">'
    assert link in listed
    assert '<button type="button" class="series-button"' not in listed
    page = site.client().get(f"/study/{outcome.key}").text
    assert '<button type="button" class="series-button" data-series="0">' in page
    for text in (listed, page):
        assert (text.count("<a "), text.count("<button ")) == (text.count("</a>"), text.count("</button>"))


def test_lesions_take_no_place_of_a_finding_and_the_most_certain_come_first(site: Site, tmp_path: Path) -> None:
    make_study(tmp_path / "in")
    outcome, study = begun(site.settings, spooled(site.settings, sorted((tmp_path / "in").glob("*.dcm"))))
    report = lesion_report(study, site.settings.results / outcome.key)
    outcome = finished(site.settings, outcome, study, report)
    findings = (
        replace(report.findings[0], presence=Presence.PRESENT, certainty=0.6, lesions=lesions(MANY)),
        Finding("lung_lesion", Presence.ABSENT, 0.1, 0.5),
    )
    outcomes.record(
        site.settings.results / outcome.key, lambda known: replace(known, reports=(replace(report, findings=findings),))
    )
    text = site.client().get(f"/study/{outcome.key}").text
    assert text.count('<div class="finding">') == 2
    named = [int(each) for each in re.findall(r"lesion (\d+) of 3000", text)]
    assert named == list(range(MANY, MANY - MOST + 2, -1))
    first = site.client().get(f"/study/{outcome.key}/all/findings").text
    assert [int(each) for each in re.findall(r"lesion (\d+) of 3000", first)][:3] == [3000, 2999, 2998]


def test_short_lists_have_no_links(site: Site, tmp_path: Path) -> None:
    make_study(tmp_path / "in")
    outcome, study = begun(site.settings, spooled(site.settings, sorted((tmp_path / "in").glob("*.dcm"))))
    finished(site.settings, outcome, study, lesion_report(study, site.settings.results / outcome.key))
    text = site.client().get(f"/study/{outcome.key}").text
    assert "/all/" not in text
    assert "most certain of" not in text
    assert LISTED <= PAGE
    for wrong in ("all/nothing", "all/findings?from=-1", "all/findings?from=x"):
        assert site.client().get(f"/study/{outcome.key}/{wrong}").status_code == 422
    assert "1 to 0 of" not in site.client().get(f"/study/{outcome.key}/all/findings?from=99999").text
