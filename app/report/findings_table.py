"""The findings of a report as a table on a page of paper."""

from collections.abc import Sequence

from app.findings import Finding, LesionKind, Presence, RegionKind, Report
from app.report.page import GREY, INNER, LEFT, Page
from app.report.words import most_suspicious, named, shown_lesions, shown_regions, suspicious_slices
from app.words import percents

MOST_FINDINGS = 10
COLUMNS = ((0.0, "Finding"), (150.0, "Answer"), (222.0, "Certainty"), (284.0, "Threshold"), (344.0, "Where"))
LISTED = 6
"""Numbers of slices that are listed."""


def findings_table(page: Page, report: Report, y: float, *, by_image: bool) -> float:
    """A row for each finding sought, found or not; then what the numbers mean.

    Args:
        page: To draw on.
        report: With a finding at least.
        y: Upper edge of the table.
        by_image: Whether each image was read by itself.

    Returns:
        Its lower edge.

    Raises:
        ValueError: A certainty is no probability.
    """
    for offset, heading in COLUMNS:
        page.line(heading, LEFT + offset, y, 100, 8, colour=GREY)
    y += 13
    page.rule(LEFT, y, INNER)
    y += 3
    shown = list(report.findings)
    if len(shown) > MOST_FINDINGS:
        shown = sorted(shown, key=lambda finding: finding.presence is not Presence.PRESENT)[: MOST_FINDINGS - 1]
    for finding in shown:
        y = _row(page, finding, y, by_image=by_image)
    if left := len(report.findings) - len(shown):
        y = page.line(f"...and {left} more", LEFT, y, INNER, 9)
    return page.paragraphs([_calibration(shown)], LEFT, y, INNER, 2, 7.5, colour=GREY) + 4


def _row(page: Page, finding: Finding, y: float, *, by_image: bool) -> float:
    found = finding.presence is Presence.PRESENT
    certainty, threshold = _numbers(finding)
    where = _where(finding, by_image=by_image)
    cells = (named(finding.kind), _ANSWERS[finding.presence], certainty, threshold)
    for (offset, _), (following, _), cell in zip(COLUMNS, COLUMNS[1:], cells, strict=False):
        page.line(cell, LEFT + offset, y, following - offset - 4, 9, bold=found)
    below = page.paragraphs([where], LEFT + COLUMNS[-1][0], y, INNER - COLUMNS[-1][0], 2, 8)
    return max(y + 13, below) + 1


_ANSWERS = {
    Presence.PRESENT: "present",
    Presence.ABSENT: "not found",
    Presence.UNDETERMINED: "undetermined",
}


def _numbers(finding: Finding) -> tuple[str, str]:
    if finding.certainty is None or finding.threshold is None or finding.presence is Presence.UNDETERMINED:
        return "–", "–"
    certainty, threshold = percents(finding.certainty, finding.threshold, fewest_decimals=1)
    return f"{certainty} %{'' if finding.calibrated else ' *'}", f"{threshold} %"


def _calibration(findings: Sequence[Finding]) -> str:
    """What the numbers mean."""
    told = [each for each in findings if each.certainty is not None and each.presence is not Presence.UNDETERMINED]
    if not told:
        return ""
    words = "Certainty at or above the threshold is called present."
    if any(each.calibrated for each in told):
        words += " It was calibrated: fitted to observed frequencies."
    return words if all(each.calibrated for each in told) else f"{words} * A score that was not calibrated."


def _where(finding: Finding, *, by_image: bool) -> str:
    if finding.presence is not Presence.PRESENT:
        return ""
    noun = "image" if by_image else "slice"
    parts = []
    if lesions := shown_lesions(finding):
        volume = sum(lesion.volume_mm3 for lesion in lesions) / 1000
        region = lesions[0].kind is LesionKind.REGION
        count = "outlined" if region else f"{len(lesions)} lesion{'' if len(lesions) == 1 else 's'}"
        parts.append(f"{count}, {volume:.1f} ml")
    kinds = [region.kind for region in shown_regions(finding)]
    if boxes := kinds.count(RegionKind.DETECTION):
        parts.append(f"{boxes} box{'' if boxes == 1 else 'es'}")
    if looked := kinds.count(RegionKind.ATTENTION):
        parts.append(f"{looked} place{'' if looked == 1 else 's'} where the network looked (no detection)")
    chosen = {score.sop_instance_uid: score for score in suspicious_slices(finding)}.values()
    numbers = [str(number) for number, score in enumerate(finding.slices, 1) if score in chosen]
    if len(finding.slices) > 1 and numbers:
        more = f" and {len(numbers) - LISTED} more" if len(numbers) > LISTED else ""
        listed = ", ".join(numbers[:LISTED])
        parts.append(f"{noun}{'' if len(numbers) == 1 else 's'} {listed}{more} of {len(finding.slices)}")
        top = most_suspicious(finding)
        if top is not None and len(numbers) > 1:
            parts.append(f"most suspicious: {finding.slices.index(top) + 1}")
    return "; ".join(parts)
