"""What routing decided: which bundle gets which series of a study, and why every other rule declined."""

from dataclasses import dataclass, field

from bundles.common.contract import GeometryLimits


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
    """

    bundle: str
    rule: str
    series_uid: str
    stack: int
    priority: int
    evidence: tuple[str, ...] = ()
    limits: GeometryLimits = field(default_factory=GeometryLimits)


@dataclass(frozen=True, slots=True)
class Declined:
    """A rule that did not match a series, with every reason: "Modality is MR, wanted CT"."""

    rule: str
    bundle: str
    series_uid: str
    stack: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """Routing of one study. No assignments means that no bundle wants it; `declined` then tells why."""

    assignments: tuple[Assignment, ...]
    declined: tuple[Declined, ...]
