"""A report into its documents, each made alone: what breaks one does not lose the others."""

import traceback
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import structlog
from pydicom import dcmread

from app.documents import ALWAYS_MADE, Document, DocumentKind
from app.errors import AppError, Retryable
from app.findings import Finding, Outcome, Presence, Report
from app.masks import LabelVolume, masks_of
from app.report.fhir import fhir_bundle
from app.report.files import stem, write_durably
from app.report.hl7v2 import hl7_message
from app.report.json_report import json_report
from app.report.key_image import key_image, key_image_uid
from app.report.pdf import encapsulated_pdf
from app.report.presentation import has_presentation, presentation_state
from app.report.segmentation import segmentation, segmentation_uid
from app.report.shown import Shown, shown_images
from app.report.source import Source, read_source
from app.report.sr import structured_report
from app.report.structures import structure_segmentation, structure_segmentation_uid
from app.report.summary import MOST_PICTURES, summary
from app.report.uids import report_uid
from app.report.words import shown_lesions
from app.report.writing import file_bytes
from app.structures import STRUCTURES
from app.study import Study, uid_hash
from bundles.common.contract import Window

log = structlog.get_logger()
GUARD = "An answer was given although the analysis did not succeed; it is not reported."


def encode(
    report: Report,
    study: Study,
    folder: Path,
    *,
    window: Window | None = None,
    made_at: datetime | None = None,
    kinds: Collection[DocumentKind] = ALWAYS_MADE,
) -> tuple[Document, ...]:
    """Write the documents of a report into `folder`: SR, JSON and, where something was determined, key images.

    A presentation state, where there is something to draw, and a page of paper are made where they are wanted.

    The same report of the same study gives the same UIDs and, with the same `made_at`, the same bytes.

    Args:
        report: What one bundle said of one series, or of the images of a study.
        study: The study it is about.
        folder: Made where it does not exist; the masks of the report, if any, lie there (`app.masks`).
        window: Of the key image, from the bundle's contract; None takes the grey scale of radiographs.
        made_at: When the documents were made; None is now, in local time.
        kinds: What is wanted beside `ALWAYS_MADE`, which are made in any case.

    Returns:
        The SR first. A document that could not be made carries a `problem` and has no file. There is a segmentation of
        each finding with lesions. There is one key image for a volume, or one for each slice that shows most of a
        lesion; and one for each image with a finding where images were read by themselves; none for an undetermined
        report, nor for an algorithm that neither scores slices nor outlines lesions.

    Raises:
        Retryable: The folder cannot be written.
    """
    made_at = made_at or datetime.now(UTC).astimezone()
    report = _never_after_failure(report)
    base = folder / stem(report)
    sources, masks = _Sources(report, study), _Masks(report, folder)
    # First of all, since the SR names their segments; where one cannot be made, it says so.
    segmentations = _segmentations(report, sources, masks, base, made_at)
    outlined = {kind for kind, document in segmentations if not document.problem}
    documents = [
        _make(
            report,
            DocumentKind.SR,
            report_uid(report, DocumentKind.SR.value),
            base.with_name(f"{base.name}.sr.dcm"),
            lambda: file_bytes(structured_report(report, sources.read(), made_at, outlined=outlined)),
        ),
        *(document for _, document in segmentations),
    ]
    key_images = _key_images(report, sources, masks, base, window, made_at)
    documents += key_images
    if DocumentKind.PRESENTATION in kinds and has_presentation(report):
        documents.append(_presentation(report, sources, masks, base, window, made_at))
    if DocumentKind.PDF in kinds:
        documents.append(_page(report, study, sources, key_images, base, made_at))
    documents.append(
        _make(report, DocumentKind.JSON, "", base.with_name(f"{base.name}.json"), lambda: json_report(report, made_at))
    )
    texts: dict[DocumentKind, tuple[str, Callable[[], bytes]]] = {
        DocumentKind.FHIR: ("fhir.json", lambda: fhir_bundle(report, sources.read(), made_at, outlined=outlined)),
        DocumentKind.HL7: ("hl7", lambda: hl7_message(report, sources.read(), made_at)),
    }
    for kind, (suffix, content) in texts.items():
        if kind in kinds:
            documents.append(_make(report, kind, "", base.with_name(f"{base.name}.{suffix}"), content))
    return tuple(documents)


class _Sources:
    """Reads the headers once, when the first document asks; each document meets a failure of it alone."""

    def __init__(self, report: Report, study: Study) -> None:
        self._report, self._study = report, study
        self._source: Source | None = None

    def read(self) -> Source:
        if self._source is None:
            self._source = read_source(self._report, self._study)
        return self._source


class _Masks:
    """Reads the mask of a finding when the first document asks, and keeps it: cropped, it is small."""

    def __init__(self, report: Report, folder: Path) -> None:
        self._report, self._folder = report, folder
        self._volumes: dict[str, LabelVolume] = {}

    def read(self, kind: str) -> LabelVolume:
        """The mask of a finding, or of all structures.

        Raises:
            Failed: It is not there, or damaged.
        """
        if kind not in self._volumes:
            self._volumes[kind] = masks_of(self._folder, self._report, kind)
        return self._volumes[kind]

    def of(self, finding: Finding) -> LabelVolume:
        """The mask of a finding; raises as `read`."""
        return self.read(finding.kind)


def _segmentations(
    report: Report, sources: _Sources, masks: _Masks, base: Path, made_at: datetime
) -> list[tuple[str, Document]]:
    """A segmentation of each finding with lesions, and of all structures together, or why there is none; by the name of
    its mask.
    """
    made: list[tuple[str, Document]] = []
    if any(structure.segment for structure in report.structures):
        path = base.with_name(f"{base.name}.seg.dcm")

        def of_structures() -> bytes:
            return file_bytes(structure_segmentation(report, masks.read(STRUCTURES), sources.read(), made_at))

        uid = structure_segmentation_uid(report)
        made.append((STRUCTURES, _make(report, DocumentKind.SEG, uid, path, of_structures)))
    for finding in report.findings:
        if not shown_lesions(finding):
            continue
        number = len(made) + 1
        path = base.with_name(f"{base.name}.seg{'' if number == 1 else f'-{number}'}.dcm")

        def encoded(finding: Finding = finding, number: int = number) -> bytes:
            return file_bytes(
                segmentation(report, finding, masks.read(finding.kind), sources.read(), made_at, number=number)
            )

        made.append((finding.kind, _make(report, DocumentKind.SEG, segmentation_uid(report, finding), path, encoded)))
    return made


def _key_images(  # noqa: PLR0917  what a document is made of
    report: Report, sources: _Sources, masks: _Masks, base: Path, window: Window | None, made_at: datetime
) -> list[Document]:
    shown = shown_images(report)
    if not shown:
        log.info("no_key_image", study=uid_hash(report.study_uid)[:12], outcome=report.outcome.value)

    def picture(image: Shown) -> Callable[[], bytes]:
        return lambda: file_bytes(key_image(report, sources.read(), image, window, made_at, mask_of=masks.of))

    made = []
    for image in shown:
        path = base.with_name(f"{base.name}.key{'' if image.number == 1 else f'-{image.number}'}.dcm")
        uid = key_image_uid(report, image.number)
        made.append(_make(report, DocumentKind.KEY_IMAGE, uid, path, picture(image)))
    return made


def _presentation(  # noqa: PLR0917  what a document is made of
    report: Report, sources: _Sources, masks: _Masks, base: Path, window: Window | None, made_at: datetime
) -> Document:
    uid = report_uid(report, DocumentKind.PRESENTATION.value)

    def content() -> bytes:
        return file_bytes(presentation_state(report, sources.read(), window, made_at, mask_of=masks.of))

    return _make(report, DocumentKind.PRESENTATION, uid, base.with_name(f"{base.name}.presentation.dcm"), content)


def _page(  # noqa: PLR0917  what a document is made of
    report: Report, study: Study, sources: _Sources, key_images: list[Document], base: Path, made_at: datetime
) -> Document:
    """The page shows the key images that could be made."""
    drawn = [image.path for image in key_images if not image.problem]

    def content() -> bytes:
        pictures = [dcmread(path).pixel_array for path in drawn[:MOST_PICTURES]]
        written = summary(report, study, sources.read(), made_at, pictures, more=len(drawn) - len(pictures))
        return file_bytes(encapsulated_pdf(report, sources.read(), written, made_at))

    uid = report_uid(report, DocumentKind.PDF.value)
    return _make(report, DocumentKind.PDF, uid, base.with_name(f"{base.name}.pdf.dcm"), content)


def _never_after_failure(report: Report) -> Report:
    """Turn the answers of an analysis that did not succeed into *undetermined*, the last time this can be done."""
    if report.outcome is Outcome.SUCCEEDED or not report.determined:
        return report
    log.error("answer_after_failure", study=uid_hash(report.study_uid)[:12], outcome=report.outcome.value)
    findings = tuple(
        replace(
            finding, presence=Presence.UNDETERMINED, certainty=None, threshold=None, slices=(), regions=(), lesions=()
        )
        for finding in report.findings
    )
    return replace(report.unmeasured(), findings=findings, notes=(*report.notes, GUARD))


def _make(report: Report, kind: DocumentKind, uid: str, path: Path, content: Callable[[], bytes]) -> Document:
    document = Document(
        kind=kind,
        bundle=report.algorithm.name,
        path=path,
        sop_instance_uid=uid,
        series_uid=report.series_uid,
        stack=report.stack,
        urgent=report.urgent,
    )
    problem = ""
    try:
        encoded = content()
    except AppError as error:
        problem = str(error)
    except Exception as error:  # noqa: BLE001  whatever a strange header breaks in here, the other documents must leave
        problem = _in_words(error)
    if not problem:
        _store(path, encoded)
        return document
    log.error("document_failed", kind=kind.value, study=uid_hash(report.study_uid)[:12], problem=problem)
    return replace(document, problem=problem)


def _store(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, content)
    except OSError as error:
        raise Retryable(
            f"{path.name}: {error.strerror}; make room or give write access to the folder of results"
        ) from error


def _in_words(error: Exception) -> str:
    """Describe an error without its message, which may quote a header."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "report" in Path(frame.filename).parts] or frames
    where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
    return f"{type(error).__name__} at {where}; the study's headers or the report hold something unexpected"
