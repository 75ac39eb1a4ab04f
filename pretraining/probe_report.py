"""Probes as people read them: a table, a picture, and each encoder's distance from random weights."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bundles.common.metrics import Difference, area_under_roc, bootstrap_difference
from pretraining.probe import ProbeResult

RANDOM = "random weights"


def results_table(results: Sequence[ProbeResult]) -> str:
    """Markdown, one line a result."""
    lines = [
        "| Features | Method | Test images | AUROC | 95 % interval | Minus random | With | Without | Patients |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {result.features} | {result.method} | {result.stratum} | {result.auc.value:.3f} "
        f"| {result.auc.low:.3f} to {result.auc.high:.3f} | {_signed(against_random(result, results))} "
        f"| {result.auc.positives} | {result.auc.negatives} | {result.patients} |"
        for result in results
    ]
    return "\n".join(lines)


def against_random(result: ProbeResult, results: Sequence[ProbeResult], replicates: int = 1000) -> Difference | None:
    """AUROC minus that of random weights on the same images, the same patients drawn for both.

    Args:
        result: Of any features.
        results: Among which the first random weights of the same method and part are looked for.
        replicates: Of the bootstrap.

    Returns:
        None where there is nothing to compare with, or the result is that baseline itself.
    """
    bases = [
        base
        for base in results
        if base.features.startswith(RANDOM) and (base.method, base.stratum) == (result.method, result.stratum)
    ]
    if not bases or result.features.startswith(RANDOM) or not _comparable(result, bases[0]):
        return None

    def area(of: ProbeResult) -> Any:
        return lambda drawn: area_under_roc(of.scores[drawn], of.truth[drawn])

    pair = (area(result), area(bases[0]))
    return bootstrap_difference(*pair, len(result.truth), result.people, replicates=replicates)


def results_json(results: Sequence[ProbeResult]) -> str:
    """Every figure of the table, for machines."""
    rows = []
    for result in results:
        difference = against_random(result, results)
        rows.append(
            {
                "features": result.features,
                "method": result.method,
                "stratum": result.stratum,
                "auroc": asdict(result.auc),
                "minus_random": None if difference is None else asdict(difference),
                "patients": result.patients,
                "strength": result.strength,
            }
        )
    plain = json.loads(json.dumps(rows), parse_constant=lambda _: None)
    return json.dumps(plain, indent=2)


def plot_results(path: Path, results: Sequence[ProbeResult], title: str = "") -> None:
    """Draw AUROC with its interval, a column for each part of the test images; nearest neighbours and linear probe.

    Args:
        path: Of the PNG.
        results: At least one.
        title: Above the picture.

    Raises:
        ValueError: No result.
    """
    if not results:
        raise ValueError("there is no result to draw")
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(result.features for result in results))
    strata = list(dict.fromkeys(result.stratum for result in results))
    figure = Figure(figsize=(2.2 + 2.4 * len(strata), 1.2 + 0.42 * len(names)), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(strata), sharey=True, sharex=True))
    for panel, stratum in zip(panels, strata, strict=True):
        inside = [result for result in results if result.stratum == stratum]
        for method, colour, marker, shift in (("kNN", "#0072B2", "o", -0.14), ("linear", "#D55E00", "s", 0.14)):
            chosen = [result for result in inside if result.method == method and not math.isnan(result.auc.value)]
            centre = np.array([result.auc.value for result in chosen])
            ends = np.array([[result.auc.low, result.auc.high] for result in chosen]).reshape(-1, 2)
            rows = np.array([names.index(result.features) for result in chosen]) + shift
            spans = np.abs(ends.T - centre)
            panel.errorbar(centre, rows, xerr=spans, fmt=marker, color=colour, markersize=4, capsize=2, label=method)
        panel.axvline(0.5, color="0.7", linewidth=0.8, linestyle=":")
        counts = inside[0].auc
        panel.set_title(f"{stratum} ({counts.positives} with, {counts.negatives} without)", fontsize=9)
        panel.set_xlabel("AUROC, 95 % interval", fontsize=9)
    panels[0].set_yticks(range(len(names)), names)
    panels[0].invert_yaxis()
    panels[-1].legend(frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def write_results(path: Path, results: Sequence[ProbeResult], title: str = "") -> None:
    """Write the table (`path`, Markdown), and beside it the figures as JSON and a picture as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(results_table(results) + "\n", encoding="utf-8")
    path.with_suffix(".json").write_text(results_json(results) + "\n", encoding="utf-8")
    plot_results(path.with_suffix(".png"), results, title)


def _comparable(one: ProbeResult, other: ProbeResult) -> bool:
    return len(one.truth) > 0 and np.array_equal(one.truth, other.truth) and np.array_equal(one.people, other.people)


def _signed(difference: Difference | None) -> str:
    if difference is None or math.isnan(difference.value):
        return ""
    return f"{difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"
