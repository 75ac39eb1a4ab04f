"""What the pages of feedback show: plain values for their templates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from app.feedback import Answer, Feedback, Place, standing
from app.feedback_words import answer_in_words, answers_to
from app.findings import Finding, Presence, Report
from app.outcomes import StudyOutcome
from app.words import certainty_in_words

MOST_FORMS: Final = 50
MOST_SAID: Final = 100


@dataclass(frozen=True, slots=True)
class Said:
    """One answer, for people.

    Attributes:
        given: It.
        counts: Whether it is its reader's newest.
        where: Of a point, in words.
    """

    given: Feedback
    counts: bool
    where: str = ""

    @property
    def answer(self) -> str:
        """What it says, in words."""
        words = answer_in_words(self.given.presence, self.given.answer)
        return f"{words} (contradicts its place: taken as unsure)" if self.given.contradicts else words


@dataclass(frozen=True, slots=True)
class FindingForm:
    """One finding that a reader may answer.

    Attributes:
        kind: A name of the code table.
        presence, certainty: As the report has it, in words.
        shown: Whether the report shows where, so that a reader may agree with that.
        slices: How many slices can be named; 0 where there is but one image.
        mine: The reader's own standing answer; None before.
        slice: Number of the slice that it marks; None where it marks none.
        others: How many other readers have answered.
        answers: What can be answered, by its meaning in words.
    """

    kind: str
    presence: str
    certainty: str
    shown: bool
    slices: int
    mine: Feedback | None
    slice: int | None
    others: int
    answers: Mapping[Answer, str]

    @property
    def said(self) -> str:
        """The reader's own answer in words; "" before."""
        return "" if self.mine is None else answer_in_words(self.presence, self.mine.answer)


@dataclass(frozen=True, slots=True)
class ReportForm:
    """One report whose findings may be answered."""

    report: Report
    findings: tuple[FindingForm, ...]


@dataclass(frozen=True, slots=True)
class StudyForm:
    """Everything that may be answered in a study, and everything that was said of it.

    Attributes:
        key: Of the study revision.
        reports: Those with a finding that is not undetermined.
        said: The newest first.
        may_answer: Whether the reader has a name to be kept with the answer.
        first, total: Place of the first finding on this page, from 0, and how many there are; `MOST_FORMS` on a page.
        said_before: How many older answers `said` leaves out.
    """

    key: str
    reports: tuple[ReportForm, ...]
    said: tuple[Said, ...]
    may_answer: bool
    first: int = 0
    total: int = 0
    said_before: int = 0

    @property
    def following(self) -> int | None:
        """Place of the first finding on the next page; None where there is none."""
        return self.first + MOST_FORMS if self.first + MOST_FORMS < self.total else None

    @property
    def preceding(self) -> int | None:
        """The same of the page before."""
        return max(self.first - MOST_FORMS, 0) if self.first else None


def study_form(outcome: StudyOutcome, given: Sequence[Feedback], reader: str, first: int = 0) -> StudyForm:
    """What a reader sees of a study.

    Args:
        outcome: The study.
        given: What was said of it, the oldest first.
        reader: Name; "" may look and not answer.
        first: Place of the first finding to show, from 0.
    """
    valid = set(standing(given))
    told = [(report, each) for report in outcome.reports for each in _answerable(report)]
    shown = told[first : first + MOST_FORMS]
    forms = []
    for report in outcome.reports:
        findings = [finding for of, finding in shown if of is report]
        if findings:
            forms.append(ReportForm(report, _findings(report, findings, valid, reader)))
    newest = tuple(reversed(given))[:MOST_SAID]
    said = tuple(Said(each, each in valid, where(each, outcome)) for each in newest)
    return StudyForm(outcome.key, tuple(forms), said, bool(reader), first, len(told), len(given) - len(said))


def where(given: Feedback, outcome: StudyOutcome | None = None) -> str:
    """The place of an answer in words: "slice 12, column 201, row 88"."""
    if given.place is not Place.POINT:
        return given.place.value if given.place is Place.AS_SHOWN else ""
    number = None if outcome is None else _slice(given, outcome)
    words = [f"slice {number}" if number else "image marked"]
    if given.column is not None and given.row is not None:
        words.append(f"column {given.column:g}, row {given.row:g}")
    return ", ".join(words)


def _answerable(report: Report) -> list[Finding]:
    return [finding for finding in report.findings if finding.presence is not Presence.UNDETERMINED]


def _findings(
    report: Report, findings: Sequence[Finding], valid: set[Feedback], reader: str
) -> tuple[FindingForm, ...]:
    identity = (report.algorithm.name, report.algorithm.version, report.algorithm.weights_sha256)
    about = [
        each
        for each in valid
        if (each.bundle, each.version, each.weights_sha256, each.series_uid, each.stack)
        == (*identity, report.series_uid, report.stack)
    ]
    return tuple(
        _form(finding, [each for each in about if each.finding == finding.kind], reader) for finding in findings
    )


def _form(finding: Finding, about: Sequence[Feedback], reader: str) -> FindingForm:
    mine = next((each for each in about if each.reader == reader and reader), None)
    uids = [score.sop_instance_uid for score in finding.slices]
    marked = mine is not None and mine.sop_instance_uid in uids
    return FindingForm(
        kind=finding.kind,
        presence=finding.presence.value,
        certainty=certainty_in_words(finding.certainty, finding.threshold),
        shown=finding.presence is Presence.PRESENT and bool(finding.regions or finding.lesions or finding.slices),
        slices=len(finding.slices),
        mine=mine,
        slice=uids.index(mine.sop_instance_uid) + 1 if mine is not None and marked else None,
        others=len({each.reader for each in about if each.reader != reader}),
        answers=answers_to(finding.presence),
    )


def _slice(given: Feedback, outcome: StudyOutcome) -> int | None:
    for report in outcome.reports:
        for finding in report.findings:
            for number, score in enumerate(finding.slices, 1):
                if score.sop_instance_uid == given.sop_instance_uid:
                    return number
    return None
