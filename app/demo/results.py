"""What came back: files sorted by study, and every answer beside the truth."""

import shutil
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from pydicom import dcmread

from app import outcomes
from app.assignment import Decision
from app.demo.pacs import Arrived
from app.demo.studies import Drawn
from app.documents import Document, DocumentKind
from app.findings import Finding, Presence
from app.outcomes import FINAL, StudyOutcome
from app.report.words import shown_lesions
from app.settings import Settings
from app.words import certainty_in_words

FINISH_TIMEOUT_S = 30.0
GLANCE_S = 0.1
ALWAYS_SHOWN = 2
"""So many findings of a study are always told; of the others those that are present or wrong."""
NO_ANSWER = "no answer"
NAMES = {
    DocumentKind.SR: ("report", ".sr.dcm"),
    DocumentKind.KEY_IMAGE: ("key_image", ".dcm"),
    DocumentKind.SEG: ("segmentation", ".seg.dcm"),
    DocumentKind.JSON: ("report", ".json"),
    DocumentKind.PRESENTATION: ("presentation", ".dcm"),
    DocumentKind.PDF: ("report", ".pdf.dcm"),
    DocumentKind.FHIR: ("report", ".fhir.json"),
    DocumentKind.HL7: ("report", ".hl7"),
}


@dataclass(frozen=True, slots=True)
class Sent:
    """A phantom study that was sent.

    Attributes:
        number: From 1.
        drawn: What it is, and what is in it.
        at: Unix time of the last C-STORE response.
    """

    number: int
    drawn: Drawn
    at: float


@dataclass(frozen=True, slots=True)
class Answer:
    """One line about one study.

    Attributes:
        finding: What was looked for, in words; "" where nothing is known of the study.
        said: present, absent, undetermined, or that there is no answer.
        certainty: With its threshold; "" where there is none.
        truth: present, absent, or "" where it is not known.
        right: Whether the answer is the truth; None where there is no answer or no truth.
        urgent: Whether it is to be read before others.
        outlined: How many lesions have an outline.
    """

    finding: str
    said: str
    certainty: str = ""
    truth: str = ""
    right: bool | None = None
    urgent: bool = False
    outlined: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one study.

    Attributes:
        sent: What was sent.
        answers: The main finding first.
        problem: In words, where something went wrong.
        passed_over: For what no bundle is for, in words, why none took it; "" where it was analysed all the same.
        seconds: From the last C-STORE response to the SR at the PACS; None where none came.
        picture: The key image as PNG; None where there is none.
    """

    sent: Sent
    answers: tuple[Answer, ...]
    problem: str
    passed_over: Mapping[str, str]
    seconds: float | None
    picture: Path | None

    @property
    def came_back(self) -> bool:
        """Whether the PACS has a report."""
        return self.seconds is not None

    @property
    def right(self) -> bool | None:
        """Whether all answers are right; None where none is wrong, but some are missing."""
        if any(answer.right is False for answer in self.answers) or "" in self.passed_over.values():
            return False
        return None if any(answer.right is None for answer in self.answers) else True

    @property
    def complaints(self) -> tuple[str, ...]:
        """Each thing that is not right, a sentence each."""
        where = f"study {self.sent.number}, {self.sent.drawn.exam}"
        told = [f"{where}: {_complaint(answer, self.problem)}" for answer in self.answers if not answer.right]
        read = [
            f"{where}: the {what} was analysed, and no bundle is for it"
            for what, why in self.passed_over.items()
            if not why
        ]
        return (*told, *read)


def collect(sent: Sent, settings: Settings, arrived: Arrived | None, out: Path) -> Result:
    """Put the documents of a study side by side: `<out>/study-<number>/report.sr.dcm`, key image (DICOM, PNG), JSON.

    Waits a moment for the documents that travel behind the SR.
    """
    folder = out / f"study-{sent.number}"
    folder.mkdir()
    outcome = _finished(settings, sent.drawn.uid)
    problem = _problem(outcome)
    return Result(
        sent=sent,
        answers=_answers(outcome, sent.drawn),
        problem=problem,
        passed_over={what: _why_passed_over(uid, outcome) for uid, what in sent.drawn.unread.items()},
        seconds=None if arrived is None else max(arrived.at - sent.at, 0.0),
        picture=_copy(outcome.documents if outcome else (), folder),
    )


def judge(findings: Iterable[Finding], drawn: Drawn) -> tuple[Answer, ...]:
    """Set findings beside the truth; of more than two, those that are rightly called absent become one line."""
    answers = [_answer(finding, drawn.truth.get(finding.kind)) for finding in findings]
    quiet = [answer for answer in answers[1:] if answer.right and answer.said == Presence.ABSENT]
    if len(answers) > ALWAYS_SHOWN and len(quiet) > 1:
        answers = [answer for answer in answers if answer not in quiet]
        answers.append(Answer(f"{len(quiet)} further findings", Presence.ABSENT, "", Presence.ABSENT, right=True))
    return tuple(answers)


def _answer(finding: Finding, truth: bool | None) -> Answer:
    called = {Presence.PRESENT: True, Presence.ABSENT: False}.get(finding.presence)
    return Answer(
        finding=_in_words(finding.kind),
        said=finding.presence,
        certainty=certainty_in_words(finding.certainty, finding.threshold),
        truth="" if truth is None else Presence.PRESENT if truth else Presence.ABSENT,
        right=None if truth is None or called is None else called == truth,
        urgent=finding.urgent and finding.presence is Presence.PRESENT,
        outlined=len(shown_lesions(finding)),
    )


def _answers(outcome: StudyOutcome | None, drawn: Drawn) -> tuple[Answer, ...]:
    reports = outcome.reports if outcome else ()
    if not reports:
        return (Answer("", NO_ANSWER),)
    return judge((finding for report in reports for finding in report.findings), drawn)


def _complaint(answer: Answer, problem: str) -> str:
    if answer.right is None:
        said = f"{answer.finding} {answer.said}".strip()
        return f"{said}: {problem}" if problem else said
    certainty = f" at {answer.certainty}" if answer.certainty else ""
    return f"{answer.finding} called {answer.said}{certainty}, in truth {answer.truth}"


def _in_words(kind: str) -> str:
    return kind.replace("_", " ")


def _why_passed_over(series_uid: str, outcome: StudyOutcome | None) -> str:
    """Why no bundle took a series; "" where one did."""
    decision = outcome.decision if outcome and outcome.decision else Decision((), ())
    if series_uid in {uid for each in decision.assignments for uid, _ in each.stacks}:
        return ""
    wanted = {each.bundle for each in decision.assignments}
    reasons = [d.reasons for d in decision.declined if d.series_uid == series_uid and d.bundle in wanted]
    return "; ".join(dict.fromkeys(reason for each in reasons for reason in each)) or "nobody wanted it"


def _copy(documents: Sequence[Document], folder: Path) -> Path | None:
    """Copy what was made under names that say what it is; the first key image as PNG, None where there is none."""
    seen: Counter[DocumentKind] = Counter()
    picture = None
    for document in documents:
        if document.problem:
            continue
        seen[document.kind] += 1
        stem, suffix = NAMES[document.kind]
        again = f"-{seen[document.kind]}" if seen[document.kind] > 1 else ""
        shutil.copyfile(document.path, folder / f"{stem}{again}{suffix}")
        if document.kind is DocumentKind.KEY_IMAGE:
            path = folder / f"{stem}{again}.png"
            Image.fromarray(dcmread(document.path).pixel_array).save(path)
            picture = picture or path
    return picture


def _finished(settings: Settings, uid: str) -> StudyOutcome | None:
    deadline = time.monotonic() + FINISH_TIMEOUT_S
    while True:
        outcome = outcomes.study(settings, uid)
        if (outcome is not None and outcome.state in FINAL) or time.monotonic() > deadline:
            return outcome
        time.sleep(GLANCE_S)


def _problem(outcome: StudyOutcome | None) -> str:
    if outcome is None:
        return "the service does not know this study"
    if outcome.decision is not None and not outcome.decision.assignments:
        return "no bundle wants it: " + "; ".join(r for each in outcome.decision.declined for r in each.reasons)
    return outcome.problem or "; ".join(report.reason for report in outcome.reports if report.reason)
