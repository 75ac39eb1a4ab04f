"""One step of SimCLR, ours against the views as MONAI transforms: `python -m tests.benchmarks.pretraining`.

ResNet-18, two views of 224² of each of 32 images of 512², 8 bit, SGD, on the CPU. Ours reads from a store and makes the
views in the step; the other takes them, image by image, from a `DataLoader` with two workers. Objective, optimiser and
number of threads are the same; MONAI's side makes the plain step without curve, checkpoint or logs, ours the trainer's.
Rounds of both alternate; the ratio is the median over the rounds.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from ignite.engine import Events
from PIL import Image
from rich.console import Console
from torch import Tensor
from torch.utils.data import DataLoader

from pretraining.archive import ArchiveFeed, ArchiveSettings, prepare
from pretraining.backbones import make_encoder
from pretraining.data.store import ImageStore
from pretraining.objectives.simclr import SimCLR
from pretraining.optim import Constant, make_optimizer
from pretraining.steps import StepRecord
from pretraining.trainer import PretrainingTrainer
from tests.benchmarks.ingest import Bound
from tests.benchmarks.rates import THREADS, Rates, compared, keep, show
from tests.benchmarks.views import BATCH, IMAGE, SIZE, MonaiViews, images, pipeline

STEPS = 4
ROUNDS = 3
RATE = 0.01


@dataclass(frozen=True)
class Result(Rates):
    """Images a second in each round, and the share of our steps that waited for data."""

    data_wait: float

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """A CPU spends most of a step in the network: twice the views (`views.py`) cannot show in it."""
        return (
            Bound("SimCLR step, ours over MONAI's views in a DataLoader with 2 workers", self.ratio, 0.95),
            Bound("share of our steps that waits for data", self.data_wait, 0.1, at_least=False),
        )


def make_store(folder: Path) -> ImageStore:
    """The images as PNG files, indexed and decoded."""
    archive = folder / "archive"
    archive.mkdir()
    for number, image in enumerate(images() * STEPS):
        Image.fromarray(image[0].numpy()).save(archive / f"{number:03d}.png")
    return ImageStore(prepare(archive, folder / "store", ArchiveSettings(percentiles=(0.0, 100.0))))


def make_objective() -> SimCLR:
    """The same weights for both."""
    torch.manual_seed(0)
    encoder = make_encoder("resnet18")
    return SimCLR(encoder, 512)


class Ours:
    """The trainer; a round is an epoch, its checkpoint at the end left out of the time."""

    def __init__(self, store: ImageStore, folder: Path) -> None:
        self.store, self.folder, self.objective = store, folder, make_objective()
        self.records: list[StepRecord] = []
        self.rounds = 0

    def round(self) -> float:
        """Images a second of an epoch, in a folder of its own: in an old one it would go on where that ended."""
        self.rounds += 1
        trainer = PretrainingTrainer(
            device="cpu",
            max_epochs=1,
            feed=ArchiveFeed(self.store, BATCH, seed=0),
            views=pipeline(),
            objective=self.objective,
            optimizer=make_optimizer("sgd", self.objective, RATE),
            schedule=Constant(RATE),
            output_dir=self.folder / f"round{self.rounds}",
        )
        made: list[StepRecord] = []
        trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: made.append(engine.state.output))
        trainer.run()
        self.records += made
        return sum(record.images for record in made) / sum(record.seconds for record in made)


class Theirs:
    """A plain loop over MONAI's views."""

    def __init__(self) -> None:
        self.objective = make_objective()
        self.optimizer = make_optimizer("sgd", self.objective, RATE)
        self.loader = DataLoader(
            MonaiViews(images(), STEPS), batch_size=BATCH, shuffle=True, num_workers=2, persistent_workers=True
        )

    def round(self) -> float:
        """Images a second of an epoch."""
        start = time.perf_counter()
        made = sum(self._step(pair) for pair in self._pairs())
        return made / (time.perf_counter() - start)

    def _pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        for first, second in self.loader:
            yield torch.as_tensor(first), torch.as_tensor(second)

    def _step(self, pair: tuple[Tensor, Tensor]) -> int:
        self.optimizer.zero_grad(set_to_none=True)
        self.objective(pair).loss.backward()
        self.optimizer.step()
        return len(pair[0])


def run(folder: Path) -> Result:
    """Measure both in turn."""
    ours, theirs = Ours(make_store(folder), folder), Theirs()
    ours.round(), theirs.round()  # workers start, memory is mapped
    ours.records.clear()
    rounds = [(ours.round(), theirs.round()) for _ in range(ROUNDS)]
    waited = sum(record.waited for record in ours.records) / sum(record.seconds for record in ours.records)
    return Result(tuple(a for a, _ in rounds), tuple(b for _, b in rounds), waited)


def bench() -> Result:
    """Measure, show and keep the numbers below var/bench."""
    with compared(), tempfile.TemporaryDirectory() as folder:
        result = run(Path(folder))
    title = f"SimCLR, ResNet-18, two views of {SIZE}² from {IMAGE}², batch {BATCH}, {THREADS} threads"
    show(title, "MONAI's views in a DataLoader, the same step", result, result.bounds, Console())
    keep("pretraining", result, result.bounds)
    return result


if __name__ == "__main__":
    raise SystemExit(0 if all(bound.holds for bound in bench().bounds) else 1)
