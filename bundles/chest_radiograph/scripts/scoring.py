"""How good the detector is on validation images, after every epoch."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine
from ignite.metrics import Metric
from torch import Tensor

from bundles.chest_radiograph.scripts.detections import Choice, detections_of
from bundles.chest_radiograph.scripts.network import CLASSES
from bundles.chest_radiograph.scripts.truth import Truth
from bundles.common.metrics import ImageBoxes, area_under_roc, image_boxes, mean_average_precision

Row = tuple[list[float], list[float], list[ImageBoxes] | None]


class DetectionScore(Metric):  # type: ignore[misc]  # ignite is untyped
    """Mean of `map` (average precision of boxes, mean over classes) and `auc` (area under the ROC curve of the image's
    probability, mean over classes), over a whole epoch and all processes. Both parts become metrics of their own.

    A part that is not defined, because no image has the finding or all have it, is left out; NaN without either.

    Args:
        min_iou: Overlap with a true box from which a detection is right.
        choice: Which locations become detections.
    """

    def __init__(self, min_iou: float = 0.5, choice: Choice | None = None) -> None:
        self.min_iou, self.choice = min_iou, choice
        super().__init__(output_transform=lambda output: (output["pred"], output["label"]))

    def reset(self) -> None:
        """Forget everything."""
        self._rows: list[Row] = []
        self.parts: dict[str, float] = {}

    def update(self, output: tuple[Mapping[str, Tensor], Truth]) -> None:
        """Take one batch: the network's outputs and the truth."""
        outputs, truth = output
        for index in range(len(truth.boxes)):
            one = {name: value[index] for name, value in outputs.items()}
            known = bool(truth.known[index].all())
            boxes = self._boxes(one, truth, index) if known else None
            self._rows.append((one["image"].tolist(), truth.labels[index].tolist(), boxes))

    def compute(self) -> float:
        """The mean of the parts."""
        rows = _gathered(self._rows)
        self.parts = {"map": self._precision(rows), "auc": _area(rows)}
        known = [value for value in self.parts.values() if not np.isnan(value)]
        return float(np.mean(known)) if known else float("nan")

    def completed(self, engine: Engine, name: Any) -> None:
        """Write the score and its parts into the engine's metrics."""
        super().completed(engine, name)
        engine.state.metrics.update(self.parts)

    def _boxes(self, outputs: Mapping[str, Tensor], truth: Truth, index: int) -> list[ImageBoxes]:
        found = detections_of(outputs, truth.size, self.choice)
        real, kinds = truth.boxes[index].cpu(), truth.classes[index].cpu()
        # An image stands for its patient: without an interval nobody is drawn.
        return [
            image_boxes("", found.boxes[found.classes == k], found.scores[found.classes == k], real[kinds == k])
            for k in range(len(CLASSES))
        ]

    def _precision(self, rows: list[Row]) -> float:
        known = [row[2] for row in rows if row[2] is not None]
        if not any(len(one.truth) for image in known for one in image):
            return float("nan")
        classes = {name: [image[k] for image in known] for k, name in enumerate(CLASSES)}
        return float(mean_average_precision(classes, min_iou=self.min_iou, replicates=0).mean.value)


def _area(rows: list[Row]) -> float:
    scores, labels = (np.array([row[part] for row in rows], dtype=np.float64) for part in (0, 1))
    areas = []
    for k in range(len(CLASSES)):
        known = ~np.isnan(labels[:, k])
        areas.append(area_under_roc(scores[known, k], labels[known, k] >= 0.5))
    return float(np.nanmean(areas)) if not np.isnan(areas).all() else float("nan")


def _gathered(own: list[Row]) -> list[Row]:
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return own
    every: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(every, own)
    return [row for part in every for row in part]
