"""What routing decided: which bundle gets which series of a study, and why every other rule declined."""

from dataclasses import dataclass, field
from typing import Final

from bundles.common.contract import GeometryLimits

OTHER_MODALITY: Final = 1000
"""More than a rule has conditions."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """An image of an assignment that cannot be analysed, with the reason in words."""

    series_uid: str
    stack: int
    reason: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """One bundle is to analyse one series.

    Attributes:
        bundle: Folder name of the bundle.
        rule: Name of the rule that matched.
        series_uid, stack: Which `Series` of the study.
        priority: Queue priority, 1 is the most urgent (DBOS convention).
        evidence: What matched, in words: "Modality is CT", "36 slices (wanted 8 to 400)".
        limits: The geometry the bundle accepts.
        more: Further (series UID, stack) of the study that the bundle is to analyse, each image by itself, for the same
            report; () for bundles that read stacks.
        unfit: Those of `stacks` that cannot be analysed. Others can; what is not found in them is not absent.
        notes: What was odd about the choice, for the report: "a raw copy was left out"; and on what evidence it stands.
        told: What told of a thing that the rule asks for by name, header keywords without their values:
            "contrast agent: SeriesDescription", "contrast agent: picture (0.25)".
        doubts: Why it is not to be analysed although a rule matched, in words: header and picture contradict each
            other, or neither tells.
    """

    bundle: str
    rule: str
    series_uid: str
    stack: int
    priority: int
    evidence: tuple[str, ...] = ()
    limits: GeometryLimits = field(default_factory=GeometryLimits)
    more: tuple[tuple[str, int], ...] = ()
    unfit: tuple[Unfit, ...] = ()
    notes: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def stacks(self) -> tuple[tuple[str, int], ...]:
        """(series UID, stack) of everything that is to be analysed, the first one first."""
        return ((self.series_uid, self.stack), *self.more)


@dataclass(frozen=True, slots=True)
class Declined:
    """A rule that did not match a series, with every reason: "Modality is MR, wanted CT".

    `far` tells how far the series was from matching: the number of conditions that did not hold, another modality
    counting as `OTHER_MODALITY` of them; 0 where something else decided, and of studies from before this was noted.
    """

    rule: str
    bundle: str
    series_uid: str
    stack: int
    reasons: tuple[str, ...]
    far: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Decision:
    """Routing of one study. No assignments means that no bundle wants it; `declined` then tells why."""

    assignments: tuple[Assignment, ...]
    declined: tuple[Declined, ...]

    @property
    def nearest(self) -> Declined | None:
        """The rule that came nearest to matching a series, the first of several; None where every rule matched."""
        return min(self.declined, key=lambda each: each.far, default=None)

    @property
    def why_unwanted(self) -> str:
        """Why no bundle wants the study, in words: what the nearest rule missed."""
        nearest = self.nearest
        if nearest is None:
            return ""
        reasons = "; ".join(nearest.reasons)
        rules = len({each.rule for each in self.declined})
        if nearest.far < OTHER_MODALITY or rules == 1:
            return f"{nearest.bundle}: {reasons}"
        return f"none of {rules} rules is for this modality; {nearest.bundle}: {reasons}"
