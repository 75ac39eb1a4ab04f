"""Pieces of the training configuration that MONAI does not have: cases, batches, metric."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.metrics import Metric
from torch import Tensor

from bundles.common.metrics import area_under_roc
from bundles.common.metrics.handlers import gathered
from bundles.head_ct_hemorrhage.scripts.loss import TASKS, on_one_grid

Outputs = Mapping[str, Any]


def load_cases(datalist: str, section: str, limit: int = 0, negatives: float = 1.0) -> list[dict[str, Any]]:
    """Cases of one section of a datalist, with image paths made absolute.

    Args:
        datalist: JSON file with the sections `training`, `validation` and `test`: lists of
            `{"image": path relative to the file, "label": 0/1, "types": [5 × 0/1], "slices": [0/1 a source slice]}`;
            all but the image are optional, as are `mask` (0 nothing, else 1 + index of the type) and `patient`.
        section: Which.
        limit: Take only so many; 0 takes all.
        negatives: Share of the cases without hemorrhage that is taken, evenly spaced.

    Returns:
        The cases, with `name`, the image as written, and `patient`, which is the name where nobody is told.

    Raises:
        ValueError: The file or the section is missing, or is empty; or a share that is none.
    """
    path = Path(datalist)
    if not path.is_file():
        raise ValueError(f"{path} is missing; make phantoms with `python -m app.demo.phantoms` or give --datalist")
    cases = json.loads(path.read_text(encoding="utf-8")).get(section, [])
    if not cases:
        raise ValueError(f"{path} has no cases in '{section}'")
    if not 0 <= negatives <= 1:
        raise ValueError(f"negatives is a share of the cases, 0 to 1, got {negatives}")
    cases = _thinned(cases, negatives)
    keep = ("label", "types", "slices")
    return [
        {
            **{key: case[key] for key in keep if case.get(key) is not None},
            **{key: _absolute(path.parent, case[key]) for key in ("image", "mask") if case.get(key) is not None},
            "name": str(case["image"]),
            "patient": str(case.get("patient") or case["image"]),
        }
        for case in cases[: limit or None]
    ]


def _thinned(cases: list[dict[str, Any]], negatives: float) -> list[dict[str, Any]]:
    """Keep a share of the cases of label 0: of n so many that their number follows n · share as closely as whole
    numbers can.
    """
    kept, seen = [], 0
    for case in cases:
        if case.get("label") == 0:
            seen += 1
            if int(seen * negatives) == int((seen - 1) * negatives):
                continue
        kept.append(case)
    return kept


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
            label; or `score`, the mean of those in `score_of`, by which the best epoch is chosen.
        score_of: Of `hemorrhage` and `types` those that are trained.
    """

    def __init__(self, task: str = "score", score_of: Sequence[str] = ("hemorrhage", "types")) -> None:
        self.task, self.score_of = task, tuple(score_of)
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
            return float(np.nanmean([task_auc(task, scores[task], truths[task]) for task in self.score_of]))
        return task_auc(self.task, scores[self.task], truths[self.task])


class MaskDice(Metric):  # type: ignore[misc]
    """Dice of all cells of known masks of an epoch together, at a probability of 0.5, gathered from all processes.

    On the coarser of the grids of logits and mask. NaN where there is no mask, or the network has no such head.
    """

    def __init__(self) -> None:
        super().__init__(output_transform=lambda output: (output["pred"], output["label"]))

    def reset(self) -> None:
        """Forget everything."""
        self._overlaps: list[tuple[float, float]] = []

    def update(self, output: tuple[Outputs, Outputs]) -> None:
        """Take one batch: logits and targets."""
        logits, targets = output
        if "segmentation" not in logits:
            return
        scores, truth = on_one_grid(logits["segmentation"].detach().float(), targets["mask"])
        known = targets["mask_known"][:, :, None, None, None] > 0
        found, there = (scores > 0) & known, (truth > 0) & known
        self._overlaps.append((2 * float((found & there).sum()), float(found.sum() + there.sum())))

    def compute(self) -> float:
        """Dice."""
        overlaps = gathered(self._overlaps)
        shared, both = np.sum(overlaps, axis=0) if overlaps else (0.0, 0.0)
        return float(shared / both) if both else float("nan")


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
