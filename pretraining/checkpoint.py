"""One file from which a killed training goes on exactly: networks, memory, optimiser, random numbers, position.

The file is written beside the old one, flushed to the disk and renamed, so that there is always a whole one. It loads
with ``weights_only=True``.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import distributed as dist

from pretraining.objectives.distributed import rank, world_size

NAME = "checkpoint.pt"
FORMAT = 1


class CheckpointError(RuntimeError):
    """A checkpoint could not be written, read, or used for this run; the message says what to do."""


@dataclass(frozen=True, slots=True)
class RunShape:
    """What must not change between two parts of one training, because a step would mean something else.

    Attributes:
        world_size: Processes.
        batch_size: Images a process takes at once.
        accumulate: Batches of one optimiser step.
        steps_per_epoch: Optimiser steps of an epoch.
        amp: ``off``, ``bf16`` or ``fp16``.
        data: Which images: a hash of the store and its split.
        crops: Number and size of the views.
    """

    world_size: int
    batch_size: int
    accumulate: int
    steps_per_epoch: int
    amp: str
    data: str
    crops: str

    def require(self, path: Path, saved: Mapping[str, Any]) -> None:
        """Compare with what a checkpoint says.

        Raises:
            CheckpointError: They differ.
        """
        now = asdict(self)
        changed = [f"{name} {saved.get(name)} (now {value})" for name, value in now.items() if saved.get(name) != value]
        if changed:
            raise CheckpointError(
                f"{path} was written with {', '.join(changed)}: its steps would mean something else. Go on with the "
                "same values (processes: torchrun --nproc_per_node), or give another --output_dir and begin with the "
                "encoder exported so far: --initial_encoder FILE"
            )


@dataclass(frozen=True)
class Parts:
    """What is saved and filled again; everything has ``state_dict`` and ``load_state_dict``.

    Attributes:
        objective: Networks, queues, prototypes; not its DistributedDataParallel wrapper.
        optimizer: With its momentum.
        scaler: Of the loss in fp16.
        sampler: Where in the archive the run is.
        generator: Of the views, on the CPU; every process has its own.
    """

    objective: torch.nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    sampler: Any
    generator: torch.Generator


def save(path: Path, step: int, parts: Parts, shape: RunShape) -> None:
    """Write a checkpoint. Every process must call it; the first one writes.

    Args:
        path: Of the file.
        step: Optimiser steps that are done.
        parts: What to save.
        shape: Of the run.

    Raises:
        CheckpointError: The disk is full or the file cannot be written; the old checkpoint is still whole.
    """
    states = _random_states_of_all(parts.generator)
    if rank() != 0:
        return
    content = {
        "format": FORMAT,
        "step": step,
        "shape": asdict(shape),
        "objective": parts.objective.state_dict(),
        "optimizer": parts.optimizer.state_dict(),
        "scaler": parts.scaler.state_dict(),
        "sampler": parts.sampler.state_dict(),
        "random": states,
    }
    write_durably(path, content)


def load(path: Path, parts: Parts, shape: RunShape) -> int | None:
    """Fill the parts from a checkpoint, on every process.

    Returns:
        The number of optimiser steps that were done; None where there is no checkpoint yet.

    Raises:
        CheckpointError: The file is damaged, belongs to another training, or the run has another shape.
    """
    if not path.is_file():
        return None
    state = read(path)
    shape.require(path, state["shape"])
    try:
        parts.objective.load_state_dict(state["objective"])
        parts.optimizer.load_state_dict(state["optimizer"])
    except (RuntimeError, ValueError, KeyError) as error:
        reason = " ".join(line.strip() for line in str(error).strip().splitlines()[:3])[:400]
        raise CheckpointError(
            f"{path} is of another training ({reason}); give the settings it was made with, or another --output_dir"
        ) from error
    parts.scaler.load_state_dict(state["scaler"])
    parts.sampler.load_state_dict(state["sampler"])
    _set_random_states(state["random"][rank()], parts.generator)
    return int(state["step"])


def read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU.

    Raises:
        CheckpointError: It cannot be read, or is none.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError, ValueError, KeyError) as error:
        reason = next(iter(str(error).splitlines()), repr(error))
        raise CheckpointError(f"{path} cannot be read: {reason}; delete it to start afresh") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no checkpoint of this version; delete it to start afresh")
    return state


def write_durably(path: Path, content: Mapping[str, Any]) -> None:
    """Save so that the file is the old one or the new one, whatever happens.

    Raises:
        CheckpointError: There is no room, or the folder cannot be written.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        _sync_folder(path.parent)
    # torch reports a failed write of its zip archive as RuntimeError, with the cause behind it.
    except (OSError, RuntimeError) as error:
        beside.unlink(missing_ok=True)
        kept = f"the checkpoint before it ({path}) is whole" if path.is_file() else "there is none yet"
        raise CheckpointError(
            f"{path} could not be written ({_cause(error)}; {_free_mb(path.parent)} MB are free): {kept}. Make room, "
            "then start the same command again: it goes on from there"
        ) from error


def _cause(error: BaseException) -> str:
    """The operating system's word for it, wherever in the chain it stands."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.strerror:
            return link.strerror
        link = link.__cause__ or link.__context__
    return next(iter(str(error).splitlines()), type(error).__name__)


def _free_mb(folder: Path) -> int:
    return shutil.disk_usage(folder).free // 1_000_000 if folder.is_dir() else 0


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _random_states_of_all(generator: torch.Generator) -> list[dict[str, Any]]:
    """The random states of every process, in order of rank."""
    own = _random_states(generator)
    if world_size() == 1:
        return [own]
    every: list[Any] = [None] * world_size()
    dist.all_gather_object(every, own)
    return every


def _random_states(generator: torch.Generator) -> dict[str, Any]:
    """Nothing of ours draws from the global generators; a network of the user's may (dropout)."""
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "views": generator.get_state(),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        "numpy": [
            kind,
            torch.from_numpy(np.asarray(keys, dtype=np.int64)),
            int(position),
            int(has_gauss),
            float(cached),
        ],
        "python": random.getstate(),
    }


def _set_random_states(state: Mapping[str, Any], generator: torch.Generator) -> None:
    generator.set_state(state["views"])
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
