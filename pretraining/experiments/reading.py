"""The table of results as the report reads it: the latest run of each kind, nothing mixed unawares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundles.common.strict import ConfigurationError
from pretraining.experiments.spec import METADATA
from pretraining.experiments.table import DESCRIPTION, TABLE, ResultTable, Row

# Test images with a finding, and without, and patients, from which a part is shown without a mark.
ENOUGH = 10
# What a comparison is about.
PLACE = ("task", "fraction", "first", "second", "finding")
COMPARED = (*PLACE, "of", "runs", "value", "low", "high", "p")
# What a row of each kind always has.
KEYS = {
    DESCRIPTION: ("title", "question", "source", "data", "tasks", "starts", "initialisations", "reference", "runs"),
    "run": ("task", "initialisation", "fraction", "seed", "state", "seconds", "commit", "code", "data_hash"),
    "comparison": (*COMPARED, "stratum", "test"),
    "loss": COMPARED,
    "panels": ("task", "fraction", "seed", "starts", "page", "of"),
}


@dataclass(frozen=True, slots=True)
class Result:
    """One experiment in one variant.

    Attributes:
        about: Its latest description.
        runs: The latest of each task, start, share and seed, in the order of the table.
        comparisons: Of these runs alone.
        losses: Which start loses more by a change of the test images, of these runs alone.
        panels: Where pages lie on which the networks of these runs are looked at.
        older: Runs that a newer one stands for, and those that the description asks for no more.
        mixed: Sentences on what differs between the runs.
    """

    about: Row
    runs: tuple[Row, ...]
    comparisons: tuple[Row, ...]
    losses: tuple[Row, ...]
    panels: tuple[Row, ...]
    older: int
    mixed: tuple[str, ...]

    @property
    def name(self) -> str:
        """Experiment and variant."""
        return f"{self.about['experiment']}_{self.about['variant']}"

    def of(self, task: str, start: str, fraction: float) -> list[Row]:
        """Runs of all seeds, seeds rising."""
        found = [
            row for row in self.runs if (row["task"], row["initialisation"], row["fraction"]) == (task, start, fraction)
        ]
        return sorted(found, key=lambda row: row["seed"])

    def fractions(self, task: str) -> list[float]:
        """Shares of the labels, the largest first."""
        return sorted({row["fraction"] for row in self.runs if row["task"] == task}, reverse=True)

    def few(self, task: str, finding: str, stratum: str) -> bool:
        """Whether fewer than `ENOUGH` test images of a part have the finding, or lack it, or are of fewer patients."""
        return any(
            min(figure["positives"], figure["negatives"], figure["patients"]) < ENOUGH
            for row in self.runs
            if row["task"] == task
            for figure in row.get("figures") or ()
            if (figure["finding"], figure["stratum"], figure["metric"]) == (finding, stratum, "auroc")
            and figure["value"] is not None
        )

    def findings(self, task: str, metric: str = "auroc") -> list[str]:
        """Findings that were measured."""
        return list(
            dict.fromkeys(
                figure["finding"]
                for row in self.runs
                if row["task"] == task
                for figure in row.get("figures") or ()
                if figure["metric"] == metric
            )
        )


def read_results(folder: Path, *, mixed: bool = False) -> list[Result]:
    """All experiments of a table, in the order of their names, small before full.

    Args:
        folder: Of the table.
        mixed: Take runs of different code or images into one table; the page says so.

    Raises:
        ConfigurationError: No table, a line that is no row, or runs of different code or images.
    """
    rows = ResultTable(folder).rows()
    for number, row in enumerate(rows, start=1):
        if lacking := [name for name in ("experiment", "variant", *KEYS[row["kind"]]) if name not in row]:
            raise ConfigurationError(
                f"{folder / TABLE}, line {number}: lacks {', '.join(lacking)}; restore the file, or delete this line"
            )
    about = {(row["experiment"], row["variant"]): row for row in rows if row["kind"] == "experiment"}
    if not about:
        raise ConfigurationError(f"{folder / TABLE}: no result is there yet; python -m pretraining.experiments run all")
    order = sorted(about, key=lambda key: (key[0], key[1] == "full"))
    results = [_result(about[key], [row for row in rows if _of(row) == key]) for key in order]
    told = [f"{result.name}: {line}" for result in results for line in result.mixed]
    if told and not mixed:
        raise ConfigurationError(
            f"{folder / TABLE}: "
            + "; ".join(told)
            + ". Run the experiment again, so that all of its runs are of one code, or take them together and have the "
            "page say so: --mixed"
        )
    return results


def _of(row: Row) -> tuple[str, str]:
    return row["experiment"], row["variant"]


def _result(about: Row, rows: Sequence[Row]) -> Result:
    runs = [row for row in rows if row["kind"] == "run"]
    latest = {
        (row["task"], row["initialisation"], row["fraction"], row["seed"]): row for row in runs if _wanted(about, row)
    }
    kept = tuple(latest.values())
    keys = {row["key"] for row in kept}
    own = [row for row in rows if set(row.get("of", ())) <= keys]
    panels = {(row["task"], row["fraction"]): row for row in own if row["kind"] == "panels"}
    return Result(
        about=about,
        runs=kept,
        comparisons=_best(own, "comparison", (*PLACE, "stratum", "test")),
        losses=_best(own, "loss", PLACE),
        panels=tuple(panels.values()),
        older=len(runs) - len(kept),
        mixed=tuple(_mixed(kept)),
    )


def _best(rows: Sequence[Row], kind: str, names: Sequence[str]) -> tuple[Row, ...]:
    """One of more runs stands for one of fewer, which was made while runs were missing."""
    found: dict[tuple[object, ...], Row] = {}
    for row in rows:
        if row["kind"] == kind:
            place = tuple(row[name] for name in names)
            if place not in found or row["runs"] >= found[place]["runs"]:
                found[place] = row
    return tuple(found.values())


def _wanted(about: Row, run: Row) -> bool:
    """Whether the latest description still asks for a run; descriptions of old tables name no shares and seeds."""
    return (
        run["task"] in about["tasks"]
        and run["initialisation"] in about["initialisations"]
        and run["fraction"] in about.get("fractions", [run["fraction"]])
        and run["seed"] in about.get("seeds", [run["seed"]])
    )


def _mixed(runs: Iterable[Row]) -> list[str]:
    """What is not the same in all runs of a task; the metadata baseline has code of its own."""
    told = []
    groups: dict[tuple[str, str, bool], dict[str, list[Mapping[str, object]]]] = {}
    for row in runs:
        for what in ("code", "data_hash"):
            apart = what == "code" and row["initialisation"] == METADATA
            groups.setdefault((row["task"], what, apart), {}).setdefault(row[what], []).append(row)
    for (task, what, _), found in groups.items():
        if len(found) > 1:
            words = "code" if what == "code" else "images"
            each = ", ".join(f"{len(rows)} of commit {str(rows[0]['commit'])[:9]}" for rows in found.values())
            told.append(f"the runs of '{task}' are of {len(found)} different {words} ({each})")
    return told


def uncompared(result: Result) -> int:
    """Pairs of starts that have runs of one seed with areas, and no comparison."""
    about = result.about
    reference = about["reference"]
    pairs = [(start, reference) for start in about["initialisations"] if start != reference]
    pairs += [(first, second) for first, second in about.get("also") or ()]
    there = {(row["task"], row["fraction"], row["first"], row["second"]) for row in result.comparisons}
    count = 0
    for task in about["tasks"]:
        for fraction in result.fractions(task):
            for first, second in pairs:
                one, other = (
                    {
                        (row["seed"], figure["finding"])
                        for row in result.of(task, start, fraction)
                        for figure in row.get("figures") or ()
                        if (figure["stratum"], figure["metric"]) == ("all", "auroc") and figure["value"] is not None
                    }
                    for start in (first, second)
                )
                count += bool(one & other) and (task, fraction, first, second) not in there
    return count
