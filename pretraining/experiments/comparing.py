"""Rows of the table that compare starts of training with each other, on the same cases and seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bundles.common.metrics.cases import Case, read_cases
from pretraining.experiments import statistics
from pretraining.experiments.identity import digest
from pretraining.experiments.plan import Plan, Run
from pretraining.experiments.spec import Experiment
from pretraining.experiments.statistics.paired import compare_classes
from pretraining.experiments.table import Row


def comparisons(
    plan: Plan,
    cases: Mapping[Run, Path],
    keys: Mapping[Run, str],
    metadata: Mapping[str, Mapping[str, Any]],
    there: Sequence[Row],
) -> Iterator[Row]:
    """A row for each pair of starts, share, finding, part and test.

    Args:
        plan: Of the experiment.
        cases: Finished runs with their `cases.csv`.
        keys: Of the rows of all runs.
        metadata: Of the test images by `case_id`.
        there: Rows of the table; a comparison of which all rows are there is not worked out again.
    """
    experiment = plan.experiment
    for task in experiment.tasks:
        for fraction in experiment.fractions:
            for first, second in pairs_of(experiment):
                both = paired(cases, task, fraction, first, second)
                if not both:
                    continue
                runs = sorted(keys[run] for pair in both for run in pair)
                how = experiment.statistics.model_dump(exclude={"also"})
                key = digest(["comparison", experiment.name, plan.variant, task, fraction, first, second, runs, how])
                if _whole(there, key):
                    continue
                head = {
                    "kind": "comparison",
                    "experiment": experiment.name,
                    "variant": plan.variant,
                    "task": task,
                    "fraction": fraction,
                    "first": first,
                    "second": second,
                    "of": runs,
                    "seeds": [one.seed for one, _ in both],
                }
                made = list(_tested(plan, task, [(cases[one], cases[other]) for one, other in both], metadata))
                for number, row in enumerate(made):
                    yield {**head, "rows": len(made), **row, "key": f"{key}-{number}"}


def unmade(plan: Plan, done: Mapping[Run, Path], keys: Mapping[Run, str], there: Sequence[Row]) -> int:
    """How many pairs of starts have runs in the table, and no comparison of all of these.

    Args:
        plan: Of the experiment.
        done: Finished runs, wherever their cases are.
        keys: Of the rows of all runs.
        there: Rows of the table, after `comparisons` were appended.
    """
    made = {(row["task"], row["first"], row["second"], *row["of"]) for row in there if row["kind"] == "comparison"}
    lacking = 0
    for task in plan.experiment.tasks:
        for fraction in plan.experiment.fractions:
            for first, second in pairs_of(plan.experiment):
                both = paired(done, task, fraction, first, second)
                of = sorted(keys[run] for pair in both for run in pair)
                lacking += bool(both) and (task, first, second, *of) not in made
    return lacking


def pairs_of(experiment: Experiment) -> list[tuple[str, str]]:
    """First and second start of each comparison: all others with the reference, and what the file names beside."""
    how = experiment.statistics
    return [*((start, how.reference) for start in experiment.initialisations if start != how.reference), *how.also]


def _whole(there: Sequence[Row], key: str) -> bool:
    """Whether all rows of a comparison are there: a kill or a full disk can leave some; old rows tell no number."""
    found = [row for row in there if row["kind"] == "comparison" and row["key"].rpartition("-")[0] == key]
    return bool(found) and len(found) >= found[0].get("rows", 1)


def paired(cases: Mapping[Run, Path], task: str, fraction: float, first: str, second: str) -> list[tuple[Run, Run]]:
    """Runs of both starts with the same seed, where both are finished."""

    def of(start: str) -> dict[int, Run]:
        return {
            run.seed: run for run in cases if (run.task, run.fraction, run.initialisation) == (task, fraction, start)
        }

    ones, others = of(first), of(second)
    return [(ones[seed], others[seed]) for seed in sorted(ones.keys() & others.keys())]


def _tested(
    plan: Plan, task: str, paths: Sequence[tuple[Path, Path]], metadata: Mapping[str, Mapping[str, Any]]
) -> Iterator[Row]:
    how = plan.experiment.statistics
    first, second = ([read_cases(pair[side]) for pair in paths] for side in (0, 1))
    named = [{case.finding for case in runs[0]} for runs in (first, second)]
    parts = statistics.strata(first[0], metadata, plan.experiment.data.within)
    for finding in [name for name in dict.fromkeys(case.finding for case in first[0]) if name in named[1]]:
        for stratum, inside in parts.items():
            arms = [[part(run, finding, inside) for run in runs] for runs in (first, second)]
            if not arms[0][0]:
                continue
            for test in statistics.compare(statistics.align(*arms), replicates=how.replicates, seed=how.seed):
                yield {"finding": finding, "stratum": stratum, **asdict(test)}
    if plan.experiment.tasks[task].classes:
        yield {"finding": "", "stratum": statistics.ALL, **asdict(compare_classes(first, second))}


def part(cases: Sequence[Case], finding: str, inside: set[str] | None = None) -> list[Case]:
    """Cases of a finding, all or those of some images."""
    return [case for case in cases if case.finding == finding and (inside is None or case.case in inside)]
