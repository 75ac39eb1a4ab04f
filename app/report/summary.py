"""A report on one page of paper, for people without a viewer of structured reports."""

from collections.abc import Sequence
from datetime import datetime
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.findings import Finding, LesionKind, Presence, RegionKind, Report
from app.report.identity import Identity, PersonName, decoded, one_line
from app.report.page import BLACK, GREY, RED, WHITE, WIDTH, Page
from app.report.source import Source
from app.report.words import (
    disclaimer,
    early,
    ended,
    most_suspicious,
    named,
    provenance,
    shown_lesions,
    shown_regions,
    suspicious_slices,
)
from app.structures import in_words
from app.study import Series, Study
from app.words import percents

LEFT = 36.0
INNER = WIDTH - 2 * LEFT
MOST_FINDINGS, MOST_MEASURED, MOST_PICTURES = 10, 10, 3
PICTURE_HEIGHT, PICTURE_PIXELS, QUALITY = 190.0, 640, 88
NOTHING = "Nothing was determined: by this analysis no finding is present, and none is absent."
UNVERIFIED = "Automatic analysis. Preliminary: nobody has verified it."
LOST = (
    "\u25a1 stands for a letter that the fonts of this page cannot draw, or cannot join or turn as its script wants; "
    "the DICOM header has it as it was sent."
)
COLUMNS = ((0.0, "Finding"), (150.0, "Answer"), (222.0, "Certainty"), (284.0, "Threshold"), (344.0, "Where"))
LISTED = 6
"""Numbers of slices that are listed."""

Picture = NDArray[np.uint8]


def summary(
    report: Report, study: Study, source: Source, made_at: datetime, pictures: Sequence[Picture] = (), *, more: int = 0
) -> bytes:
    """Write a report on one page, as PDF; the same arguments give the same bytes.

    Args:
        report: What one bundle said.
        study: What it could have been asked about.
        source: What it was asked about, and who it is about.
        made_at: Local time.
        pictures: Key images, RGB, at most `MOST_PICTURES`.
        more: Key images that the study has beside them.

    Raises:
        Failed: A font is not installed.
        ValueError: A certainty is no probability.
    """
    who = report.algorithm
    page = Page(f"{who.title or who.name}: summary", made_at)
    y = _head(page, report, made_at)
    y = _identity(page, decoded(source.identity), y)
    y = _state(page, report, y)
    y = _findings(page, report, source, y)
    y = _pictures(page, pictures[:MOST_PICTURES], more, y)
    y = _section(page, "Looked at", _looked_at(source), y, 3)
    y = _section(page, "Not looked at", _not_looked_at(study, source), y, 4)
    y = _section(page, "To know", report.notes, y, 6)
    _section(page, "Who says it", [_who(report)], y, 4)
    _foot(page, report)
    return page.content()


def _head(page: Page, report: Report, made_at: datetime) -> float:
    mark = disclaimer(report.algorithm)
    y = 20.0
    if mark:
        page.bar(0, 26, RED)
        page.line(mark, LEFT, 6, INNER, 12, bold=True, colour=WHITE)
        y = 38
    y = page.line(report.algorithm.title or report.algorithm.name, LEFT, y, INNER, 16, bold=True)
    return page.line(f"{UNVERIFIED} Made {made_at:%Y-%m-%d %H:%M}.", LEFT, y, INNER, 8, colour=GREY) + 4


def _identity(page: Page, who: Identity, y: float) -> float:
    born = "" if who.birth_date is None else who.birth_date.isoformat()
    at = "" if who.study_time is None else f" {who.study_time:%H:%M}"
    when = "" if who.study_date is None else f"{who.study_date.isoformat()}{at}"
    identifier = f"{who.patient_id} ({who.issuer})" if who.issuer else who.patient_id
    left = (("Patient", _name(who.names)), ("Identifier", identifier), ("Born, sex", _joined(born, who.sex)))
    right = (
        ("Study", _joined(when, who.study_description)),
        ("Accession", who.accession_number),
        ("Referred by", _name(who.referring)),
    )
    page.rule(LEFT, y, INNER)
    y += 4
    for (label, value), (other, told) in zip(left, right, strict=True):
        page.line(label, LEFT, y, 60, 8, colour=GREY)
        page.line(value or "not told", LEFT + 62, y, 205, 9, bold=label == "Patient")
        page.line(other, LEFT + 275, y, 60, 8, colour=GREY)
        y = page.line(told or "not told", LEFT + 337, y, INNER - 337, 9)
    page.rule(LEFT, y + 2, INNER)
    return y + 9


def _name(names: Sequence[PersonName]) -> str:
    return " · ".join(name.words for name in names)


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _state(page: Page, report: Report, y: float) -> float:
    """What to know before the first finding is read: urgency, and how an analysis ended that did not succeed."""
    told = [early(report)] if report.urgent else []
    if (end := ended(report)) and report.outcome.value != "succeeded":
        told.append(end)
    if not report.determined:
        told.append(NOTHING)
    return page.paragraphs(told, LEFT, y, INNER, 6, 10, bold=True, colour=RED) + (3 if told else 0)


def _findings(page: Page, report: Report, source: Source, y: float) -> float:
    if not report.findings:
        lines = in_words(report.structures, report.classes)
        return _section(page, "Measured", lines, y, MOST_MEASURED) if lines else y
    for offset, heading in COLUMNS:
        page.line(heading, LEFT + offset, y, 100, 8, colour=GREY)
    y += 13
    page.rule(LEFT, y, INNER)
    y += 3
    shown = report.findings if len(report.findings) <= MOST_FINDINGS else report.findings[: MOST_FINDINGS - 1]
    for finding in shown:
        y = _row(page, finding, y, by_image=source.by_image)
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
        words += " It was calibrated: fitted to how often the finding was there in the data it was fitted on."
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


def _pictures(page: Page, shown: Sequence[Picture], more: int, y: float) -> float:
    if not shown:
        return y
    gap = 8.0
    room = (INNER - gap * (len(shown) - 1)) / len(shown)
    x, lowest = LEFT, y
    for picture in shown:
        height, width = picture.shape[:2]
        scale = min(PICTURE_HEIGHT / height, room / width)
        page.picture(_jpeg(picture), x, y, width * scale, height * scale)
        lowest = max(lowest, y + height * scale)
        x += width * scale + gap
    words = "Key images, not for measuring." + (f" ...and {more} more in the study." if more else "")
    return page.line(words, LEFT, lowest + 2, INNER, 7.5, colour=GREY) + 3


def _jpeg(picture: Picture) -> bytes:
    image = Image.fromarray(picture)
    image.thumbnail((PICTURE_PIXELS, PICTURE_PIXELS), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def _section(page: Page, heading: str, texts: Sequence[str], y: float, most: int) -> float:
    if not texts:
        return y
    page.line(heading, LEFT, y, 84, 8, bold=True)
    return page.paragraphs(texts, LEFT + 88, y, INNER - 88, most) + 3


def _looked_at(source: Source) -> list[str]:
    return [_series(stack.series) for stack in source.stacks]


def _series(series: Series) -> str:
    number, description = (
        one_line(str(series.headers.get(keyword, ""))) for keyword in ("SeriesNumber", "SeriesDescription")
    )
    images = sum(max(instance.frames, 1) for instance in series.instances)
    name = f"series {number}" if number else "a series without a number"
    words = f"{series.modality or 'no modality'}, {name}, {images} image{'' if images == 1 else 's'}"
    return f'{words}, "{description}"' if description else words


def _not_looked_at(study: Study, source: Source) -> list[str]:
    """What else came with the study, each with why it was not read; the reasons that come first matter most."""
    analysed = {(stack.series.uid, stack.series.stack) for stack in source.stacks}
    words = [f"Missing: {sign}" for sign in study.missing]
    words += [f"Unreadable: {each.reason}" for each in study.unreadable]
    for stack in source.stacks:
        words += [f"Damaged: {reason}" for reason in stack.series.damaged]
    words += [
        f"{_series(series)}: not chosen for this analysis"
        for series in study.series
        if (series.uid, series.stack) not in analysed
    ]
    if count := len(study.others):
        words.append(f"{count} object{'' if count == 1 else 's'} without images (reports, presentation states)")
    return words


def _who(report: Report) -> str:
    status = f"; status: {report.algorithm.status}"
    return f"{provenance(report.algorithm)}{status}; study revision {report.revision}"


def _foot(page: Page, report: Report) -> None:
    y = 806.0
    page.rule(LEFT, y - 3, INNER)
    told = "This page is a summary. The structured report of the same study holds everything."
    if page.lost:
        y = page.line(LOST, LEFT, y - 14, INNER, 6.5, colour=GREY) + 5
    page.line(told, LEFT, y, INNER, 7.5, colour=GREY)
    mark = disclaimer(report.algorithm)
    if mark:
        page.line(mark, LEFT, y + 11, INNER, 9, bold=True, colour=RED)
    else:
        page.line("Not verified by a physician.", LEFT, y + 11, INNER, 9, bold=True, colour=BLACK)
