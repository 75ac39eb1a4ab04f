"""Images that a bundle reads each by itself, and what is said of them together: one finding speaks for the study."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.assignment import Assignment
from app.findings import Finding, Presence
from app.radiographs import image_name
from app.study import Instance, Series


@dataclass(frozen=True, slots=True)
class Image:
    """One image of an assignment.

    Attributes:
        series: Its stack.
        instance: Its file.
        index: Its place among all images of the assignment, from 0.
        name: For people: "image 1 of series 2 (PA)".
        problem: Why it cannot be analysed, in words; empty where it can.
    """

    series: Series
    instance: Instance
    index: int
    name: str
    problem: str = ""

    @property
    def rows(self) -> int:
        """As its header says; 0 where it does not."""
        return size_of(self.series)[0]

    @property
    def columns(self) -> int:
        """As its header says; 0 where it does not."""
        return size_of(self.series)[1]


def size_of(series: Series) -> tuple[int, int]:
    """(rows, columns) of every image of a stack, as headers say; 0 where they do not."""
    if series.geometry is not None:
        return series.geometry.rows, series.geometry.columns
    rows, columns = (series.headers.get(keyword, 0) for keyword in ("Rows", "Columns"))
    return (int(rows) if isinstance(rows, int | float) else 0), (
        int(columns) if isinstance(columns, int | float) else 0
    )


def images_of(stacks: Sequence[Series], assignment: Assignment) -> tuple[Image, ...]:
    """Every image of an assignment, in its order.

    Args:
        stacks: Those that the assignment names.
        assignment: Tells which of them cannot be analysed.
    """
    reasons = {(unfit.series_uid, unfit.stack): unfit.reason for unfit in assignment.unfit}
    found = [(series, instance) for series in stacks for instance in series.instances]
    return tuple(
        Image(series, instance, index, image_name(series, instance), reasons.get((series.uid, series.stack), ""))
        for index, (series, instance) in enumerate(found)
    )


def together(answers: Sequence[Sequence[Finding]]) -> tuple[Finding, ...]:
    """One finding of each kind for all images: present where any image shows it, with the largest certainty.

    Args:
        answers: Of each image, in order, its findings in the order of the contract. At least one image.
    """
    return tuple(_one(of_kind) for of_kind in zip(*answers, strict=True))


def _one(findings: Sequence[Finding]) -> Finding:
    present = any(finding.presence is Presence.PRESENT for finding in findings)
    by_certainty = sorted(findings, key=lambda finding: -(finding.certainty or 0.0))
    regions = [region for finding in by_certainty for region in finding.regions]
    # Stable: boxes of attention, which have no certainty, stay behind in the order of their images' certainties.
    regions.sort(key=lambda region: 1.0 if region.certainty is None else -region.certainty)
    return replace(
        by_certainty[0],
        presence=Presence.PRESENT if present else Presence.ABSENT,
        slices=tuple(score for finding in findings for score in finding.slices),
        regions=tuple(regions),
    )


def shared(told: Sequence[tuple[str, Sequence[str]]]) -> tuple[str, ...]:
    """Sentences about several images: what holds for all is said once, the rest with the image's name.

    Args:
        told: (name of the image, sentences) of each.
    """
    of_all = [note for note in dict.fromkeys(told[0][1]) if all(note in notes for _, notes in told)] if told else []
    own = [f"{name}: {note}" for name, notes in told for note in dict.fromkeys(notes) if note not in of_all]
    return (*of_all, *own)
