"""The lesions on a slice that is shown as key image: their outlines, with a label each."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.errors import AppError
from app.findings import Finding, Lesion, LesionKind, Report
from app.masks import LabelVolume
from app.report.words import named, shown_lesions
from app.words import percents

LEGEND = "Line: outline as the algorithm drew it, around what it takes for the finding."
NOT_DRAWN = "The outlines could not be drawn: the mask of the analysis is missing."

MaskOf = Callable[[Finding], LabelVolume]


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """What is outlined on an image.

    Attributes:
        inside: (rows, columns) of the source image.
        label: To write beside it.
    """

    inside: NDArray[np.bool_]
    label: str

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, upper, right, lower edge in pixels of the source; `inside` holds at least one."""
        columns, rows = np.flatnonzero(self.inside.any(axis=0)), np.flatnonzero(self.inside.any(axis=1))
        return float(columns[0]), float(rows[0]), float(columns[-1]) + 1, float(rows[-1]) + 1


def outlines_on(report: Report, index: int, mask_of: MaskOf | None) -> tuple[tuple[Outline, ...], tuple[str, ...]]:
    """Everything that is outlined on one slice, and what to say of it below.

    Args:
        report: What was found.
        index: Position of the slice in the sorted series, from 0.
        mask_of: Gives the mask of a finding; None where there are none.
    """
    found: list[Outline] = []
    for finding in report.findings:
        lesions = shown_lesions(finding)
        if not lesions:
            continue
        try:
            if mask_of is None:
                return (), (NOT_DRAWN,)
            plane = mask_of(finding).slice_at(index)
        except AppError:  # the segmentation's problem says why; the slice is worth showing all the same
            return (), (NOT_DRAWN,)
        found += [
            Outline(plane == lesion.number, _label(finding, lesion))
            for lesion in lesions
            if (plane == lesion.number).any()
        ]
    return tuple(found), (LEGEND,) if found else ()


def _label(finding: Finding, lesion: Lesion) -> str:
    if lesion.kind is LesionKind.REGION:
        return f"{named(finding.kind)}, {lesion.volume_mm3 / 1000:.1f} ml"
    certainty = lesion.certainty
    score = "" if certainty is None else f": {percents(certainty, certainty, fewest_decimals=1)[0]} %"
    return f"{lesion.number}{score}{_size(lesion)}"


def _size(lesion: Lesion) -> str:
    if lesion.longest_diameter_mm is None:
        return ""
    return f", {lesion.longest_diameter_mm:.0f} mm" if lesion.longest_diameter_mm >= 1 else ", < 1 mm"
