"""Doing several pieces of work at a time: in threads that wait for processes, or on a Slurm cluster by submitit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bundles.common.strict import ConfigurationError
from pretraining.experiments.work import Job, Outcome, perform

POLL_S = 0.2
Ended = Callable[[Job, Outcome], None]


class Pool(Protocol):
    """Where work is done."""

    def check(self) -> None:
        """Look whether work can be done there, before images are laid out.

        Raises:
            ConfigurationError: It cannot; the message tells why.
        """

    def run(self, jobs: Sequence[Job], ended: Ended) -> None:
        """Do all of it; `ended` is called in this thread as each one ends."""


@dataclass(frozen=True, slots=True)
class LocalPool:
    """Processes of this machine.

    Attributes:
        at_a_time: Jobs.
    """

    at_a_time: int = 1

    def check(self) -> None:
        """This machine is there."""

    def run(self, jobs: Sequence[Job], ended: Ended) -> None:
        """Do all of it; work that was not begun is dropped where this thread is interrupted."""
        executor = ThreadPoolExecutor(self.at_a_time)
        waiting: dict[Future[Outcome], Job] = {executor.submit(perform, job): job for job in jobs}
        try:
            while waiting:
                finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in finished:
                    ended(waiting.pop(future), future.result())
        finally:
            executor.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True)
class ClusterPool:
    """Jobs of submitit, which share the files of this machine.

    Attributes:
        folder: Of submitit's own files.
        partition: Of Slurm.
        cluster: "slurm", or "local" for processes of this machine, which tests take.
        hours: Limit of one job.
        cores: Of one job.
        gpus: Of one job.
        at_a_time: Jobs that Slurm may run together.
    """

    folder: Path
    partition: str | None = None
    cluster: str = "slurm"
    hours: float = 24.0
    cores: int = 4
    gpus: int = 0
    at_a_time: int = 16

    def check(self) -> None:
        """Look for submitit and Slurm.

        Raises:
            ConfigurationError: submitit is missing, or there is no Slurm here.
        """
        self._executor()

    def run(self, jobs: Sequence[Job], ended: Ended) -> None:
        """Do all of it. A job that Slurm stopped is `failed`: start the runner again and it goes on.

        Raises:
            ConfigurationError: submitit is missing, or there is no Slurm here.
        """
        executor = self._executor()
        # One array: Slurm runs as many of an array at a time as it is told, and single jobs all at once.
        waiting: list[tuple[Any, Job]] = list(zip(executor.map_array(perform, jobs), jobs, strict=True)) if jobs else []
        while waiting:
            still = []
            for handle, job in waiting:
                if not handle.done():
                    still.append((handle, job))
                    continue
                ended(job, _result(handle, job))
            waiting = still
            time.sleep(POLL_S if self.cluster == "local" else 10 * POLL_S)

    def _executor(self) -> Any:
        try:
            import submitit
        except ImportError as error:
            raise ConfigurationError("--slurm needs submitit: pip install -e '.[train]' -c constraints.txt") from error
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            executor = submitit.AutoExecutor(self.folder, cluster=self.cluster)
        except RuntimeError as error:
            raise ConfigurationError(f"--slurm: {error}; start the runner where sbatch is") from error
        executor.update_parameters(timeout_min=int(60 * self.hours), cpus_per_task=self.cores, name="experiments")
        if self.cluster == "slurm":
            executor.update_parameters(
                slurm_partition=self.partition, slurm_array_parallelism=self.at_a_time, gpus_per_node=self.gpus
            )
        return executor


@contextmanager
def shown(total: int, title: str) -> Iterator[Callable[[str], None]]:
    """A bar on standard error with the time left; yield what advances it and names what ended."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
    )
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=24 * 3600.0) as progress:
        task = progress.add_task(title, total=total)

        def advance(line: str) -> None:
            progress.console.print(line, markup=False, highlight=False)
            progress.advance(task)

        yield advance


def _result(handle: Any, job: Job) -> Outcome:
    error = handle.exception()
    if error is None:
        outcome: Outcome = handle.result()
        return outcome
    return Outcome("failed", 0.0, f"{job.title}: the cluster's job ended without a result: {error}".splitlines()[0])
