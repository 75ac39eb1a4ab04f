"""What the page of a study shows, as plain values for its template."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastapi import HTTPException

from app import revisions
from app.arrivals import is_arrival
from app.assignment import Assignment
from app.documents import Document
from app.findings import Finding, Lesion, LesionKind, Presence, Report
from app.identity import Identity
from app.outcomes import FINAL, StudyOutcome
from app.radiographs import image_name, is_radiograph
from app.settings import Settings
from app.study import Series, contrast_in_words, picture_in_words, uid_hash
from app.web.study.changes import Beside, beside
from app.web.study.deliveries import Row, rows_of
from app.web.study.known import Known
from app.web.study.patient import patient_of
from app.web.study.series import name_of
from app.web.study.shortening import Item, items_of, shortened
from app.web.study.stages import Stage, stages_of
from app.web.worklist import STATES
from app.words import percents

TONES: Final = {Presence.PRESENT: "bad", Presence.ABSENT: "good", Presence.UNDETERMINED: "wait"}
MOST_REVISIONS: Final = 20


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """A series in the list: its place in the study, name, kind, size, and what was odd about it."""

    number: int
    name: str
    modality: str
    size: str
    images: int
    notes: tuple[str, ...]
    read_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measure:
    """A lesion, a region or a structure with what was measured; `slice` from 0, None where none shows it."""

    name: str
    certainty: float | None
    volume_ml: float | None
    diameter_mm: float | None
    slice: int | None
    series: int | None

    @property
    def score(self) -> str:
        """In per cent; "" where there is none."""
        return "" if self.certainty is None else percents(self.certainty, self.certainty, fewest_decimals=1)[0]


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One finding that was sought; `top` is the most certain slice, from 0, of the series `series` of the page."""

    kind: str
    presence: Presence
    tone: str
    certainty: float | None
    threshold: float | None
    calibrated: bool
    urgent: bool
    top: int | None
    slices: int
    series: int | None
    regions: int
    measures: tuple[Measure, ...]

    @property
    def percents(self) -> tuple[str, str] | None:
        """Certainty and threshold in per cent, with as many decimals as tell them apart; None where undetermined."""
        if self.certainty is None or self.threshold is None:
            return None
        return percents(self.certainty, self.threshold, fewest_decimals=1)


@dataclass(frozen=True, slots=True)
class BundleRow:
    """A bundle that was chosen: why, what it said, and how that ended; `report` is None while it has said nothing."""

    assignment: Assignment
    series: tuple[str, ...]
    report: Report | None
    findings: tuple[FindingRow, ...]
    structures: tuple[Measure, ...]


@dataclass(frozen=True, slots=True)
class DeclinedRow:
    """A rule that did not choose a series, with its reasons."""

    rule: str
    bundle: str
    series: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """A document, and how large its file is; None where it has none."""

    document: Document
    size: int | None

    @property
    def name(self) -> str:
        """Of its file, and of its address."""
        return self.document.path.name


@dataclass(frozen=True, slots=True)
class StudyPage:
    """Everything on the page of one study revision.

    `bundles` have the most certain findings and measures alone where there are many, `left_out` counts the others, and
    `all_bundles` have them all. `arriving`: no worker has begun it. `further`: key under which further images of the
    study wait; "" for none.
    """

    outcome: StudyOutcome
    patient: Identity
    tone: str
    state: str
    final: bool
    stages: tuple[Stage, ...]
    series: tuple[SeriesRow, ...]
    no_images: str
    bundles: tuple[BundleRow, ...]
    all_bundles: tuple[BundleRow, ...]
    left_out: int
    declined: tuple[DeclinedRow, ...]
    documents: tuple[DocumentRow, ...]
    deliveries: tuple[Row, ...]
    others: tuple[Beside, ...]
    more_revisions: int
    superseded_by: str
    supersedes: tuple[str, ...]
    destinations: tuple[str, ...]
    first: int | None
    arriving: bool
    further: str

    @property
    def key(self) -> str:
        """Of the revision."""
        return self.outcome.key

    @property
    def revision(self) -> str:
        """What tells it from the others of its study."""
        return self.key.rpartition("-")[2]

    @property
    def items(self) -> tuple[Item, ...]:
        """Everything that was found and measured, the most certain first."""
        return items_of(self.all_bundles)

    @property
    def urgent(self) -> bool:
        """Whether it is to be read before others, and no newer revision stands for it."""
        return any(report.urgent for report in self.outcome.reports) and not self.superseded_by

    @property
    def research_only(self) -> bool:
        """Whether an answer is of a bundle that is not cleared."""
        return any(report.algorithm.research_only for report in self.outcome.reports)


def page_of(settings: Settings, known: Known, outcome: StudyOutcome) -> StudyPage:
    """Gather what the page of a revision shows. Images that are gone or damaged leave the rest as it is."""
    found, no_images = _series(known, outcome)
    names = _Names(found)
    relation = revisions.relation(settings.results, outcome)
    family = revisions.others(settings.results, outcome.key)
    tone, state = STATES[outcome.state]
    bundles = _bundles(outcome, names)
    shown, left_out = shortened(bundles)
    return StudyPage(
        outcome=outcome,
        patient=patient_of(settings.spool.folder, outcome),
        tone=tone,
        state=state,
        final=outcome.state in FINAL,
        stages=stages_of(outcome),
        series=tuple(_row(number, series, bundles) for number, series in enumerate(found)),
        no_images=no_images,
        bundles=shown,
        all_bundles=bundles,
        left_out=left_out,
        declined=_declined(outcome, names),
        documents=tuple(DocumentRow(each, _size(each.path)) for each in outcome.documents),
        deliveries=rows_of(outcome),
        others=tuple(beside(outcome, other) for other in family[:MOST_REVISIONS]),
        more_revisions=max(len(family) - MOST_REVISIONS, 0),
        superseded_by=relation.superseded_by,
        supersedes=relation.supersedes,
        destinations=tuple(each.name for each in settings.destinations),
        first=_first(bundles, found),
        arriving=is_arrival(outcome.key),
        further=known.further(outcome),
    )


class _Names:
    """Names and places of series by (UID, stack)."""

    def __init__(self, series: Sequence[Series]) -> None:
        self._found = {(each.uid, each.stack): (number, each) for number, each in enumerate(series)}

    def number(self, uid: str, stack: int) -> int | None:
        found = self._found.get((uid, stack))
        return None if found is None else found[0]

    def name(self, uid: str, stack: int) -> str:
        found = self._found.get((uid, stack))
        return f"series {uid_hash(uid)[:8]}" if found is None else name_of(found[1])


def _series(known: Known, outcome: StudyOutcome) -> tuple[Sequence[Series], str]:
    try:
        return known.study(outcome).series, ""
    except HTTPException as error:
        return (), str(error.detail)


def _row(number: int, series: Series, bundles: Sequence[BundleRow]) -> SeriesRow:
    geometry, headers = series.geometry, series.headers
    rows, columns = (geometry.rows, geometry.columns) if geometry else (headers.get("Rows"), headers.get("Columns"))
    notes = [*series.notes, *series.damaged, *series.missing]
    if series.view is not None:
        notes.append(picture_in_words(series.view))
    if series.contrast is not None:
        notes.append(contrast_in_words(series.contrast))
    images = sum(max(instance.frames, 1) for instance in series.instances)
    return SeriesRow(
        number=number,
        name=image_name(series) if is_radiograph(series) else name_of(series),
        modality=series.modality,
        size=f"{columns} × {rows}" if columns and rows else "",
        images=images,
        notes=tuple(notes),
        read_by=tuple(row.assignment.bundle for row in bundles if (series.uid, series.stack) in row.assignment.stacks),
    )


def _bundles(outcome: StudyOutcome, names: _Names) -> tuple[BundleRow, ...]:
    assignments = outcome.decision.assignments if outcome.decision else ()
    found = []
    for assignment in assignments:
        identity = (assignment.bundle, assignment.series_uid, assignment.stack)
        report = next(
            (each for each in outcome.reports if (each.algorithm.name, each.series_uid, each.stack) == identity), None
        )
        series = tuple(names.name(uid, stack) for uid, stack in assignment.stacks)
        findings = () if report is None else tuple(_finding(report, each, names) for each in report.findings)
        structures = () if report is None else _structures(report, names)
        found.append(BundleRow(assignment, series, report, findings, structures))
    return tuple(found)


def _finding(report: Report, finding: Finding, names: _Names) -> FindingRow:
    present = finding.presence is Presence.PRESENT
    number = None if report.more else names.number(report.series_uid, report.stack)
    scored = finding.slices
    top = max(scored, key=lambda each: each.certainty).index if scored and number is not None else None
    return FindingRow(
        kind=finding.kind,
        presence=finding.presence,
        tone=TONES[finding.presence],
        certainty=finding.certainty,
        threshold=finding.threshold,
        calibrated=finding.calibrated,
        urgent=finding.urgent and present,
        top=top,
        slices=len(scored),
        series=number,
        regions=len(finding.regions) if present else 0,
        measures=tuple(_measure(finding, lesion, number) for lesion in (finding.lesions if present else ())),
    )


def _measure(finding: Finding, lesion: Lesion, series: int | None) -> Measure:
    whole = lesion.kind is LesionKind.REGION
    return Measure(
        name="outlined region" if whole else f"lesion {lesion.number} of {len(finding.lesions)}",
        certainty=lesion.certainty,
        volume_ml=lesion.volume_mm3 / 1000,
        diameter_mm=lesion.longest_diameter_mm,
        slice=lesion.index,
        series=series,
    )


def _structures(report: Report, names: _Names) -> tuple[Measure, ...]:
    number = names.number(report.series_uid, report.stack)
    found = [
        Measure(each.name, None, None if each.volume_mm3 is None else each.volume_mm3 / 1000, None, each.index, number)
        for each in report.structures
    ]
    found += [Measure(f"class {each.name}", each.score, None, None, None, number) for each in report.classes]
    return tuple(found)


def _declined(outcome: StudyOutcome, names: _Names) -> tuple[DeclinedRow, ...]:
    declined = sorted(outcome.decision.declined, key=lambda each: each.far) if outcome.decision else ()
    return tuple(
        DeclinedRow(each.rule, each.bundle, names.name(each.series_uid, each.stack), each.reasons) for each in declined
    )


def _first(bundles: Sequence[BundleRow], series: Sequence[Series]) -> int | None:
    """The series to open: of the first finding that is present, else the first that was read, else the first."""
    present = [
        row.assignment for row in bundles if any(finding.presence is Presence.PRESENT for finding in row.findings)
    ]
    by_stack = {(each.uid, each.stack): number for number, each in enumerate(series)}
    for assignment in (*present, *(row.assignment for row in bundles)):
        number = by_stack.get((assignment.series_uid, assignment.stack))
        if number is not None:
            return number
    return 0 if series else None


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
