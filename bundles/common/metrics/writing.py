"""One call from cases to everything that an evaluation leaves behind: JSON, pictures, the model card's section."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bundles.common.metrics.card import card_section
from bundles.common.metrics.cases import FILE as CASES
from bundles.common.metrics.cases import Case, case_id, patient_id, slice_id, write_cases
from bundles.common.metrics.examples import Example, plot_examples
from bundles.common.metrics.froc import MIN_IOU, measure_froc
from bundles.common.metrics.inputs import Groups
from bundles.common.metrics.intervals import REPLICATES, Interval
from bundles.common.metrics.matching import ImageBoxes
from bundles.common.metrics.plots import DrawnRoc, plot_froc, plot_precision_recall, plot_reliability, plot_roc
from bundles.common.metrics.report import Evaluation, report_classification, report_detection, write_json
from bundles.common.metrics.roc import precision_recall_curve, roc_band, roc_curve

JSON = "evaluation.json"
CARD = "model_card_section.md"


@dataclass(frozen=True, slots=True)
class About:
    """What was measured, as in `Evaluation`.

    Attributes:
        bundle: Name and version.
        weights_sha256: Of the weights.
        data: The test cases by name; starts with "phantom" where no patient was involved.
        created: Date, ISO 8601.
        notes: What a reader must know.
        extra: Anything else that JSON can keep.
    """

    bundle: str
    weights_sha256: str
    data: str
    created: str
    notes: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Cases:
    """Probabilities of one finding.

    Attributes:
        probabilities: (n,), 0 to 1.
        truth: (n,) of known label.
        patients: (n,), or None for one case a patient.
        thresholds: Operating points that were chosen elsewhere, by name.
        names: (n,) of the images, as the datalist writes them; then `cases.csv` is written. None for none.
        slices: (n,) numbers of the slices, where cases are slices of the images in `names`.
    """

    probabilities: ArrayLike
    truth: ArrayLike
    patients: Groups | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    names: Sequence[str] | None = None
    slices: Sequence[int] | None = None

    def rows(self, finding: str) -> list[Case]:
        """A line for each case, where images have names."""
        if self.names is None:
            return []
        people = self.names if self.patients is None else self.patients
        cases = [case_id(name) for name in self.names]
        if self.slices is not None:
            cases = [slice_id(name, number) for name, number in zip(self.names, self.slices, strict=True)]
        together = zip(cases, people, np.asarray(self.truth), np.asarray(self.probabilities), strict=True)
        return [
            Case(finding, case, patient_id(str(person)), bool(truth), float(score))
            for case, person, truth, score in together
        ]


def write_evaluation(
    folder: Path,
    about: About,
    *,
    classification: Mapping[str, Cases] | None = None,
    detection: Mapping[str, Sequence[ImageBoxes]] | None = None,
    examples: Sequence[Example] = (),
    min_iou: float = MIN_IOU,
    replicates: int = REPLICATES,
) -> Evaluation:
    """Measure, and write JSON, pictures and the model card's section.

    The files are `evaluation.json`, `model_card_section.md`, `cases.csv` where images have names, and
    where there is something to show `roc.png`,
    `precision_recall.png`, `reliability.png`, `froc.png` and `examples.png`.

    A finding of which one class is missing has no ROC curve, one without positives no precision-recall curve, and boxes
    without findings no fROC curve: those curves are left out of the pictures; the JSON says null.

    Args:
        folder: Is made.
        about: What is measured.
        classification: By finding.
        detection: Of each class the same images.
        examples: Images for the sheet, few.
        min_iou: Least intersection over union of a hit.
        replicates: Of the bootstrap over patients.

    Raises:
        ValueError: Nothing to measure, or as in `report_classification` and `report_detection`.
    """
    cases, boxes = classification or {}, detection or {}
    if not cases and not boxes:
        raise ValueError("there is neither a classification nor a detection to evaluate")
    evaluation = Evaluation(
        bundle=about.bundle,
        weights_sha256=about.weights_sha256,
        data=about.data,
        created=about.created,
        replicates=replicates,
        classification={
            name: report_classification(
                one.probabilities, one.truth, one.patients, thresholds=one.thresholds, replicates=replicates
            )
            for name, one in cases.items()
        },
        detection={
            name: report_detection(images, min_iou=min_iou, replicates=replicates) for name, images in boxes.items()
        },
        notes=about.notes,
        extra=about.extra,
    )
    write_json(folder / JSON, evaluation)
    (folder / CARD).write_text(card_section(folder / JSON), encoding="utf-8")
    if rows := [row for name, one in cases.items() for row in one.rows(name)]:
        write_cases(folder / CASES, rows)
    _draw_cases(folder, cases, evaluation, replicates)
    _draw_boxes(folder, boxes, evaluation, min_iou)
    if examples:
        plot_examples(folder / "examples.png", examples)
    return evaluation


def _draw_cases(folder: Path, cases: Mapping[str, Cases], evaluation: Evaluation, replicates: int) -> None:
    found = evaluation.classification
    rocs = {
        f"{name}, {_legend(found[name].auroc)}": DrawnRoc(
            roc_curve(one.probabilities, one.truth),
            roc_band(one.probabilities, one.truth, one.patients, replicates) if replicates else None,
        )
        for name, one in cases.items()
        if found[name].positives and found[name].negatives
    }
    precisions = {
        f"{name}, {_legend(found[name].average_precision)}": precision_recall_curve(one.probabilities, one.truth)
        for name, one in cases.items()
        if found[name].positives
    }
    if rocs:
        plot_roc(folder / "roc.png", rocs)
    if precisions:
        plot_precision_recall(folder / "precision_recall.png", precisions)
    if cases:
        plot_reliability(folder / "reliability.png", {name: found[name].reliability for name in cases})


def _draw_boxes(
    folder: Path, boxes: Mapping[str, Sequence[ImageBoxes]], evaluation: Evaluation, min_iou: float
) -> None:
    found = evaluation.detection
    curves = {
        f"{name}, {_legend(found[name].froc_average)}": measure_froc(images, min_iou=min_iou, replicates=0)
        for name, images in boxes.items()
        if found[name].findings
    }
    if curves:
        plot_froc(folder / "froc.png", curves)


def _legend(interval: Interval) -> str:
    ends = f" ({interval.low:.2f} to {interval.high:.2f})" if interval.replicates else ""
    return f"{interval.value:.2f}{ends}"
