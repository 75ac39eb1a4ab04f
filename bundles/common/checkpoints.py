"""A killed run goes on with its last epoch, and the best weights are kept; both load with `weights_only=True`."""

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
import torch
from ignite.engine import Engine, Events
from torch import nn

log = structlog.get_logger()

CHECKPOINT = "checkpoint.pt"
BEST = "best.pt"
VALIDATION = "validation.jsonl"


class Resume:
    """Writes one checkpoint after every epoch and goes on from it: a killed run loses at most what came after.

    Every training has one, so that it also refuses what MONAI's engines pass over with a warning: epochs without batch.

    Args:
        folder: Where `checkpoint.pt` lies.
        parts: What has `state_dict` and `load_state_dict`: network, optimizer, lr_scheduler.
        save: False only loads, for the processes of a distributed run that do not write.
        interval: Write after every so many epochs, where an epoch takes less time than writing.
        start: Files of weights that a fresh run starts from, None where not given. A run that goes on does not use
            them, and the log says so.
    """

    def __init__(
        self,
        folder: str,
        parts: Mapping[str, Any],
        *,
        save: bool = True,
        interval: int = 1,
        start: Sequence[str | None] = (),
    ) -> None:
        self.path = Path(folder) / CHECKPOINT
        self.parts = dict(parts)
        self.save, self.interval = save, interval
        self.start = [path for path in start if path]

    def attach(self, engine: Engine) -> None:
        """Go on from the checkpoint at the start of the run; save at the ends of epochs.

        Raises:
            ValueError: The engine's epochs have no batch, so that nothing would be trained.
        """
        _expect_batches(engine)
        engine.add_event_handler(Events.STARTED, self._load)
        if self.save:
            engine.add_event_handler(Events.EPOCH_COMPLETED(every=self.interval), self._store)

    def _load(self, engine: Engine) -> None:
        if not self.path.is_file():
            return
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        engine.state.epoch = state["epoch"]
        engine.state.iteration = state["epoch"] * (engine.state.epoch_length or 0)
        log.info("training_resumed", checkpoint=str(self.path), epoch=state["epoch"])
        if self.start:
            told = "the run goes on with the weights of its checkpoint; another output_dir starts from these files"
            log.warning("weights_not_used", files=self.start, why=told)

    def _store(self, engine: Engine) -> None:
        state = {name: part.state_dict() for name, part in self.parts.items()}
        write_durably(self.path, {**state, "epoch": engine.state.epoch})


def _expect_batches(engine: Engine) -> None:
    """MONAI gives its engines the loader and the number of its batches before handlers are attached."""
    if engine.state.epoch_length != 0:
        return
    loader = getattr(engine, "data_loader", None)
    images, batch = len(getattr(loader, "dataset", None) or ()), getattr(loader, "batch_size", None)
    told = f"{images} images, and a batch of {batch}" if batch else "no images"
    raise ValueError(
        f"an epoch of training has no batch: there are {told}; give a smaller --batch_size, or more images "
        "(--datalist, --limit, a larger share of the labels)"
    )


class KeepBest:
    """Keeps the weights of the best validated epoch as a plain state dict, across restarts, and all epochs' figures.

    Args:
        network: Whose weights.
        folder: Where `best.pt`, `best.json` (epoch and metrics) and `validation.jsonl` (the same of each epoch) lie.
        metric: Name of the evaluator's metric to compare; higher is better. One that is NaN is never the best.
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
        self._remember({"epoch": self.epoch(), **metrics})
        if math.isnan(metrics[self.metric]):
            log.warning("epoch_cannot_be_compared", metric=self.metric, epoch=self.epoch())
        if not metrics[self.metric] > best:
            return
        write_durably(self.folder / BEST, self.network.state_dict())
        record.write_text(json.dumps({"epoch": self.epoch(), **metrics}, indent=2) + "\n", encoding="utf-8")

    def _remember(self, row: Mapping[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / VALIDATION).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def read_validation(folder: Path) -> list[dict[str, float]]:
    """Figures of every validated epoch in their order; of an epoch that was repeated after a kill, the last.

    A line that was cut off by a kill is left out. Empty where nothing was validated.
    """
    path = folder / VALIDATION
    rows: dict[float, dict[str, float]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        rows[row["epoch"]] = row
    return [rows[epoch] for epoch in sorted(rows)]


def write_durably(path: Path, state: Mapping[str, Any]) -> None:
    """Save tensors so that the file is whole or absent, whatever happens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}.tmp")
    with beside.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def load_weights(network: nn.Module, path: str, *, may_lack: Sequence[str] = ()) -> None:
    """Load a state dict (`weights_only=True`; half precision becomes the network's own) and switch to evaluation.

    Of a checkpoint of `Resume` it takes the network: the last of a run, where `best.pt` is the best.

    Args:
        network: To fill.
        path: File of a state dict.
        may_lack: Parts of the network, by name, that the file may be without as a whole: they keep their start, and the
            log says so. To add a head to weights that were trained before there was one.

    Raises:
        ValueError: The file is missing.
        RuntimeError: It does not fit the network.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path} is missing; train first, or name another file")
    state = torch.load(path, map_location="cpu", weights_only=True)
    state = state["network"] if {"network", "epoch"} <= state.keys() else state
    own = network.state_dict()
    for part in may_lack:
        inside = {name: value for name, value in own.items() if name.startswith(f"{part}.")}
        if inside and not any(name in state for name in inside):
            log.warning("part_not_in_weights", part=part, weights=path, why="it keeps its random start")
            state = {**state, **inside}
    network.load_state_dict(state)
    network.eval()
