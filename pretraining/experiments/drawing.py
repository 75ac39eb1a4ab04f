"""Pictures of the page of evidence, as SVG: the same rows give the same bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from bundles.common.metrics import plots
from bundles.common.metrics.plots import BLACK, LINES, new_figure
from pretraining.experiments import changes
from pretraining.experiments.reading import Result
from pretraining.experiments.table import Row

# Identifiers in an SVG are random without a salt; date and maker would differ from machine to machine.
SALT = {"svg.hashsalt": "vigil"}
NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
MARKERS = "osD^v"
# Experiments have up to eight starts.
COLOURS = (*plots.COLOURS, "#999999", "#7a4b16")
# Above 0, below, neither.
SIDES = ("#00734f", "#b3261e", "#8a8a8a")
# Panels in a row: a page shows all figures equally wide.
ACROSS = 3


@contextmanager
def plain() -> Iterator[None]:
    """Draw as matplotlib does without a matplotlibrc of the user, and name parts alike each time."""
    import matplotlib as mpl

    # A backend belongs to windows, of which there are none.
    kept = {name: value for name, value in mpl.rcParamsDefault.items() if not name.startswith("backend")}
    with mpl.rc_context({**kept, **SALT}):
        yield


def draw_areas(path: Path, result: Result, task: str) -> bool:
    """Draw AUROC by share of the labels, a panel for each finding, with intervals over patients; False without any."""
    findings, fractions = result.findings(task), result.fractions(task)
    if not findings:
        return False
    starts = result.about["initialisations"]
    figure, panels = _panels(len(findings), len(starts))
    middle = (len(starts) - 1) / 2
    for panel, finding in zip(panels, findings, strict=True):
        for number, start in enumerate(starts):
            found = [_all(result.of(task, start, share), finding) for share in fractions]
            places = [place for place, figures in enumerate(found) if figures]
            if not places:
                continue
            means = np.array(
                [[fmean(one[end] for one in found[at]) for end in ("value", "low", "high")] for at in places]
            )
            panel.errorbar(
                np.array(places) + 0.06 * (number - middle),
                means[:, 0],
                np.abs(means[:, 1:].T - means[:, 0]),
                color=COLOURS[number % len(COLOURS)],
                linestyle=LINES[number % len(LINES)],
                marker=MARKERS[number % len(MARKERS)],
                markersize=4,
                capsize=2,
                label=result.about["starts"][start],
            )
        panel.axhline(0.5, color="0.7", linewidth=0.8, linestyle=":")
        panel.set_xticks(range(len(fractions)), [f"{share:.0%}" for share in fractions])
        panel.set_xlim(-0.5, len(fractions) - 0.5)
        panel.set(title=finding, xlabel="share of the labels", ylabel="AUROC, 95 % interval")
    _title(figure, result, task)
    _legend(figure)
    _save(figure, path)
    return True


def draw_boxes(path: Path, result: Result, task: str) -> bool:
    """Draw box plots of the runs' AUROC by start, a panel for each finding; False where no start has two runs."""
    findings, fractions, starts = result.findings(task), result.fractions(task), result.about["initialisations"]
    if not any(len(result.of(task, start, share)) > 1 for start in starts for share in fractions):
        return False
    figure, panels = _panels(len(findings), len(starts))
    width = 0.8 / len(starts)
    for panel, finding in zip(panels, findings, strict=True):
        for number, start in enumerate(starts):
            values = [[one["value"] for one in _all(result.of(task, start, share), finding)] for share in fractions]
            places = np.arange(len(fractions)) + (number - (len(starts) - 1) / 2) * width
            drawn = panel.boxplot(
                values,
                positions=places,
                widths=0.85 * width,
                patch_artist=True,
                medianprops={"color": BLACK},
                manage_ticks=False,
            )
            for place, each in zip(places, values, strict=True):
                # A box of two runs alone looks like more than it is.
                panel.plot([place] * len(each), each, ".", color=BLACK, markersize=4)
            for box in drawn["boxes"]:
                label = result.about["starts"][start] if box is drawn["boxes"][0] else ""
                box.set(facecolor=COLOURS[number % len(COLOURS)], alpha=0.6, label=label)
        panel.set_xticks(range(len(fractions)), [f"{share:.0%}" for share in fractions])
        panel.set(title=finding, xlabel="share of the labels", ylabel="AUROC of each run")
    _title(figure, result, task)
    _legend(figure)
    _save(figure, path)
    return True


def draw_curves(path: Path, result: Result, task: str) -> bool:
    """Draw the validation by epoch, mean and standard deviation of the runs, a panel for each share; False without."""
    fractions, starts = result.fractions(task), result.about["initialisations"]
    drawn = (result.about.get("curves") or {}).get(task, "score")
    curves = {(start, share): _curves(result.of(task, start, share), drawn) for start in starts for share in fractions}
    if not any(len(values) and values.shape[1] > 1 for values in curves.values()):
        return False
    figure, panels = _panels(len(fractions), len(starts))
    for panel, share in zip(panels, fractions, strict=True):
        for number, start in enumerate(starts):
            values = curves[start, share]
            if not len(values):
                continue
            epochs, mean, spread = np.arange(1, values.shape[1] + 1), values.mean(axis=0), values.std(axis=0)
            colour, line = COLOURS[number % len(COLOURS)], LINES[number % len(LINES)]
            panel.plot(epochs, mean, color=colour, linestyle=line, label=result.about["starts"][start])
            panel.fill_between(epochs, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
        panel.set(title=f"{share:.0%} of the labels", xlabel="epoch", ylabel=f"validation, {drawn}")
    _title(figure, result, task)
    _legend(figure)
    _save(figure, path)
    return True


def draw_changes(path: Path, result: Result, finding: str) -> bool:
    """Draw what a change of the test images costs, a panel for each kind, a line for each start and share."""
    found = changes.kinds(result)
    fractions = result.fractions(changes.unchanged(result))
    drawn = False
    figure, panels = _panels(len(found), len(changes.starts(result)) * len(fractions))
    for panel, (kind, values) in zip(panels, found.items(), strict=True):
        for number, start in enumerate(changes.starts(result)):
            for line, fraction in enumerate(fractions):
                lost = [(value, changes.losses(result, task, start, fraction, finding)) for value, task in values]
                there = [(value, fmean(each)) for value, each in lost if each]
                drawn = drawn or bool(there)
                panel.plot(
                    [value for value, _ in there],
                    [mean for _, mean in there],
                    color=COLOURS[number % len(COLOURS)],
                    linestyle=LINES[line % len(LINES)],
                    marker=MARKERS[number % len(MARKERS)],
                    markersize=4,
                    label=f"{result.about['starts'][start]}, {fraction:.0%}",
                )
        panel.axhline(0, color="0.7", linewidth=0.8, linestyle=":")
        panel.set(title=finding, xlabel=kind, ylabel="AUROC, changed minus unchanged")
    if drawn:
        _legend(figure)
        _save(figure, path)
    return drawn


def draw_differences(path: Path, rows: Sequence[tuple[str, Sequence[Row]]]) -> None:
    """Draw differences with their intervals, a line of the picture for each named group; coloured by side of 0.

    Args:
        path: SVG.
        rows: Name and comparisons with `value`, `low` and `high`.
    """
    figure = new_figure(9, 0.9 + sum(0.25 + 0.09 * len(group) for _, group in rows))
    panel = figure.subplots()
    place, ticks = 0.0, []
    for _, group in rows:
        first = place
        for row in sorted(group, key=lambda row: -row["value"]):
            side = 0 if row["low"] > 0 else 1 if row["high"] < 0 else 2
            panel.plot([row["low"], row["high"]], [place, place], color=SIDES[side], linewidth=1)
            panel.plot(row["value"], place, MARKERS[side], color=SIDES[side], markersize=3)
            place -= 1
        ticks.append((first + place + 1) / 2)
        panel.axhline(place - 0.5, color="0.9", linewidth=0.8)
        place -= 2
    panel.axvline(0, color="0.5", linewidth=0.8)
    panel.set_yticks(ticks, [name for name, _ in rows], fontsize=8)
    panel.set_ylim(place + 1, 2)
    panel.set(xlabel="difference from the reference, 95 % interval (green: above 0, red: below, grey: includes 0)")
    _save(figure, path)


def _curves(runs: Sequence[Row], name: str) -> Any:
    """(runs, epochs) of a figure of the validation, cut to the shortest run."""
    found = [[row.get(name) for row in run.get("curve") or ()] for run in runs if run["state"] == "done"]
    whole = [[float(value) for value in curve] for curve in found if curve and None not in curve]
    if not whole:
        return np.zeros((0, 0))
    shortest = min(len(curve) for curve in whole)
    return np.array([curve[:shortest] for curve in whole])


def _all(runs: Sequence[Row], finding: str) -> list[Row]:
    return [
        figure
        for run in runs
        for figure in run.get("figures") or ()
        if (figure["finding"], figure["stratum"], figure["metric"]) == (finding, "all", "auroc")
        and None not in (figure["value"], figure["low"], figure["high"])
    ]


def _panels(count: int, entries: int) -> tuple[Any, Any]:
    """A figure and its panels, at most ACROSS beside each other, with room for a legend of so many entries below."""
    columns = min(count, ACROSS)
    rows = math.ceil(count / columns)
    figure = new_figure(1.5 + 3.6 * columns, 0.3 + 3.4 * rows + 0.2 * math.ceil(entries / columns))
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for empty in panels[count:]:
        empty.remove()
    return figure, panels[:count]


def _title(figure: Any, result: Result, task: str) -> None:
    """What is drawn: titles of panels name a finding or a share alone."""
    figure.suptitle(f"{result.name}: {result.about['tasks'][task]}", fontsize=8)


def _legend(figure: Any) -> None:
    """One for all panels, below them, so that it hides nothing; as many columns as there are panels in a row."""
    named: dict[str, Any] = {}
    for panel in figure.axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    columns = min(len(figure.axes), ACROSS)
    figure.legend(named.values(), named, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with plain():
        figure.savefig(path, format="svg", metadata=NO_METADATA)
