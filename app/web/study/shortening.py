"""Of thousands of findings those on the page of a study, and all of them as one list, the most certain first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from app.findings import Presence

if TYPE_CHECKING:
    from app.web.study.views import BundleRow, FindingRow, Measure

MOST: Final = 50
"""Findings, lesions, regions and structures on the page of a study."""
MOST_BUNDLES: Final = 20
"""Analyses on it."""


@dataclass(frozen=True, slots=True)
class Item:
    """A finding, or a lesion, region or structure with what was measured, in the list of all.

    Attributes:
        bundle: Who says it.
        kind: Of the finding, as the code table names it; "" of a structure.
        told: What is said: "present", "lesion 3 of 40".
        tone: Of that.
        certainty: Score or probability; None where there is none.
        score: In per cent; "" where there is none.
        volume_ml, diameter_mm: Where they were measured.
        series, slice: Where it is to be seen, from 0; None where that is nowhere.
    """

    bundle: str
    kind: str
    told: str
    tone: str
    certainty: float | None
    score: str
    volume_ml: float | None = None
    diameter_mm: float | None = None
    series: int | None = None
    slice: int | None = None


def items_of(bundles: Sequence["BundleRow"]) -> tuple[Item, ...]:
    """Everything that the bundles say, the most certain first; what has no certainty comes last."""
    found = []
    for row in bundles:
        name = row.assignment.bundle
        for finding in row.findings:
            found.append(_finding(name, finding))
            found += [_measure(name, finding.kind, each) for each in finding.measures]
        found += [_measure(name, "", each) for each in row.structures]
    return tuple(sorted(found, key=lambda each: _doubt(each.certainty)))


def shortened(bundles: Sequence["BundleRow"], most: int = MOST) -> tuple[tuple["BundleRow", ...], int]:
    """The rows of bundles with at most so many findings and measures, and how many of those are left out.

    Findings come before what was measured in them, present ones before others, the more certain before the less: no
    lesion of one bundle takes the place of another bundle's finding. Where nothing is left out nothing changes.
    """
    findings = [
        (finding.presence is not Presence.PRESENT, _doubt(finding.certainty), place, number)
        for place, row in enumerate(bundles)
        for number, finding in enumerate(row.findings)
    ]
    measures = [
        (_doubt(each.certainty), place, number, order)
        for place, row in enumerate(bundles)
        for number, group in enumerate(_groups(row))
        for order, each in enumerate(group)
    ]
    left = max(len(findings) + len(measures) - most, 0)
    if not left and len(bundles) <= MOST_BUNDLES:
        return tuple(bundles), 0
    kept = {each[2:] for each in sorted(findings)[:most]}
    room = max(most - len(kept), 0)
    measured = {each[1:] for each in sorted(measures)[:room]}
    rows = [_kept(row, place, kept, measured) for place, row in enumerate(bundles)]
    told = [row for place, row in enumerate(rows) if place < MOST_BUNDLES or row.findings or row.structures]
    return tuple(told), left


def _groups(row: "BundleRow") -> list[Sequence["Measure"]]:
    """What was measured in each finding, and last beside all findings."""
    return [*(finding.measures for finding in row.findings), row.structures]


def _kept(row: "BundleRow", place: int, kept: set[tuple[int, int]], measured: set[tuple[int, int, int]]) -> "BundleRow":
    groups = [
        tuple(
            sorted(
                (each for order, each in enumerate(group) if (place, number, order) in measured),
                key=lambda each: _doubt(each.certainty),
            )
        )
        for number, group in enumerate(_groups(row))
    ]
    findings = tuple(
        replace(finding, measures=groups[number])
        for number, finding in enumerate(row.findings)
        if (place, number) in kept
    )
    return replace(row, findings=findings, structures=groups[-1])


def _finding(bundle: str, finding: "FindingRow") -> Item:
    score = finding.percents[0] if finding.percents else ""
    return Item(
        bundle,
        finding.kind,
        finding.presence.value,
        finding.tone,
        finding.certainty,
        score,
        series=finding.series,
        slice=finding.top,
    )


def _measure(bundle: str, kind: str, measure: "Measure") -> Item:
    return Item(
        bundle,
        kind,
        measure.name,
        "calm",
        measure.certainty,
        measure.score,
        measure.volume_ml,
        measure.diameter_mm,
        measure.series,
        measure.slice,
    )


def _doubt(certainty: float | None) -> float:
    return 2.0 if certainty is None else 1.0 - certainty
