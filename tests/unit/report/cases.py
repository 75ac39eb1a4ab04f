"""Every detector in every state: what each kind of bundle may say of its study, for the gates of documents."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from app.findings import Finding, Outcome, Presence, Report
from app.study import Study
from bundles.common.contract import SegmentationOutput, Window
from tests.unit.report.factory import make_report, make_study
from tests.unit.report.measured import class_report, structure_report
from tests.unit.report.radiographs import chest_report, chest_study, wrist_report, wrist_study
from tests.unit.report.volumes import lesion_report

Made = tuple[Study, Report]
BRAIN = Window(center=40, width=80)


def _head(folder: Path) -> Made:
    return make_study(folder / "study"), make_report()


def _bleed(folder: Path) -> Made:
    study = make_study(folder / "study")
    region = SegmentationOutput(kind="region", scores=None)
    return study, lesion_report(study, folder / "out", output=region, kind="intracranial_hemorrhage")


def _metastases(folder: Path) -> Made:
    study = make_study(folder / "study")
    return study, lesion_report(study, folder / "out")


def _structures(folder: Path) -> Made:
    study = make_study(folder / "study")
    return study, structure_report(study, folder / "out")


def _classes(folder: Path) -> Made:
    study = make_study(folder / "study")
    return study, class_report(study)


DETECTORS: dict[str, Callable[[Path], Made]] = {
    "head CT": _head,
    "head CT with a region": _bleed,
    "brain metastases": _metastases,
    "chest": lambda folder: (chest_study(folder / "study"), chest_report()),
    "wrist": lambda folder: (wrist_study(folder / "study"), wrist_report()),
    "structures": _structures,
    "classes": _classes,
}


def _present(report: Report) -> Report:
    return report


def _absent(report: Report) -> Report:
    findings = tuple(
        replace(
            each,
            presence=Presence.ABSENT,
            certainty=0.0421,
            threshold=0.5,
            slices=tuple(replace(score, certainty=0.0421) for score in each.slices),
            regions=(),
            lesions=(),
        )
        for each in report.findings
    )
    return replace(report, findings=findings)


def _undetermined(report: Report) -> Report:
    findings = tuple(Finding(each.kind, Presence.UNDETERMINED) for each in report.findings)
    return replace(report.unmeasured(), findings=findings)


def _ended(outcome: Outcome, reason: str) -> Callable[[Report], Report]:
    return lambda report: replace(_undetermined(report), outcome=outcome, reason=reason)


STATES: dict[str, Callable[[Report], Report]] = {
    "present": _present,
    "absent": _absent,
    "undetermined": _undetermined,
    "failed": _ended(Outcome.FAILED, "the network ran out of memory"),
    "partial": _ended(Outcome.PARTIAL, "2 of 4 slices could not be decoded"),
    "not attempted": _ended(Outcome.NOT_ATTEMPTED, "one slice only; at least 8 were expected"),
}
ALL = [(detector, state) for detector in DETECTORS for state in STATES]


def made(detector: str, state: str, folder: Path) -> Made:
    """A study, and what a bundle says of it; masks, if any, lie in `folder / "out"`."""
    study, report = DETECTORS[detector](folder)
    return study, STATES[state](report)


def shows_something(report: Report) -> bool:
    """Whether a finding is present that has a place on an image."""
    return any(each.presence is Presence.PRESENT and (each.regions or each.lesions) for each in report.findings)
