"""What the HTTP side answers: typed, so that the API describes itself (`/openapi.json`)."""

from datetime import UTC, datetime
from typing import Self

from pydantic import BaseModel

from app.assignment import Assignment, Declined
from app.documents import Receipt, Waiting
from app.findings import Finding, LesionKind, Presence, RegionKind, Report
from app.outcomes import Shipment, State, StudyOutcome, Timing
from app.revisions import Relation
from app.structures import in_words


class FindingSummary(BaseModel):
    """One finding that was sought.

    Attributes:
        bundle: Who looked for it.
        kind: A name in the code table.
        presence: present, absent or undetermined.
        certainty: 0 to 1; null where undetermined.
        threshold: From which certainty on the answer is *present*; null where undetermined.
        slice: The slice with the highest certainty, from 1; null where slices have none.
        image: The image with the highest certainty, from 1, where several were read each by itself (radiographs).
        regions: How many places it was detected at; where a network looked is not counted.
        lesions: How many lesions its mask shows; null where the bundle outlines none, or one region.
        volume_ml: Of all that is outlined; null where nothing is.
        urgent: Whether it is present and to be read before others.
    """

    bundle: str
    kind: str
    presence: str
    certainty: float | None
    threshold: float | None
    slice: int | None
    image: int | None
    regions: int
    lesions: int | None
    volume_ml: float | None
    urgent: bool


class StudySummary(BaseModel):
    """One study revision in a list; no UID, no patient data.

    Attributes:
        key: Names the study revision everywhere: hash of the StudyInstanceUID, a dash, the revision.
        state: Where it stands.
        received_at, finished_at: Of the last image and the last receipt, UTC.
        seconds: Between the two.
        images: Number of instances.
        findings: Of every bundle that looked, its main finding first.
        measured: What Model Zoo bundles measured, in words, a line each; no findings.
        urgent: Whether a finding flags the study for early reading; no clinical claim.
        research_only: True where a bundle is not cleared, or was trained on phantoms.
        problem: In words, where something went wrong.
        superseded_by: Key of the newer revision of the same study whose answer stands for this one's; "" where there is
            none. The documents of this one then count no more.
        supersedes: Keys of the older revisions that this one stands for, the newest first.
    """

    key: str
    state: State
    received_at: datetime
    finished_at: datetime | None
    seconds: float | None
    images: int
    findings: list[FindingSummary]
    measured: list[str]
    urgent: bool
    research_only: bool
    problem: str
    superseded_by: str
    supersedes: list[str]

    @classmethod
    def of(cls, outcome: StudyOutcome, relation: Relation) -> Self:
        """Sum a study up."""
        return cls(**_summary(outcome, relation))


class DocumentView(BaseModel):
    """A document that was made, by its file name in the study's folder of results, or why it was not.

    `superseded` is true where a newer revision of the study stands for it.
    """

    kind: str
    bundle: str
    name: str
    problem: str
    superseded: bool


class StudyDetail(StudySummary):
    """Everything that is known of one study revision, the reasons of every rule included."""

    study_uid: str
    notes: list[str]
    assignments: list[Assignment]
    declined: list[Declined]
    reports: list[Report]
    documents: list[DocumentView]
    receipts: list[Receipt]
    pending: list[Shipment]
    waiting: list[Waiting]
    timings: list[Timing]

    @classmethod
    def of(cls, outcome: StudyOutcome, relation: Relation) -> Self:
        """Show a study."""
        decision = outcome.decision
        return cls(
            **_summary(outcome, relation),
            study_uid=outcome.study_uid,
            notes=list(outcome.notes),
            assignments=list(decision.assignments) if decision else [],
            declined=list(decision.declined) if decision else [],
            reports=list(outcome.reports),
            documents=[
                DocumentView(
                    kind=each.kind,
                    bundle=each.bundle,
                    name=each.path.name,
                    problem=each.problem,
                    superseded=bool(relation.superseded_by),
                )
                for each in outcome.documents
            ],
            receipts=list(outcome.receipts),
            pending=list(outcome.pending),
            waiting=list(outcome.waiting),
            timings=list(outcome.timings),
        )


def _summary(outcome: StudyOutcome, relation: Relation) -> dict[str, object]:
    return {
        "key": outcome.key,
        "state": outcome.state,
        "received_at": datetime.fromtimestamp(outcome.received_at, UTC),
        "finished_at": None if outcome.finished_at is None else datetime.fromtimestamp(outcome.finished_at, UTC),
        "seconds": outcome.seconds,
        "images": len(outcome.files),
        "findings": [_finding(report, finding) for report in outcome.reports for finding in report.findings],
        "measured": [line for each in outcome.reports for line in in_words(each.structures, each.classes)],
        "urgent": any(report.urgent for report in outcome.reports),
        "research_only": any(report.algorithm.research_only for report in outcome.reports),
        "problem": outcome.problem or "; ".join(report.reason for report in outcome.reports if report.reason),
        "superseded_by": relation.superseded_by,
        "supersedes": list(relation.supersedes),
    }


def _finding(report: Report, finding: Finding) -> FindingSummary:
    present = finding.presence is Presence.PRESENT
    lesions = finding.lesions if present else ()
    return FindingSummary(
        bundle=report.algorithm.name,
        kind=finding.kind,
        presence=finding.presence,
        certainty=finding.certainty,
        threshold=finding.threshold,
        slice=None if report.more else _highest(finding),
        image=_highest(finding) if report.more else None,
        regions=sum(region.kind is RegionKind.DETECTION for region in finding.regions) if present else 0,
        lesions=sum(each.kind is LesionKind.LESION for each in lesions) or None,
        volume_ml=round(sum(lesion.volume_mm3 for lesion in lesions) / 1000, 3) if lesions else None,
        urgent=finding.urgent and present,
    )


def _highest(finding: Finding) -> int | None:
    """Number of the most certain of several slices or images, from 1; of one there is nothing to tell."""
    scores = finding.slices
    return scores.index(max(scores, key=lambda score: score.certainty)) + 1 if len(scores) > 1 else None
