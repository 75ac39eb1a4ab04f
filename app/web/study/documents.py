"""The documents of a study: as pages to read, as pictures, as files to keep."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from fastapi import HTTPException, Response
from fastapi.responses import FileResponse
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from app.documents import DICOM_KINDS, Document, DocumentKind
from app.outcomes import StudyOutcome
from app.web.study.tree import Node, lines_of, tree_of
from bundles.common.elements import PARSE_ERRORS, text, value_of
from bundles.common.masks.files import items

MOST_SHOWN: Final = 2_000_000
MOST_LINES: Final = 1_500
MEDIA_TYPES: Final = {DocumentKind.JSON: "application/json", DocumentKind.FHIR: "application/fhir+json"}
GONE: Final = "this document is not here any more; it was removed with the results of its study, or never written"
DAMAGED: Final = "this document cannot be read: its file is damaged; the other documents of the study may be whole"
KINDS: Final = {
    DocumentKind.SR: "structured report",
    DocumentKind.KEY_IMAGE: "key image",
    DocumentKind.JSON: "JSON report",
    DocumentKind.SEG: "segmentation",
    DocumentKind.PRESENTATION: "presentation state",
    DocumentKind.PDF: "page of paper (PDF)",
    DocumentKind.FHIR: "FHIR bundle",
    DocumentKind.HL7: "HL7 v2 message",
}


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of a segmentation, by its number and for people."""

    number: str
    label: str
    algorithm: str


@dataclass(frozen=True, slots=True)
class Readable:
    """A document for people; what it has not is empty.

    Attributes:
        tree: Of a structured report.
        content: Of a text, shortened where it is very long.
        segments: Of a segmentation.
        lines: Elements of any other DICOM object, as (depth, name, value).
        shortened: Whether something was left out.
    """

    tree: Node | None = None
    content: str = ""
    segments: tuple[Segment, ...] = ()
    lines: tuple[tuple[int, str, str], ...] = ()
    shortened: bool = False


def find(outcome: StudyOutcome, name: str) -> Document:
    """A document of a revision by the name of its file.

    Raises:
        HTTPException: 404, there is none of that name; 410, its file is gone.
    """
    found = next((each for each in outcome.documents if each.path.name == name), None)
    if found is None:
        raise HTTPException(404, "this study has no document of that name; its page lists those that it has")
    if found.problem:
        raise HTTPException(404, f"this document could not be made: {found.problem}")
    if not found.path.is_file():
        raise HTTPException(410, GONE)
    return found


def readable(document: Document) -> Readable:
    """A document for people.

    Raises:
        HTTPException: 422, its file is damaged.
    """
    if document.kind not in DICOM_KINDS:
        return _text(document)
    dataset = _open(document.path, pixels=False)
    if document.kind is DocumentKind.SR:
        return Readable(tree=tree_of(dataset))
    segments = tuple(_segments(dataset)) if document.kind is DocumentKind.SEG else ()
    lines: list[tuple[int, str, str]] = []
    for line in lines_of(dataset):
        if len(lines) == MOST_LINES:
            return Readable(segments=segments, lines=tuple(lines), shortened=True)
        lines.append(line)
    return Readable(segments=segments, lines=tuple(lines))


def file_of(document: Document) -> Response:
    """A document to keep, byte for byte."""
    media_type = "application/dicom" if document.kind in DICOM_KINDS else MEDIA_TYPES.get(document.kind, "text/plain")
    return FileResponse(document.path, media_type=media_type, filename=document.path.name)


def picture_of(document: Document) -> Response:
    """A key image as PNG.

    Raises:
        HTTPException: 404, it is no picture; 422, its file is damaged.
    """
    if document.kind is not DocumentKind.KEY_IMAGE:
        raise HTTPException(404, "only key images are pictures")
    try:
        pixels = np.asarray(_open(document.path, pixels=True).pixel_array)
    except (*PARSE_ERRORS, RuntimeError) as error:
        raise HTTPException(422, DAMAGED) from error
    content = BytesIO()
    Image.fromarray(pixels).save(content, "PNG", compress_level=3)
    return Response(content.getvalue(), media_type="image/png")


def pdf_of(document: Document) -> Response:
    """The page of paper, to be shown by the browser.

    Raises:
        HTTPException: 404, it is none; 422, its file is damaged.
    """
    if document.kind is not DocumentKind.PDF:
        raise HTTPException(404, "this document is no PDF")
    dataset = _open(document.path, pixels=True)
    content = value_of(dataset, "EncapsulatedDocument")
    if not isinstance(content, bytes) or not content.startswith(b"%PDF-"):
        raise HTTPException(422, DAMAGED)
    name = document.path.name.removesuffix(".dcm")
    headers = {"Content-Disposition": f'inline; filename="{name}"'}
    return Response(content, media_type="application/pdf", headers=headers)


def _text(document: Document) -> Readable:
    try:
        with document.path.open("rb") as file:
            raw = file.read(MOST_SHOWN + 1)
    except OSError as error:
        raise HTTPException(410, GONE) from error
    shown = raw[:MOST_SHOWN].decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    if len(raw) <= MOST_SHOWN and document.kind in MEDIA_TYPES:
        try:
            shown = json.dumps(json.loads(shown), indent=2, ensure_ascii=False)
        except ValueError as error:
            raise HTTPException(422, DAMAGED) from error
    return Readable(content=shown, shortened=len(raw) > MOST_SHOWN)


def _open(path: Path, *, pixels: bool) -> Dataset:
    try:
        return dcmread(path, stop_before_pixels=not pixels)
    except FileNotFoundError as error:
        raise HTTPException(410, GONE) from error
    except (InvalidDicomError, OSError, *PARSE_ERRORS) as error:
        raise HTTPException(422, DAMAGED) from error


def _segments(dataset: Dataset) -> Iterator[Segment]:
    for item in items(dataset, "SegmentSequence"):
        yield Segment(text(item, "SegmentNumber"), text(item, "SegmentLabel"), text(item, "SegmentAlgorithmName"))
