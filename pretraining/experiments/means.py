"""The mean over several findings of the areas under the ROC curve, run by run (CheSS, Table 3)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean, stdev

from bundles.common.metrics import paired_t
from pretraining.experiments.reading import Result
from pretraining.experiments.table import Row

DASH = "–"


def lines(result: Result, task: str) -> list[str]:
    """Tables of the mean by start and share, and of its paired t-test over runs; nothing where one finding is asked."""
    if len(result.findings(task)) < 2:
        return []
    starts, fractions = result.about["initialisations"], result.fractions(task)
    made = {(start, share): areas(result, task, start, share) for start in starts for share in fractions}
    found = [f"AUROC, mean over {len(result.findings(task))} findings:", ""]
    found += [f"| Start | {' | '.join(f'{share:.0%}' for share in fractions)} |", "|---" * (len(fractions) + 1) + "|"]
    for start in starts:
        if any(made[start, share] for share in fractions):
            cells = " | ".join(_cell(made[start, share]) for share in fractions)
            found.append(f"| {result.about['starts'][start]} | {cells} |")
    return [*found, "", *_tested(result, made, fractions)]


def areas(result: Result, task: str, start: str, fraction: float) -> dict[int, float]:
    """Seed to the mean over all findings; a run that lacks one of them is left out."""
    findings = result.findings(task)
    found: dict[int, float] = {}
    for row in result.of(task, start, fraction):
        values = {figure["finding"]: figure["value"] for figure in row.get("figures") or () if _is_area(figure)}
        each = [values.get(finding) for finding in findings]
        known = [value for value in each if value is not None]
        if len(known) == len(each):
            found[row["seed"]] = fmean(known)
    return found


def _is_area(figure: Row) -> bool:
    return (figure["stratum"], figure["metric"]) == ("all", "auroc")


def _tested(result: Result, made: Mapping[tuple[str, float], Mapping[int, float]], fractions: list[float]) -> list[str]:
    reference, starts = result.about["reference"], result.about["starts"]
    pairs = [(start, reference) for start in result.about["initialisations"] if start != reference]
    pairs += [(first, second) for first, second in result.about.get("also") or ()]
    rows = []
    for share in fractions:
        for first, second in pairs:
            ones, others = made.get((first, share), {}), made.get((second, share), {})
            seeds = sorted(ones.keys() & others.keys())
            if len(seeds) < 2:
                continue
            t = paired_t([ones[seed] for seed in seeds], [others[seed] for seed in seeds])
            told = DASH if math.isnan(t.p) else "< 0.001" if t.p < 0.001 else f"{t.p:.3f}"
            rows.append(
                f"| {share:.0%} | {starts[first]} {DASH} {starts[second]} | {t.difference:+.3f} "
                f"| {t.low:+.3f} to {t.high:+.3f} | {told} | {len(seeds)} |"
            )
    if not rows:
        return []
    head = "| Labels | First minus second | Difference of the mean | 95 % interval over runs | Paired t | Runs |"
    return [head, "|---" * 6 + "|", *rows, ""]


def _cell(values: Mapping[int, float]) -> str:
    if not values:
        return DASH
    spread = f" ± {stdev(values.values()):.3f}" if len(values) > 1 else ""
    return f"{fmean(values.values()):.3f}{spread}"
