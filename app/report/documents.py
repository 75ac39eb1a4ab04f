"""A report into its documents, each made alone: what breaks one does not lose the others."""

import traceback
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import structlog
from pydicom import dcmread

from app.documents import ALWAYS_MADE, Document, DocumentKind
from app.errors import AppError, Retryable
from app.findings import Finding, Outcome, Presence, Report
from app.masks import LabelVolume, masks_of
from app.report.fhir import fhir_bundle
from app.report.files import Shelf, stem
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
    report = _never_after_failure(report)
    with Shelf() as shelf:
        job = _Job(
            report=report,
            study=study,
            base=folder / stem(report),
            window=window,
            made_at=made_at or datetime.now(UTC).astimezone(),
            sources=_Sources(report, study),
            masks=_Masks(report, folder),
            shelf=shelf,
        )
        return tuple(_documents(job, kinds))


@dataclass(frozen=True, slots=True)
class _Job:
    """What every document of one report is made of, and the shelf it is put on."""

    report: Report
    study: Study
    base: Path
    window: Window | None
    made_at: datetime
    sources: "_Sources"
    masks: "_Masks"
    shelf: Shelf

    def path(self, suffix: str) -> Path:
        return self.base.with_name(f"{self.base.name}.{suffix}")


def _documents(job: _Job, kinds: Collection[DocumentKind]) -> list[Document]:
    report, sources, made_at = job.report, job.sources, job.made_at
    # First of all, since the SR names their segments; where one cannot be made, it says so.
    segmentations = _segmentations(job)
    outlined = {kind for kind, document in segmentations if not document.problem}

    def structured() -> bytes:
        return file_bytes(structured_report(report, sources.read(), made_at, outlined=outlined))

    uid = report_uid(report, DocumentKind.SR.value)
    documents = [
        _make(job, DocumentKind.SR, uid, job.path("sr.dcm"), structured),
        *(document for _, document in segmentations),
    ]
    key_images = _key_images(job)
    documents += key_images
    if DocumentKind.PRESENTATION in kinds and has_presentation(report):
        documents.append(_presentation(job))
    if DocumentKind.PDF in kinds:
        documents.append(_page(job, key_images))
    documents.append(_make(job, DocumentKind.JSON, "", job.path("json"), lambda: json_report(report, made_at)))
    texts: dict[DocumentKind, tuple[str, Callable[[], bytes]]] = {
        DocumentKind.FHIR: ("fhir.json", lambda: fhir_bundle(report, sources.read(), made_at, outlined=outlined)),
        DocumentKind.HL7: ("hl7", lambda: hl7_message(report, sources.read(), made_at)),
    }
    for kind, (suffix, content) in texts.items():
        if kind in kinds:
            documents.append(_make(job, kind, "", job.path(suffix), content))
    return documents


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


def _segmentations(job: _Job) -> list[tuple[str, Document]]:
    """A segmentation of each finding with lesions, and of all structures together, or why there is none; by the name of
    its mask.
    """
    report, made_at = job.report, job.made_at
    made: list[tuple[str, Document]] = []
    if any(structure.segment for structure in report.structures):

        def of_structures() -> bytes:
            mask = job.masks.read(STRUCTURES)
            return file_bytes(structure_segmentation(report, mask, job.sources.read(), made_at))

        uid = structure_segmentation_uid(report)
        made.append((STRUCTURES, _make(job, DocumentKind.SEG, uid, job.path("seg.dcm"), of_structures)))
    for finding in report.findings:
        if not shown_lesions(finding):
            continue
        number = len(made) + 1
        path = job.path(f"seg{'' if number == 1 else f'-{number}'}.dcm")

        def encoded(finding: Finding = finding, number: int = number) -> bytes:
            mask = job.masks.read(finding.kind)
            return file_bytes(segmentation(report, finding, mask, job.sources.read(), made_at, number=number))

        made.append((finding.kind, _make(job, DocumentKind.SEG, segmentation_uid(report, finding), path, encoded)))
    return made


def _key_images(job: _Job) -> list[Document]:
    report = job.report
    shown = shown_images(report)
    if not shown:
        log.info("no_key_image", study=uid_hash(report.study_uid)[:12], outcome=report.outcome.value)

    def picture(image: Shown) -> Callable[[], bytes]:
        return lambda: file_bytes(
            key_image(report, job.sources.read(), image, job.window, job.made_at, mask_of=job.masks.of)
        )

    made = []
    for image in shown:
        path = job.path(f"key{'' if image.number == 1 else f'-{image.number}'}.dcm")
        made.append(_make(job, DocumentKind.KEY_IMAGE, key_image_uid(report, image.number), path, picture(image)))
    return made


def _presentation(job: _Job) -> Document:
    uid = report_uid(job.report, DocumentKind.PRESENTATION.value)

    def content() -> bytes:
        return file_bytes(
            presentation_state(job.report, job.sources.read(), job.window, job.made_at, mask_of=job.masks.of)
        )

    return _make(job, DocumentKind.PRESENTATION, uid, job.path("presentation.dcm"), content)


def _page(job: _Job, key_images: list[Document]) -> Document:
    """The page shows the key images that could be made."""
    report, made_at = job.report, job.made_at
    drawn = [image.path for image in key_images if not image.problem]

    def content() -> bytes:
        job.shelf.settle()
        pictures = [dcmread(path).pixel_array for path in drawn[:MOST_PICTURES]]
        written = summary(report, job.study, job.sources.read(), made_at, pictures, more=len(drawn) - len(pictures))
        return file_bytes(encapsulated_pdf(report, job.sources.read(), written, made_at))

    return _make(job, DocumentKind.PDF, report_uid(report, DocumentKind.PDF.value), job.path("pdf.dcm"), content)


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


def _make(job: _Job, kind: DocumentKind, uid: str, path: Path, content: Callable[[], bytes]) -> Document:
    report = job.report
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
    except Retryable:
        raise  # the disk, not the document
    except AppError as error:
        problem = str(error)
    except Exception as error:  # noqa: BLE001  whatever a strange header breaks in here, the other documents must leave
        problem = _in_words(error)
    if not problem:
        job.shelf.put(path, encoded)
        return document
    log.error("document_failed", kind=kind.value, study=uid_hash(report.study_uid)[:12], problem=problem)
    return replace(document, problem=problem)


def _in_words(error: Exception) -> str:
    """Describe an error without its message, which may quote a header."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "report" in Path(frame.filename).parts] or frames
    where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
    return f"{type(error).__name__} at {where}; the study's headers or the report hold something unexpected"
