"""What routing decided: which bundle gets which series of a study, and why every other rule declined."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GeometryLimits:
    """What a bundle can cope with; a stack outside of it ends *undetermined* with the reason, never silently.

    Attributes:
        min_slices, max_slices: Inclusive.
        max_tilt_deg: Largest angle between the slice normal and the direction from slice to slice.
        max_slice_spacing_mm: Largest allowed distance between neighbouring slices.
        spacing_tolerance: Largest relative deviation of a single gap from the median gap; beyond it a slice counts as
            missing, unless the gaps change in `variable_spacing` manner.
        allow_variable_spacing: Whether a stack whose gaps differ (two blocks of a sequential head CT) is accepted.
        max_in_plane_spacing_mm: Coarsest pixel.
    """

    min_slices: int = 1
    max_slices: int = 4096
    max_tilt_deg: float = 1.0
    max_slice_spacing_mm: float = 12.0
    spacing_tolerance: float = 0.1
    allow_variable_spacing: bool = False
    max_in_plane_spacing_mm: float = 2.0


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
    limits: GeometryLimits = GeometryLimits()


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
