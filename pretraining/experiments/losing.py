"""Which start loses more where test images are changed: rows of the table with the interval of that difference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bundles.common.metrics import Difference, area_under_roc, bootstrap_difference
from bundles.common.metrics.cases import Case, read_cases
from pretraining.experiments import statistics
from pretraining.experiments.comparing import paired, pairs_of, part
from pretraining.experiments.identity import digest
from pretraining.experiments.plan import Plan, Run
from pretraining.experiments.spec import METADATA
from pretraining.experiments.table import Row

KIND = "loss"
Arms = tuple[Sequence[Sequence[Case]], Sequence[Sequence[Case]]]


def loss_rows(plan: Plan, cases: Mapping[Run, Path], keys: Mapping[Run, str], there: Sequence[Row]) -> Iterator[Row]:
    """A row for each change, share, finding and pair of starts; none where an experiment changes nothing.

    Args:
        plan: Of the experiment.
        cases: Finished runs with their `cases.csv`.
        keys: Of the rows of all runs.
        there: Rows of the table; what is there is not worked out again.
    """
    experiment, how = plan.experiment, plan.experiment.statistics
    changed = [name for name, task in experiment.tasks.items() if task.change]
    plain = next((name for name, task in experiment.tasks.items() if task.trained and not task.change), "")
    known = {row["key"] for row in there}
    asked = [
        (task, fraction, pair)
        for task in changed
        for fraction in experiment.fractions
        for pair in pairs_of(experiment)
        if METADATA not in pair
    ]
    for task, fraction, pair in asked:
        after = {one.seed: (one, other) for one, other in paired(cases, task, fraction, *pair)}
        before = {one.seed: (one, other) for one, other in paired(cases, plain, fraction, *pair)}
        seeds = sorted(after.keys() & before.keys())
        runs = sorted(keys[run] for seed in seeds for run in (*after[seed], *before[seed]))
        key = digest([KIND, experiment.name, plan.variant, task, fraction, pair, runs, how.replicates, how.seed])
        if not seeds:
            continue
        arms = [[cases[by_seed[seed][side]] for seed in seeds] for side in (0, 1) for by_seed in (after, before)]
        for finding in dict.fromkeys(case.finding for case in read_cases(arms[0][0])):
            if (own := f"{key}-{finding}") in known:
                continue
            read = [[part(read_cases(path), finding) for path in arm] for arm in arms]
            first, second = (read[0], read[1]), (read[2], read[3])
            made = difference_of_losses(first, second, replicates=how.replicates, seed=how.seed)
            if made is None:
                continue
            yield {
                "kind": KIND,
                "key": own,
                "experiment": experiment.name,
                "variant": plan.variant,
                "task": task,
                "fraction": fraction,
                "first": pair[0],
                "second": pair[1],
                "finding": finding,
                "of": runs,
                "runs": len(seeds),
                **{name: getattr(made, name) for name in ("value", "low", "high", "p")},
            }


def difference_of_losses(first: Arms, second: Arms, *, replicates: int, seed: int = 0) -> Difference | None:
    """What the area under the ROC curve loses by a change, first minus second; above 0 the first loses less.

    The mean over the runs of (area on changed images − area on unchanged ones) of the first start, minus that of the
    second; each replicate draws patients, the same for all four arms.

    Args:
        first: The cases of each run on changed images, and on unchanged ones, of one finding; runs of one seed have
            the same place.
        second: The same of the other start.
        replicates: Draws.
        seed: Of the draws.

    Returns:
        None where a class is missing.

    Raises:
        ValueError: Runs on different cases, patients or truths.
    """
    # All four at once, which refuses other cases: first after and second after, first before and second before.
    both = statistics.align([*first[0], *first[1]], [*second[0], *second[1]])
    if not 0 < both.truth.sum() < len(both.truth):
        return None
    runs = len(first[0])

    def gain(scores: NDArray[np.float64], drawn: NDArray[np.intp]) -> float:
        areas = [area_under_roc(run[drawn], both.truth[drawn]) for run in scores]
        return float(np.mean(areas[:runs]) - np.mean(areas[runs:]))

    return bootstrap_difference(
        lambda drawn: gain(both.first, drawn),
        lambda drawn: gain(both.second, drawn),
        len(both.truth),
        both.patients,
        replicates=replicates,
        seed=seed,
    )


def told(rows: Sequence[Row], about: Mapping[str, Any], finding: str, fraction: float) -> list[str]:
    """A table for one finding and share: a row for each change and pair of starts; nothing where there is none."""
    lines = [
        f"| {about['tasks'][task]} | {about['starts'][row['first']]} – {about['starts'][row['second']]} "
        f"| {row['value']:+.3f} | {row['low']:+.3f} to {row['high']:+.3f} | {row['runs']} |"
        for task in about["tasks"]
        for row in rows
        if (row["task"], row["finding"], row["fraction"]) == (task, finding, fraction) and row["low"] is not None
    ]
    if not lines:
        return []
    head = "| Change | First minus second | Difference of these losses | 95 % interval | Runs |"
    return [head, "|---" * 5 + "|", *lines]
