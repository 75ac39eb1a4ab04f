"""Reports of every detector in every state, and readers of FHIR and HL7 that share no code with the encoders."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import hl7
from fhir.resources.R4B.bundle import Bundle

from app.documents import DocumentKind
from app.findings import Finding, Outcome, Presence, Report
from app.report import encode
from app.structures import Structure
from app.study import Study
from bundles.common.contract import SegmentationOutput
from tests.unit.report.factory import MADE_AT, make_report, make_study
from tests.unit.report.measured import class_report, structure_report
from tests.unit.report.radiographs import chest_report, chest_study, wrist_report, wrist_study
from tests.unit.report.volumes import lesion_report

REGION = SegmentationOutput(kind="region", scores=None)
TEXTS = frozenset({DocumentKind.FHIR, DocumentKind.HL7})
REASON = "2 of 4 slices could not be decoded"


def _head_ct(folder: Path) -> tuple[Study, Report]:
    """Hemorrhage with its region, and five types without."""
    study = make_study(folder / "study")
    outlined = lesion_report(study, folder / "out", output=REGION, kind="intracranial_hemorrhage").findings[0]
    report = make_report(series_uid=study.series[0].uid)
    keep = lesion_report(
        study, folder / "out", output=REGION, kind="intracranial_hemorrhage", algorithm=report.algorithm
    )
    return study, replace(report, findings=(replace(keep.findings[0], lesions=outlined.lesions), *report.findings[1:]))


def _metastases(folder: Path) -> tuple[Study, Report]:
    study = make_study(folder / "study")
    return study, lesion_report(study, folder / "out")


def _structures(folder: Path) -> tuple[Study, Report]:
    study = make_study(folder / "study")
    return study, structure_report(study, folder / "out")


def _classes(folder: Path) -> tuple[Study, Report]:
    study = make_study(folder / "study")
    return study, class_report(study)


DETECTORS: dict[str, Callable[[Path], tuple[Study, Report]]] = {
    "head CT": _head_ct,
    "brain metastases": _metastases,
    "chest": lambda folder: (chest_study(folder / "study", rows=60, columns=50), chest_report()),
    "wrist": lambda folder: (wrist_study(folder / "study"), wrist_report()),
    "structures": _structures,
    "classes": _classes,
}


def _absent(report: Report) -> Report:
    """Nothing found: no region, no lesion, no voxel; every class at its lowest."""
    findings = tuple(
        replace(each, presence=Presence.ABSENT, certainty=0.0421, regions=(), lesions=()) for each in report.findings
    )
    structures = tuple(Structure(each.name, each.code, each.category, volume_mm3=0.0) for each in report.structures)
    classes = tuple(replace(each, score=0.0) for each in report.classes)
    return replace(report, findings=findings, structures=structures, classes=classes)


def _undetermined(report: Report) -> Report:
    """The analysis ran, and nothing is to be believed."""
    blank = tuple(Finding(each.kind, Presence.UNDETERMINED, urgent=each.urgent) for each in report.findings)
    return replace(report.unmeasured(), findings=blank, notes=("the network saw no brain",))


def _ended(outcome: Outcome) -> Callable[[Report], Report]:
    """The answers stay in, as a stage that is wrong would leave them: no document may tell them."""
    return lambda report: replace(report, outcome=outcome, reason=REASON)


STATES: dict[str, Callable[[Report], Report]] = {
    "present": lambda report: report,
    "absent": _absent,
    "undetermined": _undetermined,
    "failed": _ended(Outcome.FAILED),
    "partial": _ended(Outcome.PARTIAL),
    "not attempted": _ended(Outcome.NOT_ATTEMPTED),
}


@dataclass(frozen=True)
class Made:
    """What was said, and the documents that say it.

    Attributes:
        report: As the documents must tell it: undetermined where the analysis did not succeed.
        texts: Bytes by kind: FHIR, HL7 and JSON.
        study: What it is about.
    """

    report: Report
    texts: dict[DocumentKind, bytes]
    study: Study


def make(detector: str, state: str, folder: Path) -> Made:
    """Encode one case; every document must have been made."""
    study, report = DETECTORS[detector](folder)
    report = STATES[state](report)
    documents = encode(report, study, folder / "out", made_at=MADE_AT, kinds=TEXTS)
    assert [document.problem for document in documents] == [""] * len(documents)
    wanted = {*TEXTS, DocumentKind.JSON}
    texts = {each.kind: each.path.read_bytes() for each in documents if each.kind in wanted}
    assert set(texts) == wanted
    if report.outcome is not Outcome.SUCCEEDED:
        report = replace(_undetermined(report), notes=report.notes)
    return Made(report, texts, study)


def resources(content: bytes) -> dict[str, Any]:
    """The resources of a bundle by their URL, as `fhir.resources` read them."""
    bundle = Bundle.model_validate_json(content)
    read = {entry.fullUrl: entry.resource for entry in bundle.entry}
    assert len(read) == len(bundle.entry)
    return read


@dataclass(frozen=True)
class Row:
    """An OBX segment as python-hl7 read it."""

    type: str
    codes: tuple[str, ...]
    group: str
    value: tuple[str, ...]
    unit: str
    flag: str
    status: str


class Message:
    """A message as python-hl7 read it."""

    def __init__(self, content: bytes) -> None:
        self.parsed = hl7.parse(content.decode())
        self.names = [str(segment[0]) for segment in self.parsed]

    def field(self, segment: str, number: int, component: int = 1, *, repeat: int = 1, at: int = 1) -> str:
        """A component, without escapes; "" where there is none."""
        try:
            return str(self.parsed.extract_field(segment, at, number, repeat, component, 1))
        except IndexError:
            return ""

    def all(self, segment: str, number: int) -> list[str]:
        """A field of every segment of that name."""
        return [self._at(segment, at, number) for at in range(1, self.names.count(segment) + 1)]

    @property
    def rows(self) -> list[Row]:
        """Every OBX."""
        return [self._row(at) for at in range(1, self.names.count("OBX") + 1)]

    def _row(self, at: int) -> Row:
        codes = tuple(self._at("OBX", at, 3, component) for component in range(1, 7))
        value = tuple(self._at("OBX", at, 5, component) for component in (1, 2, 3))
        rest = [self._at("OBX", at, number) for number in (2, 4, 6, 8, 11)]
        return Row(rest[0], codes, rest[1], value, *rest[2:])

    def _at(self, segment: str, at: int, number: int, component: int = 1) -> str:
        found = self.parsed.segments(segment)[at - 1]
        try:
            return str(found.extract_field(at, number, 1, component, 1))
        except (IndexError, LookupError):
            return ""
