"""What a training leaves in its folder: example views at the start; encoder, manifest and plots at the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog
import torch
from ignite.engine import Engine, Events
from torch import nn

from bundles.common.metrics.cases import FILE as CASES
from bundles.common.metrics.cases import Case, write_cases
from pretraining.data.files import whole_file
from pretraining.data.store import ImageStore
from pretraining.export import Training, export_encoder, present_commit
from pretraining.objectives.distributed import rank
from pretraining.objectives.objective import Objective
from pretraining.plots import plot_embedding, plot_training
from pretraining.probe import ProbeResult
from pretraining.probe_report import results_table, write_results
from pretraining.probing import embed_images
from pretraining.progress import CURVE, read_curve
from pretraining.trainer import PretrainingTrainer, stream_seed
from pretraining.views.sheet import contact_sheet

PAGE = "views.png"
RUN = "run.json"
ENCODER = "encoder.pt"
log = structlog.get_logger()


class ExamplePage:
    """`views.png`: the first images of the run and what the network sees of them. Look at it before you wait for hours.

    Args:
        folder: Receives the page.
        group_names: Of the store.
    """

    def __init__(self, folder: Path | str, group_names: tuple[str, ...] = ()) -> None:
        self.path, self.group_names = Path(folder) / PAGE, group_names
        self.done = False

    def attach(self, engine: Engine) -> None:
        """Write on the first process, before the first step; a resumed run keeps its page."""
        if rank() == 0:
            engine.add_event_handler(Events.ITERATION_STARTED, self._write)

    def _write(self, engine: PretrainingTrainer) -> None:
        # A page of a run that never came to a checkpoint may show other images or settings.
        if self.done or (self.path.is_file() and engine.state.iteration > 1):
            return
        self.done = True
        batch = engine.state.batch.batches[0]
        # A generator of its own: the views of the training must not depend on the page.
        views = engine.views(batch, torch.Generator().manual_seed(stream_seed(engine.seed, 2**20)))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        contact_sheet(batch, views, self.path, self.group_names)
        log.info("views_written", page=str(self.path))


class Export:
    """`run.json` at the start, `encoder.pt` with its manifest `encoder.json` at the end.

    Args:
        folder: Receives them.
        encoder: That is trained.
        training: What the manifest says; epochs and steps are filled in.
    """

    def __init__(self, folder: Path | str, encoder: nn.Module, training: Training) -> None:
        self.folder, self.encoder, self.training = Path(folder), encoder, training

    def attach(self, engine: Engine) -> None:
        """Write on the first process."""
        if rank() == 0:
            engine.add_event_handler(Events.STARTED, self._describe)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._describe)
            engine.add_event_handler(Events.COMPLETED, self._export)

    def _now(self, engine: Engine) -> Training:
        state = engine.state
        values = asdict(self.training) | {"epochs": state.epoch, "steps": state.iteration}
        return Training(**values)

    def _describe(self, engine: Engine) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole_file(self.folder / RUN) as temporary:
            temporary.write_text(json.dumps(asdict(self._now(engine)), indent=2) + "\n", encoding="utf-8")

    def _export(self, engine: Engine) -> None:
        self._describe(engine)
        manifest = export_encoder(self.encoder, self.folder / ENCODER, self._now(engine))
        log.info("encoder_exported", file=str(self.folder / ENCODER), sha256=manifest.sha256[:12])


def describe(
    store: ImageStore,
    *,
    objective: str,
    backbone: str,
    image_size: tuple[int, ...],
    data: str | None = None,
    notes: str = "",
) -> Training:
    """What a manifest says of a training on this store, before it has begun.

    Args:
        store: The training images.
        objective: Name for people.
        backbone: As `make_encoder` takes it.
        image_size: Of the largest crop.
        data: Name of the images for people; the folder's name where None.
        notes: Anything else.
    """
    recipe = store.identity["recipe"]
    return Training(
        objective=objective,
        backbone=backbone,
        image_size=tuple(image_size),
        value_range=value_range(recipe),
        data=data or store.folder.name,
        epochs=0,
        steps=0,
        data_sha256=str(store.identity["index_sha256"]),
        commit=present_commit(),
        notes=notes,
    )


def value_range(recipe: Mapping[str, Any]) -> str:
    """Which values of an image became 0 and 1, in words."""
    low, high = recipe["percentiles"]
    words = [f"{name}: {window[0]:g} to {window[1]:g}" for name, window in sorted(recipe["windows"].items())]
    every = f"percentiles {low:g} to {high:g} of each image"
    return "; ".join([*words, f"else {every}"]) if words else every


class Plots:
    """`loss.png` and `embedding.png` at the end.

    Args:
        folder: Of `history.csv`; receives the pictures.
        encoder: That was trained.
        store: Images to show.
        objective: For its collapse value.
        size: Of the view, (rows, columns) or (depth, rows, columns).
        label: Colours the points; the modality where None.
        images: At most.
        batch_size: Of the embedding.
        seed: Chooses the images.
    """

    def __init__(
        self,
        folder: Path | str,
        encoder: nn.Module,
        store: ImageStore,
        objective: Objective,
        *,
        size: tuple[int, ...],
        label: str | None = None,
        images: int = 1000,
        batch_size: int = 32,
        seed: int = 0,
    ) -> None:
        self.folder, self.encoder, self.store, self.objective = Path(folder), encoder, store, objective
        self.size, self.label, self.images, self.batch_size, self.seed = tuple(size), label, images, batch_size, seed

    def attach(self, engine: Engine) -> None:
        """Draw on the first process."""
        if rank() == 0:
            engine.add_event_handler(Events.COMPLETED, self._draw)

    def _draw(self, _engine: Engine) -> None:
        rows = read_curve(self.folder / CURVE)
        plot_training(
            self.folder / "loss.png",
            [int(row["step"]) for row in rows],
            [row["self_supervised"] for row in rows],
            [row["learning_rate"] for row in rows],
            collapse_value=self.objective.collapse_value,
        )
        chosen = torch.randperm(len(self.store), generator=torch.Generator().manual_seed(self.seed))[: self.images]
        if len(chosen) < 3:
            log.info("embedding_not_drawn", images=len(chosen), needed=3)
            return
        indices = [int(index) for index in chosen]
        embedded = embed_images(self.encoder, self.store, indices, self.size, self.batch_size)
        plot_embedding(self.folder / "embedding.png", embedded.features, self._names(indices))

    def _names(self, indices: list[int]) -> list[str]:
        if self.label is None:
            return [self.store.group_names[self.store.groups[index]] for index in indices]
        values = self.store.labels[self.label][indices]
        return ["unknown" if value != value else f"{self.label} {value:g}" for value in values]  # noqa: PLR0124 - NaN


def report(results: Sequence[ProbeResult], folder: Path | str) -> None:
    """Print a table of probes and write it to `evaluation.md`, `evaluation.json` and `evaluation.png`."""
    write_results(Path(folder) / "evaluation.md", results)
    log.info("evaluation_written", file=str(Path(folder) / "evaluation.md"))
    sys.stdout.write(results_table(results) + "\n")


def report_cases(cases: Sequence[Case], folder: Path | str) -> None:
    """Write `cases.csv`: what each probe said of each test image."""
    write_cases(Path(folder) / CASES, cases)
    log.info("cases_written", file=str(Path(folder) / CASES), cases=len(cases))
