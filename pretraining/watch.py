"""Looks for collapse while a training runs, and says in words what it sees."""

from __future__ import annotations

import json
import re
from collections import deque
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import structlog
import torch
from ignite.engine import Engine, Events
from torch import Tensor

from pretraining.monitors import Health, diagnose, health
from pretraining.objectives.distributed import rank
from pretraining.objectives.hybrid import Hybrid
from pretraining.objectives.objective import Objective
from pretraining.objectives.swav import SwAV
from pretraining.progress import CURVE, read_curve
from pretraining.steps import StepRecord

SUMMARY = "summary.json"
REMEMBERED_LOSSES = 1000
REMEMBERED_EMBEDDINGS = 1024
log = structlog.get_logger()


class CollapseWatch:
    """Compares loss, spread of embeddings, use of prototypes and waiting time with what a collapse looks like.

    New problems are logged as `pretraining_problem`; `summary.json` always holds the latest figures and sentences.

    Args:
        folder: Of `summary.json`.
        objective: What is trained, unwrapped.
        every: Steps between looks.
    """

    def __init__(self, folder: Path | str, objective: Objective, every: int = 50) -> None:
        self.folder, self.objective, self.every = Path(folder), objective, every
        self.losses: deque[float] = deque(maxlen=REMEMBERED_LOSSES)
        self.waits: deque[float] = deque(maxlen=every)
        self.recent: deque[tuple[Tensor, Tensor]] = deque()
        self.said: tuple[str, ...] = ()

    def attach(self, engine: Engine) -> None:
        """Look on the first process."""
        if rank() == 0:
            engine.add_event_handler(Events.STARTED, self._remember)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._take)
            engine.add_event_handler(Events.ITERATION_COMPLETED(every=self.every), self._look)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._look)

    def _remember(self, engine: Engine) -> None:
        rows = [row for row in read_curve(self.folder / CURVE) if row["step"] <= engine.state.iteration]
        self.losses.extend(row["self_supervised"] for row in rows[-REMEMBERED_LOSSES:])

    def _take(self, engine: Engine) -> None:
        record: StepRecord = engine.state.output
        self.losses.append(record.parts.get("self_supervised", record.loss))
        self.waits.append(record.data_wait)
        self.recent.append((record.embeddings, record.groups))
        while sum(len(embeddings) for embeddings, _ in self.recent) > REMEMBERED_EMBEDDINGS and len(self.recent) > 1:
            self.recent.popleft()

    def _look(self, engine: Engine) -> None:
        embeddings = torch.cat([pair[0] for pair in self.recent]).float()
        groups = torch.cat([pair[1].to(pair[0].device) for pair in self.recent])
        state = measure(self.objective, embeddings, groups) if len(embeddings) > 1 else None
        found = diagnose(
            list(self.losses),
            self.objective.collapse_value,
            state,
            data_wait=sum(self.waits) / max(1, len(self.waits)),
        )
        known = {_kind(sentence) for sentence in self.said}
        for sentence in found:
            if _kind(sentence) not in known:
                log.warning("pretraining_problem", step=engine.state.iteration, problem=sentence)
        self.said = found
        self._write(engine, state)

    def _write(self, engine: Engine, state: Health | None) -> None:
        record: StepRecord = engine.state.output
        write_summary(
            self.folder,
            {
                "step": record.step,
                "epoch": record.epoch,
                "loss": record.loss,
                "parts": record.parts,
                "collapse_value": self.objective.collapse_value,
                "health": None if state is None else asdict(state),
                "images_per_second": record.images_per_second,
                "data_wait": sum(self.waits) / max(1, len(self.waits)),
                "problems": list(self.said),
            },
        )


def measure(objective: Objective, embeddings: Tensor, groups: Tensor) -> Health:
    """Spread of the embeddings; with prototypes also how evenly they are used, in the modality where that is worst.

    Args:
        objective: Whose prototypes they are.
        embeddings: (batch, dimension), of length 1.
        groups: (batch,) int64.
    """
    found = health(embeddings)
    inner = objective.objective if isinstance(objective, Hybrid) else objective
    if not isinstance(inner, SwAV):
        return found
    usages = []
    for group in range(inner.modalities):
        rows = embeddings if inner.modalities == 1 else embeddings[groups == group]
        if len(rows) > 1:
            scores = rows @ inner.prototypes.of(group).detach().to(rows).T
            # Sinkhorn's codes are even by construction; the softmax shows what the network prefers.
            usages.append(health(rows, (scores / inner.temperature).softmax(dim=1)).usage)
    known = [usage for usage in usages if usage is not None]
    return replace(found, usage=min(known) if known else None)


def _kind(sentence: str) -> str:
    """A sentence without its figures, which change from look to look."""
    return re.sub(r"[\d.%]+", "#", sentence)


def write_summary(folder: Path, figures: dict[str, Any]) -> None:
    """Merge figures into `summary.json`, which is whole at any time."""
    path = folder / SUMMARY
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    beside = path.with_name(path.name + ".tmp")
    folder.mkdir(parents=True, exist_ok=True)
    beside.write_text(json.dumps(known | figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.replace(path)
