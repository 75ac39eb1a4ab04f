"""Figures of an epoch for MONAI's and ignite's engines, gathered from all processes.

Each is an `ignite.metrics.Metric` that gives one number, so that it can be `key_val_metric` or one of the
`additional_metrics` of an evaluator. A `DistributedSampler` repeats cases so that every process has as many; give names
to count each once.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ignite.metrics import Metric
from numpy.typing import NDArray
from torch import Tensor, distributed

from bundles.common.metrics.classification import calls
from bundles.common.metrics.froc import MIN_IOU, RATES, measure_froc
from bundles.common.metrics.inputs import known
from bundles.common.metrics.matching import ImageBoxes, image_boxes
from bundles.common.metrics.mean_average_precision import mean_average_precision
from bundles.common.metrics.roc import area_under_roc, average_precision

AREAS = {"auroc": area_under_roc, "average_precision": average_precision}
CALLS = ("accuracy", "sensitivity", "recall", "specificity", "precision", "f1")
Column = NDArray[np.float64]


def pred_and_label(output: Any) -> tuple[Any, Any]:
    """`pred` and `label` of an engine's output: a mapping of batches, or a list of mappings where it was decollated."""
    if isinstance(output, Mapping):
        return output["pred"], output["label"]
    return [item["pred"] for item in output], [item["label"] for item in output]


class ClassificationFigure(Metric):  # type: ignore[misc]
    """One figure over all cases of an epoch.

    Cases of unknown label (NaN) are left out. Of several outputs it is the mean over those for which it is defined. It
    is NaN where it is defined for none, and where a score is NaN: a diverged training goes on to say so.

    Args:
        figure: auroc, average_precision, accuracy, sensitivity, recall, specificity, precision or f1.
        threshold: For all but the first two: cases at or above are called. Of logits 0, of probabilities 0.5.
        output: Index of the output to measure; None takes the mean over all.
        output_transform: From the engine's output to (scores, labels) or (scores, labels, names): (batch, outputs) or
            (batch,), tensors or a list of one tensor a case; names make cases count once.

    Raises:
        ValueError: No such figure.
    """

    def __init__(
        self,
        figure: str = "auroc",
        threshold: float = 0.5,
        output: int | None = None,
        output_transform: Callable[[Any], Sequence[Any]] = pred_and_label,
    ) -> None:
        if figure not in (*AREAS, *CALLS):
            raise ValueError(f"{figure!r} is no figure; known are {', '.join((*AREAS, *CALLS))}")
        self.figure = figure
        self.threshold = threshold
        self.output = output
        super().__init__(output_transform=output_transform, skip_unrolling=True)

    def reset(self) -> None:
        """Forget everything."""
        self._rows: list[tuple[str | None, Column, Column]] = []

    def update(self, output: Sequence[Any]) -> None:
        """Take one batch.

        Raises:
            ValueError: Scores and labels of different shape, or another number of names.
        """
        scores, labels = _rows(output[0]), _rows(output[1])
        if scores.shape != labels.shape:
            raise ValueError(
                f"scores of shape {scores.shape} but labels of {labels.shape}: one label an output is needed"
            )
        names = [None] * len(scores) if len(output) < 3 else [str(name) for name in output[2]]
        self._rows += zip(names, scores, labels, strict=True)

    def compute(self) -> float:
        """The figure; NaN where it is not defined."""
        rows = once_each(gathered(self._rows))
        if not rows:
            return float("nan")
        scores, labels = (np.stack([row[place] for row in rows]) for place in (1, 2))
        columns = range(scores.shape[1]) if self.output is None else [self.output]
        each = [self._measure(scores[:, column], labels[:, column]) for column in columns]
        # A score that is NaN is no missing class: it must not be averaged away.
        if np.isnan(scores[:, list(columns)]).any() or np.isnan(each).all():
            return float("nan")
        return float(np.nanmean(each))

    def _measure(self, scores: Column, labels: Column) -> float:
        labelled = known(labels)
        scores, truth = scores[labelled], labels[labelled] >= 0.5
        if np.isnan(scores).any():
            return float("nan")
        if self.figure in AREAS:
            return AREAS[self.figure](scores, truth)
        return float(getattr(calls(scores, truth, self.threshold), self.figure))


class DetectionFigure(Metric):  # type: ignore[misc]
    """fROC average or average precision of the boxes of one class over all images of an epoch.

    Args:
        label: Of the class.
        figure: froc (seed 001's nine rates) or average_precision.
        min_iou: Least intersection over union of a hit.
        keys: Where a prediction and a truth keep boxes (n, 4), labels (n,) and, predictions alone, scores (n,);
            MONAI's.
        output_transform: From the engine's output to (predictions, truths) or (predictions, truths, names): a list of
            one mapping an image each; names make images count once.

    Raises:
        ValueError: No such figure.
    """

    def __init__(
        self,
        label: int = 0,
        figure: str = "froc",
        min_iou: float = MIN_IOU,
        keys: tuple[str, str, str] = ("box", "label", "label_scores"),
        output_transform: Callable[[Any], Sequence[Any]] = pred_and_label,
    ) -> None:
        if figure not in ("froc", "average_precision"):
            raise ValueError(f"{figure!r} is no figure of boxes; known are froc and average_precision")
        self.label = label
        self.figure = figure
        self.min_iou = min_iou
        self.keys = keys
        super().__init__(output_transform=output_transform, skip_unrolling=True)

    def reset(self) -> None:
        """Forget everything."""
        self._rows: list[tuple[str | None, ImageBoxes]] = []

    def update(self, output: Sequence[Any]) -> None:
        """Take one batch.

        Raises:
            ValueError: Boxes that are none, as in `image_boxes`, or another number of truths or names.
        """
        predictions, truths = output[0], output[1]
        names = [None] * len(predictions) if len(output) < 3 else [str(name) for name in output[2]]
        for name, prediction, truth in zip(names, predictions, truths, strict=True):
            self._rows.append((name, self._one_class(prediction, truth)))

    def compute(self) -> float:
        """The figure; NaN without a finding of the class, and without images."""
        images = [row[1] for row in once_each(gathered(self._rows))]
        if not images:
            return float("nan")
        if self.figure == "froc":
            return measure_froc(images, min_iou=self.min_iou, rates=RATES, replicates=0).average.value
        return mean_average_precision({"class": images}, min_iou=self.min_iou, replicates=0).mean.value

    def _one_class(self, prediction: Mapping[str, Any], truth: Mapping[str, Any]) -> ImageBoxes:
        boxes, labels, scores = (_numbers(prediction[key]) for key in self.keys)
        own, theirs = labels.reshape(-1) == self.label, _numbers(truth[self.keys[1]]).reshape(-1) == self.label
        true = _numbers(truth[self.keys[0]]).reshape(-1, 4)[theirs]
        return image_boxes("", boxes.reshape(-1, 4)[own], scores.reshape(-1)[own], true)


def gathered(rows: list[Any]) -> list[Any]:
    """The rows of all processes, in the order of their ranks; they must be picklable and are the same everywhere."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return rows
    every: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(every, rows)
    return [row for part in every for row in part]


def once_each(rows: list[Any]) -> list[Any]:
    """Rows whose first entry, a name, came before are left out; those without a name (None) all stay."""
    seen: set[str] = set()
    kept = []
    for row in rows:
        if row[0] is None or row[0] not in seen:
            kept.append(row)
            seen.add(row[0])
    return kept


def _rows(values: Any) -> Column:
    """(batch, outputs)."""
    if isinstance(values, (list, tuple)):
        values = np.stack([_numbers(value).reshape(-1) for value in values]) if values else np.zeros((0, 1))
    table = _numbers(values)
    return table.reshape(len(table), -1)


def _numbers(values: Any) -> Column:
    if isinstance(values, Tensor):
        values = values.detach().to("cpu", torch.float64).numpy()
    return np.asarray(values, dtype=np.float64)
