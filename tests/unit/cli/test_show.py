"""What `studies` says of a study in one line."""

from app.cli.show import headline
from app.findings import Algorithm, Finding, Presence
from app.outcomes import StudyOutcome
from tests.unit.report.radiographs import chest_report

CLEARED = Algorithm("chest_radiograph", "1", "0", "patients", "cleared")


def lesion(presence: Presence, certainty: float) -> Finding:
    return Finding("lung_lesion", presence, certainty, 0.4)


def pneumothorax(presence: Presence, certainty: float, *, urgent: bool = True) -> Finding:
    return Finding("pneumothorax", presence, certainty, 0.4, urgent=urgent)


def said(*findings: Finding, **changes: object) -> str:
    report = chest_report(findings=findings, **changes)
    return headline(StudyOutcome("key", 0.0, reports=(report,)))


def test_an_urgent_finding_comes_with_its_mark_and_beside_the_main_one() -> None:
    line = said(lesion(Presence.PRESENT, 0.5), pneumothorax(Presence.PRESENT, 0.9))
    assert line == (
        "FLAGGED FOR EARLY READING, RESEARCH USE ONLY; "
        "lung lesion: present 50 % (threshold 40 %); pneumothorax: present 90 % (threshold 40 %)"
    )
    assert said(pneumothorax(Presence.PRESENT, 0.9), algorithm=CLEARED).startswith("FLAGGED FOR EARLY READING; pneumo")


def test_what_is_present_shows_where_the_main_finding_is_not() -> None:
    line = said(lesion(Presence.ABSENT, 0.1), pneumothorax(Presence.PRESENT, 0.9, urgent=False))
    assert line == "lung lesion: absent 10 % (threshold 40 %); pneumothorax: present 90 % (threshold 40 %)"


def test_an_urgent_kind_that_is_not_present_marks_nothing() -> None:
    line = said(lesion(Presence.ABSENT, 0.1), pneumothorax(Presence.ABSENT, 0.2))
    assert line == "lung lesion: absent 10 % (threshold 40 %)"
