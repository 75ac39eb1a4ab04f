"""A report on one page of paper, for people without a viewer of structured reports."""

from collections.abc import Sequence
from datetime import datetime
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.findings import Outcome, Report
from app.identity import Identity, PersonName, decoded, one_line
from app.report.findings_table import findings_table
from app.report.page import BLACK, GREY, INNER, LEFT, RED, WHITE, Page
from app.report.source import Source
from app.report.words import (
    disclaimer,
    early,
    ended,
    provenance,
)
from app.structures import in_words
from app.study import Series, Study

MOST_MEASURED, MOST_PICTURES = 10, 3
LOWEST, HIGHEST, CAPTION = 50.0, 320.0, 18.0
"""Heights of the key images, and of what is written below them."""
PICTURE_PIXELS, QUALITY = 760, 85
INDENT, GAP, BOTTOM = 88.0, 4.0, 785.0
NOTHING = "Nothing was determined: by this analysis no finding is present, and none is absent."
REPLACES = "This result stands for an earlier one on the same study, which is out of date."
UNVERIFIED = "Automatic analysis. Preliminary: nobody has verified it."
LOST = (
    "\u25a1 stands for a letter that the fonts of this page cannot draw, or cannot join or turn as its script wants; "
    "the DICOM header has it as it was sent."
)

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
    y = _measured(page, report, y) if not report.findings else findings_table(page, report, y, by_image=source.by_image)
    sections = (
        ("Looked at", _looked_at(report, source), 3),
        ("Not looked at", _not_looked_at(report, study, source), 4),
        ("To know", report.notes, 6),
        ("Who says it", _who(report), 6),
    )
    below = sum(page.height(texts, INNER - INDENT, most) + GAP for _, texts, most in sections if texts)
    y = _pictures(page, pictures[:MOST_PICTURES], more, y, BOTTOM - y - below)
    for heading, texts, most in sections:
        y = _section(page, heading, texts, y, most)
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
    if report.outcome is not Outcome.SUCCEEDED:
        told.append(ended(report))
    if not report.determined:
        told.append(NOTHING)
    if report.replaces:
        told.append(REPLACES)
    return page.paragraphs(told, LEFT, y, INNER, 6, 10, bold=True, colour=RED) + (6 if told else 0)


def _measured(page: Page, report: Report, y: float) -> float:
    """What a Model Zoo bundle measured."""
    return _section(page, "Measured", in_words(report.structures, report.classes), y, MOST_MEASURED)


def _pictures(page: Page, shown: Sequence[Picture], more: int, y: float, height: float) -> float:
    """As high as there is room; none where there is nearly none."""
    most = min(HIGHEST, height - CAPTION)
    if not shown or most < LOWEST:
        return y
    gap = 8.0
    room = (INNER - gap * (len(shown) - 1)) / len(shown)
    x, lowest = LEFT, y
    for picture in shown:
        height, width = picture.shape[:2]
        scale = min(most / height, room / width)
        page.picture(_jpeg(picture), x, y, width * scale, height * scale)
        lowest = max(lowest, y + height * scale)
        x += width * scale + gap
    words = "Key images, not for measuring." + (f" ...and {more} more in the study." if more else "")
    return page.line(words, LEFT, lowest + 2, INNER, 7.5, colour=GREY) + GAP


def _jpeg(picture: Picture) -> bytes:
    image = Image.fromarray(picture)
    image.thumbnail((PICTURE_PIXELS, PICTURE_PIXELS), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def _section(page: Page, heading: str, texts: Sequence[str], y: float, most: int) -> float:
    if not texts:
        return y
    page.line(heading, LEFT, y, INDENT - 4, 8, bold=True)
    return page.paragraphs(texts, LEFT + INDENT, y, INNER - INDENT, most) + GAP


def _looked_at(report: Report, source: Source) -> list[str]:
    """The analysed series, if the analysis came to an end."""
    if report.outcome not in {Outcome.SUCCEEDED, Outcome.PARTIAL}:
        return []
    part = ", in part" if report.outcome is Outcome.PARTIAL else ""
    return [f"{_series(stack.series)}{part}" for stack in source.stacks]


def _series(series: Series) -> str:
    number, description = (
        one_line(str(series.headers.get(keyword, ""))) for keyword in ("SeriesNumber", "SeriesDescription")
    )
    images = sum(max(instance.frames, 1) for instance in series.instances)
    name = f"series {number}" if number else "a series without a number"
    words = f"{series.modality or 'no modality'}, {name}, {images} image{'' if images == 1 else 's'}"
    return f'{words}, "{description}"' if description else words


def _not_looked_at(report: Report, study: Study, source: Source) -> list[str]:
    """What came with the study and was not read, each with why; the reasons that come first matter most."""
    analysed = {(stack.series.uid, stack.series.stack) for stack in source.stacks}
    words = []
    if not _looked_at(report, source):
        words += [f"{_series(stack.series)}: analysis {report.outcome.value}" for stack in source.stacks]
    words += [f"Missing: {sign}" for sign in study.missing]
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


def _who(report: Report) -> list[str]:
    parts = provenance(report.algorithm).split("; ", 2)
    return [*parts, f"status: {report.algorithm.status}; study revision {report.revision}"]


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
