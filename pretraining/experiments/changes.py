"""What networks lose where test images are changed: differences to the unchanged images, from the rows of the table."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from pretraining.experiments.reading import Result
from pretraining.experiments.spec import METADATA

ALL = "all"


def kinds(result: Result) -> dict[str, list[tuple[float, str]]]:
    """Values and tasks of each kind of change, values rising; empty where nothing is changed."""
    found: dict[str, list[tuple[float, str]]] = {}
    for task, change in (result.about.get("changes") or {}).items():
        found.setdefault(change["kind"], []).append((float(change["value"]), task))
    return {kind: sorted(each) for kind, each in found.items()}


def unchanged(result: Result) -> str:
    """The task that the others are compared with."""
    return next(str(task) for task in result.about["tasks"] if task not in result.about["changes"])


def starts(result: Result) -> list[str]:
    """Starts of networks; metadata do not change with the image."""
    return [start for start in result.about["initialisations"] if start != METADATA]


def losses(result: Result, task: str, start: str, fraction: float, finding: str) -> list[float]:
    """AUROC on changed minus on unchanged images, of each seed of which both are there."""
    before = _areas(result, unchanged(result), start, fraction, finding)
    after = _areas(result, task, start, fraction, finding)
    return [after[seed] - before[seed] for seed in sorted(before.keys() & after.keys())]


def lines(result: Result, finding: str, fraction: float) -> list[str]:
    """A table for one finding and share: a row for each change, a column for each start."""
    found = starts(result)
    made = [
        f"| Change | {' | '.join(result.about['starts'][start] for start in found)} |",
        "|---" * (len(found) + 1) + "|",
    ]
    for each in kinds(result).values():
        for _, task in each:
            cells = [_cell(losses(result, task, start, fraction, finding)) for start in found]
            made.append(f"| {result.about['tasks'][task]} | {' | '.join(cells)} |")
    return made


def _cell(values: Sequence[float]) -> str:
    if not values:
        return "–"
    spread = f" ({min(values):+.3f} to {max(values):+.3f})" if len(values) > 1 else ""
    return f"{fmean(values):+.3f}{spread}"


def _areas(result: Result, task: str, start: str, fraction: float, finding: str) -> dict[int, float]:
    return {
        row["seed"]: figure["value"]
        for row in result.of(task, start, fraction)
        for figure in row.get("figures") or ()
        if (figure["finding"], figure["stratum"], figure["metric"]) == (finding, ALL, "auroc")
        and figure["value"] is not None
    }
