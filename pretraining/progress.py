"""What people see of a training while it runs: a bar, a curve on disk, TensorBoard, lines in the log."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import structlog
from ignite.engine import Engine, Events

from pretraining.objectives.distributed import rank
from pretraining.steps import StepRecord

CURVE = "history.csv"
COLUMNS = (
    "step",
    "epoch",
    "loss",
    "self_supervised",
    "learning_rate",
    "gradient_norm",
    "images_per_second",
    "data_wait",
)
log = structlog.get_logger()


class Bar:
    """A progress bar with loss, images/s and the share of time that waits for data; silent where nobody watches."""

    def attach(self, engine: Engine) -> None:
        """Show it on the first process, if that has a terminal."""
        from ignite.handlers import ProgressBar

        if rank() == 0:
            # `disable=None` is tqdm's word for "only on a terminal".
            bar = ProgressBar(disable=None, mininterval=0.5)
            bar.attach(engine, output_transform=shown)


def shown(record: StepRecord) -> dict[str, str]:
    """The figures of the bar."""
    return {
        "loss": f"{record.loss:.4f}",
        "images/s": f"{record.images_per_second:.1f}",
        "data wait": f"{record.data_wait:.0%}",
    }


class Curve:
    """`history.csv`: one line a step, numbers to the last bit; after a kill it goes on at the checkpoint's step.

    Args:
        folder: Where it lies.
    """

    def __init__(self, folder: Path | str) -> None:
        self.path = Path(folder) / CURVE
        self._file: Any = None

    def attach(self, engine: Engine) -> None:
        """Write on the first process."""
        if rank() == 0:
            engine.add_event_handler(Events.STARTED, self._open)
            engine.add_event_handler(Events.ITERATION_COMPLETED, self._write)
            for event in (Events.COMPLETED, Events.EXCEPTION_RAISED):
                engine.add_event_handler(event, self._close)

    def _open(self, engine: Engine) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = [row for row in read_curve(self.path) if row["step"] <= engine.state.iteration]
        beside = self.path.with_name(f"{self.path.name}.{os.getpid()}.tmp")
        with beside.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(_row(values) for values in kept)
        beside.replace(self.path)
        self._file = self.path.open("a", encoding="utf-8", newline="")

    def _write(self, engine: Engine) -> None:
        csv.DictWriter(self._file, COLUMNS).writerow(_row(row_of(engine.state.output)))
        self._file.flush()

    def _close(self, _engine: Engine, error: BaseException | None = None) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        if error is not None:
            raise error


def row_of(record: StepRecord) -> dict[str, float]:
    """The line of one step."""
    return {
        "step": record.step,
        "epoch": record.epoch,
        "loss": record.loss,
        "self_supervised": record.parts.get("self_supervised", record.loss),
        "learning_rate": record.learning_rate,
        "gradient_norm": record.gradient_norm,
        "images_per_second": record.images_per_second,
        "data_wait": record.data_wait,
    }


def read_curve(path: Path) -> list[dict[str, float]]:
    """The lines of a `history.csv`, numbers as they were computed; a line cut off by a kill is left out.

    Returns:
        One mapping a step; empty where there is no file.
    """
    if not path.is_file():
        return []
    rows = []
    with path.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            values = [line.get(name) for name in COLUMNS]
            if all(values):
                rows.append({name: float(str(value)) for name, value in zip(COLUMNS, values, strict=True)})
    return rows


def _row(values: dict[str, float]) -> dict[str, str]:
    """`repr` gives the shortest text that reads back as the same float."""
    whole = {"step", "epoch"}
    return {name: str(int(value)) if name in whole else repr(float(value)) for name, value in values.items()}


class Scalars:
    """TensorBoard: every figure of a step.

    Args:
        folder: Of the event files.
        every: Steps between points.
    """

    def __init__(self, folder: Path | str, every: int = 10) -> None:
        self.folder, self.every = Path(folder), every
        self.writer: Any = None

    def attach(self, engine: Engine) -> None:
        """Write on the first process."""
        if rank() == 0:
            engine.add_event_handler(Events.STARTED, self._open)
            engine.add_event_handler(Events.ITERATION_COMPLETED(every=self.every), self._write)
            engine.add_event_handler(Events.COMPLETED, self._close)

    def _open(self, engine: Engine) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # Points after the checkpoint belong to steps that are made again.
        self.writer = SummaryWriter(str(self.folder), purge_step=engine.state.iteration or None)

    def _write(self, engine: Engine) -> None:
        record: StepRecord = engine.state.output
        figures = row_of(record) | {f"parts/{name}": value for name, value in record.parts.items()}
        for name, value in figures.items():
            if name != "step":
                self.writer.add_scalar(name, value, record.step)

    def _close(self, _engine: Engine) -> None:
        self.writer.close()


class Lines:
    """A line in the log every so many steps, for runs that nobody watches.

    Args:
        every: Steps between lines.
    """

    def __init__(self, every: int = 100) -> None:
        self.every = every

    def attach(self, engine: Engine) -> None:
        """Write on the first process."""
        if rank() == 0:
            engine.add_event_handler(Events.STARTED, self._start)
            engine.add_event_handler(Events.ITERATION_COMPLETED(every=self.every), self._write)

    def _start(self, engine: Engine) -> None:
        state = engine.state
        event = "pretraining_resumed" if state.iteration else "pretraining_started"
        log.info(event, step=state.iteration, steps=state.max_epochs * state.epoch_length, epochs=state.max_epochs)

    def _write(self, engine: Engine) -> None:
        record: StepRecord = engine.state.output
        log.info(
            "pretraining_step",
            step=record.step,
            epoch=record.epoch,
            loss=round(record.loss, 4),
            images_per_second=round(record.images_per_second, 1),
            data_wait=round(record.data_wait, 3),
        )
