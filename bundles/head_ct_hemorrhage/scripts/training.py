"""Pieces of the training configuration that MONAI does not have: cases, precision, metric, resume, export."""

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from ignite.metrics import Metric
from torch import Tensor, nn

from bundles.common.metrics import area_under_roc
from bundles.common.metrics.handlers import gathered
from bundles.head_ct_hemorrhage.scripts.loss import TASKS

CHECKPOINT = "checkpoint.pt"
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


def warm_cosine(steps: int, warm: float = 0.15) -> Callable[[int], float]:
    """Factor of the learning rate at every step: linear rise over the first share `warm`, cosine fall to 0.1 %.

    A plain function, which schedulers do not save: a resumed run with other epochs follows its own length.
    """

    def factor(step: int) -> float:
        share = min(step / max(1, steps), 1.0)
        if share < warm:
            return 0.04 + 0.96 * share / warm
        return 0.001 + 0.999 * (1 + math.cos(math.pi * (share - warm) / (1 - warm))) / 2

    return factor


def prepare_batch(
    batch: Mapping[str, Any], device: torch.device | str | None = None, non_blocking: bool = False, **_: Any
) -> tuple[Tensor, dict[str, Tensor]]:
    """A batch as (image, targets) on the device."""
    targets = {task: batch[task].to(device, non_blocking=non_blocking) for task in (*TASKS, "mask", "mask_known")}
    return batch["image"].to(device, non_blocking=non_blocking), targets


def synchronised(network: nn.Module) -> nn.Module:
    """Batch statistics over all processes where the devices allow it (CUDA); on CPU each process keeps its own."""
    on_gpu = next(network.parameters()).is_cuda
    if not on_gpu:
        return network
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    return converted


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


class Resume:
    """Writes one checkpoint after every epoch and goes on from it: a killed run loses at most the epoch it was in.

    The file is written beside, flushed and renamed, so that it is always whole. It loads with `weights_only=True`.

    Args:
        folder: Where `checkpoint.pt` lies.
        parts: What has `state_dict` and `load_state_dict`: network, optimizer, lr_scheduler.
        save: False only loads, for the processes of a distributed run that do not write.
    """

    def __init__(self, folder: str, parts: Mapping[str, Any], *, save: bool = True) -> None:
        self.path = Path(folder) / CHECKPOINT
        self.parts = dict(parts)
        self.save = save

    def attach(self, engine: Engine) -> None:
        """Go on from the checkpoint at the start of the run; save at the end of each epoch."""
        engine.add_event_handler(Events.STARTED, self._load)
        if self.save:
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._store)

    def _load(self, engine: Engine) -> None:
        if not self.path.is_file():
            return
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        engine.state.epoch = state["epoch"]
        engine.state.iteration = state["epoch"] * (engine.state.epoch_length or 0)

    def _store(self, engine: Engine) -> None:
        state = {name: part.state_dict() for name, part in self.parts.items()}
        write_durably(self.path, {**state, "epoch": engine.state.epoch})


def shuffle_every_epoch(trainer: Engine, sampler: Any) -> None:
    """Let a distributed sampler draw another order in each epoch, the same in all processes."""
    trainer.add_event_handler(Events.EPOCH_STARTED, lambda: sampler.set_epoch(trainer.state.epoch))


class KeepBest:
    """Keeps the weights of the best validated epoch as a plain state dict, across restarts.

    Args:
        network: Whose weights.
        folder: Where `best.pt` and `best.json` (epoch and metrics) lie.
        metric: Name of the evaluator's metric to compare; higher is better.
        epoch: Says which epoch of training this is.
    """

    def __init__(self, network: nn.Module, folder: str, metric: str = "score", epoch: Callable[[], int] = int) -> None:
        self.network, self.folder, self.metric, self.epoch = network, Path(folder), metric, epoch

    def attach(self, engine: Engine) -> None:
        """Compare after each validation."""
        engine.add_event_handler(Events.COMPLETED, self._compare)

    def _compare(self, engine: Engine) -> None:
        record = self.folder / "best.json"
        best = json.loads(record.read_text(encoding="utf-8"))[self.metric] if record.is_file() else float("-inf")
        metrics = {name: float(value) for name, value in engine.state.metrics.items()}
        if not metrics[self.metric] > best:
            return
        write_durably(self.folder / "best.pt", self.network.state_dict())
        record.write_text(json.dumps({"epoch": self.epoch(), **metrics}, indent=2) + "\n", encoding="utf-8")


def write_durably(path: Path, state: Mapping[str, Any]) -> None:
    """Save tensors so that the file is whole or absent, whatever happens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}.tmp")
    with beside.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
