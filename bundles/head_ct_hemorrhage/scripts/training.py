"""Pieces of the training configuration that MONAI does not have: cases, batches, metric."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.metrics import Metric
from torch import Tensor

from bundles.common.metrics import area_under_roc
from bundles.common.metrics.handlers import gathered
from bundles.head_ct_hemorrhage.scripts.loss import TASKS

Outputs = Mapping[str, Any]


def load_cases(datalist: str, section: str, limit: int = 0) -> list[dict[str, Any]]:
    """Cases of one section of a datalist, with image paths made absolute.

    Args:
        datalist: JSON file with the sections `training`, `validation` and `test`: lists of
            `{"image": path relative to the file, "label": 0/1, "types": [5 × 0/1], "slices": [0/1 a source slice]}`;
            all but the image are optional, as is `mask` (0 nothing, else 1 + index of the type).
        section: Which.
        limit: Take only so many; 0 takes all.

    Raises:
        ValueError: The file or the section is missing, or is empty.
    """
    path = Path(datalist)
    if not path.is_file():
        raise ValueError(f"{path} is missing; make phantoms with `python -m app.demo.phantoms` or give --datalist")
    cases = json.loads(path.read_text(encoding="utf-8")).get(section, [])
    if not cases:
        raise ValueError(f"{path} has no cases in '{section}'")
    keep = ("image", "mask", "label", "types", "slices")
    chosen = [{key: case[key] for key in keep if case.get(key) is not None} for case in cases[: limit or None]]
    files = ("image", "mask")
    return [{k: _absolute(path.parent, v) if k in files else v for k, v in case.items()} for case in chosen]


def _absolute(folder: Path, image: str | list[str]) -> str | list[str]:
    return (
        str((folder / image).resolve()) if isinstance(image, str) else [str((folder / one).resolve()) for one in image]
    )


def prepare_batch(
    batch: Mapping[str, Any], device: torch.device | str | None = None, non_blocking: bool = False, **_: Any
) -> tuple[Tensor, dict[str, Tensor]]:
    """A batch as (image, targets) on the device."""
    targets = {task: batch[task].to(device, non_blocking=non_blocking) for task in (*TASKS, "mask", "mask_known")}
    return batch["image"].to(device, non_blocking=non_blocking), targets


class MultiTaskAuc(Metric):  # type: ignore[misc]
    """Area under the ROC curve over a whole epoch, gathered from all processes.

    Args:
        task: `hemorrhage`; `types`, the mean over the types that have both classes; `slices`, over box slices of known
            label; or `score`, the mean of the first two, by which the best epoch is chosen.
    """

    def __init__(self, task: str = "score") -> None:
        self.task = task
        super().__init__(output_transform=lambda output: (output["pred"], output["label"]))

    def reset(self) -> None:
        """Forget everything."""
        self._scores: dict[str, list[Tensor]] = {task: [] for task in TASKS}
        self._truths: dict[str, list[Tensor]] = {task: [] for task in TASKS}

    def update(self, output: tuple[Outputs, Outputs]) -> None:
        """Take one batch: logits and targets of the three tasks."""
        logits, targets = output
        for task in TASKS:
            self._scores[task].append(logits[task].detach().float().cpu())
            self._truths[task].append(targets[task].detach().float().cpu())

    def compute(self) -> float:
        """The area; NaN where it is not defined."""
        scores = {task: _gathered(self._scores[task]) for task in TASKS}
        truths = {task: _gathered(self._truths[task]) for task in TASKS}
        if self.task == "score":
            return float(np.nanmean([task_auc(task, scores[task], truths[task]) for task in ("hemorrhage", "types")]))
        return task_auc(self.task, scores[self.task], truths[self.task])


def task_auc(task: str, scores: np.ndarray[Any, Any], truths: np.ndarray[Any, Any]) -> float:
    """Area for one task from (cases, outputs) scores and truths, NaN unknown: mean over types, else over everything."""
    columns = zip(scores.T, truths.T, strict=True) if task == "types" else [(scores.ravel(), truths.ravel())]
    areas = []
    for score, truth in columns:
        known = ~np.isnan(truth)
        areas.append(area_under_roc(score[known], truth[known] >= 0.5))
    return float(np.nanmean(areas)) if not np.isnan(areas).all() else float("nan")


def _gathered(parts: list[Tensor]) -> np.ndarray[Any, Any]:
    every = gathered([part.numpy() for part in parts])
    return np.concatenate(every) if every else np.zeros((0, 1), np.float32)
