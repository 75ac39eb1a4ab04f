"""One piece of work: steps in processes of their own, a folder that belongs to it, and what became of it."""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from bundles.common.checkpoints import BEST, read_validation
from bundles.common.metrics.cases import FILE as CASES
from bundles.common.metrics.cases import read_cases
from bundles.common.strict import ConfigurationError
from pretraining.data.files import whole_file
from pretraining.experiments.spec import ROOT, Step

State = Literal["done", "diverged", "failed"]
OUTCOME, LOG, LOCK, MARKS = "outcome.json", "log.txt", "lock", "steps"
TAIL = 40_000
# Python's own words, and those of our commands.
ERROR = re.compile(r"^(?:(?:\w+\.)*\w*(?:Error|Exception|Image|Head|Failed)\b(?:: .*)?|error: .*)$")
# What MONAI wraps around the cause.
WRAPPED = "Failed to evaluate ConfigExpression"
# What our own code says of networks and losses; an image that holds NaN is no divergence.
NOT_FINITE = re.compile(
    r"^FloatingPointError|scores? .*(?:NaN|not finite)|features of .* not finite|(?:threshold|logit) is (?:NaN|not fin)"
)


@dataclass(frozen=True, slots=True)
class Job:
    """Work that can be sent to another machine with the same files.

    Attributes:
        title: For people.
        folder: Belongs to this work alone.
        steps: Name to the arguments after `python`, in their order; each is left out once it is done.
        yields: Files below the folder that must be there at the end.
        threads: Of each process.
    """

    title: str
    folder: Path
    steps: tuple[tuple[str, tuple[str, ...]], ...]
    yields: tuple[str, ...]
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it.

    Attributes:
        state: `done`; `diverged`: training went to values that are not finite, which is a result; `failed`: it can be
            tried again.
        seconds: Spent in its steps, over all attempts that came to an end.
        reason: In words, where it is not done.
    """

    state: State
    seconds: float
    reason: str = ""


def bundle_command(step: Step, values: Mapping[str, str | None]) -> tuple[str, ...]:
    """The arguments after `python` of a step, its placeholders filled in.

    Args:
        step: As written.
        values: Placeholder to value; None where there is none, which a whole value alone may be.

    Raises:
        ConfigurationError: A placeholder without value within a longer text.
    """
    options = [part for key, value in step.set.items() for part in (f"--{key}", repr(_filled(key, value, values)))]
    configs = str([str(ROOT / config) for config in step.configs])
    return ("-m", "monai.bundle", "run", "--config_file", configs, *options)


def perform(job: Job) -> Outcome:
    """Do what is left to do of a piece of work; one process at a time, another one waits.

    The lock is handed to the steps: where the runner was killed and its step goes on, the next runner waits for it.
    """
    job.folder.mkdir(parents=True, exist_ok=True)
    with _locked(job.folder / LOCK) as handle:
        finished = read_outcome(job.folder)
        if finished is not None:
            return finished
        seconds = 0.0
        for name, arguments in job.steps:
            taken, reason = _step(job, name, arguments, handle)
            seconds += taken
            if reason:
                told, cause = reason
                state: State = "diverged" if NOT_FINITE.search(cause) else "failed"
                return _finished(job, Outcome(state, seconds, f"{told}: {cause}"))
            if lost := _diverged(job.folder):
                return _finished(job, Outcome("diverged", seconds, lost))
        missing = [name for name in job.yields if not (job.folder / name).is_file()]
        if missing:
            told = f"every step ended well and {', '.join(missing)} is missing; see {job.folder / LOG}"
            return Outcome("failed", seconds, told)
        return _finished(job, Outcome("done", seconds))


def read_outcome(folder: Path) -> Outcome | None:
    """What became of work before; None where it is not finished."""
    try:
        return Outcome(**json.loads((folder / OUTCOME).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write(f"waiting for another process that works in {path.parent}\n")
            sys.stderr.flush()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _step(job: Job, name: str, arguments: tuple[str, ...], handle: int) -> tuple[float, tuple[str, str] | None]:
    """Seconds, and where the step failed what ended and why."""
    mark = job.folder / MARKS / name
    if mark.is_file():
        return float(mark.read_text(encoding="utf-8")), None
    began = time.monotonic()
    log = job.folder / LOG
    with log.open("a", encoding="utf-8") as file:
        file.write(f"=== {name}: python {' '.join(arguments)}\n")
        file.flush()
        start = file.tell()
        threads = f"OMP_NUM_THREADS={job.threads}"
        ended = subprocess.run(
            ["env", threads, "PYTHONUNBUFFERED=1", sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            check=False,
            pass_fds=(handle,),
        )
    seconds = time.monotonic() - began
    if ended.returncode:
        return seconds, (f"{name} ended with {ended.returncode}; see {log}", _cause(_tail(log, start)))
    mark.parent.mkdir(exist_ok=True)
    with whole_file(mark) as temporary:
        temporary.write_text(f"{seconds:.3f}\n", encoding="utf-8")
    return seconds, None


def _diverged(folder: Path) -> str:
    """Why a training is counted as diverged, or nothing: a figure is not finite any more, or its scores are none.

    A figure that never was finite tells nothing of divergence: there is no Dice without outlines, and no area under the
    curve of a type that no validation case has.
    """
    rows = read_validation(folder / "train")
    finite = {name for row in rows for name, value in row.items() if value is not None and value == value}  # noqa: PLR0124
    if rows and any(rows[-1].get(name) is None or math.isnan(rows[-1][name]) for name in finite):
        return f"the validation of epoch {rows[-1]['epoch']:g} is not finite"
    if rows and not (folder / "train" / BEST).is_file():
        return "no epoch gave a figure that could be compared"
    if (folder / CASES).is_file():
        lost = sum(case.score != case.score for case in read_cases(folder / CASES))
        if lost:
            return f"{lost} scores are not finite"
    return ""


def _finished(job: Job, outcome: Outcome) -> Outcome:
    if outcome.state != "failed":
        with whole_file(job.folder / OUTCOME) as temporary:
            temporary.write_text(json.dumps(asdict(outcome)) + "\n", encoding="utf-8")
    return outcome


def _tail(log: Path, start: int) -> str:
    size = log.stat().st_size
    with log.open("rb") as file:
        file.seek(max(start, size - TAIL))
        return file.read().decode("utf-8", "replace")


def _cause(tail: str) -> str:
    """The last error that was printed, but for what MONAI wraps around it."""
    lines = [line.strip() for line in tail.splitlines()]
    errors = [line for line in lines if ERROR.match(line)]
    named = [line for line in errors if WRAPPED not in line] or errors
    return named[-1][:400] if named else "no error was printed"


def _filled(key: str, value: Any, values: Mapping[str, str | None]) -> Any:
    if not isinstance(value, str):
        return value
    names = re.findall(r"\{(\w+)\}", value)
    if len(names) == 1 and value == f"{{{names[0]}}}":
        return _plain(values[names[0]])
    for name in names:
        if values[name] is None:
            raise ConfigurationError(f"{key}: '{{{name}}}' has no value here; let it stand alone, then it is null")
        value = value.replace(f"{{{name}}}", str(values[name]))
    return value


def _plain(value: str | None) -> Any:
    return int(value) if value is not None and re.fullmatch(r"-?\d+", value) else value
