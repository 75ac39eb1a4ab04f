"""Pictures of an evaluation as PNG: ROC, precision-recall, fROC, reliability, robustness. No display is needed.

Colours are those of Okabe and Ito, told apart by colour-blind readers, and every curve has a line style of its own too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from bundles.common.metrics.calibration import ReliabilityBin
from bundles.common.metrics.froc import Froc
from bundles.common.metrics.robustness import Deviation
from bundles.common.metrics.roc import PrecisionRecallCurve, RocBand, RocCurve

BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, YELLOW, BLACK = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#F0E442",
    "#000000",
)
COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK)
LINES = ("-", "--", "-.", ":")
DPI = 120


@dataclass(frozen=True, slots=True)
class DrawnRoc:
    """One curve of a ROC picture.

    Attributes:
        curve: The points.
        band: Its pointwise interval, or None.
    """

    curve: RocCurve
    band: RocBand | None = None


def plot_roc(path: Path, curves: Mapping[str, DrawnRoc]) -> None:
    """Draw ROC curves with their 95 % bands; the names, such as "lesion, 0.94 (0.91 to 0.97)", are the legend.

    Raises:
        ValueError: No curve.
    """
    _expect(curves, "curve")
    figure, axes = _square("1 − specificity", "sensitivity")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
    for (name, drawn), (colour, line) in zip(curves.items(), _looks(), strict=False):
        if drawn.band is not None:
            axes.fill_between(
                drawn.band.false_positive_rate, drawn.band.low, drawn.band.high, color=colour, alpha=0.18, linewidth=0
            )
        axes.plot(drawn.curve.false_positive_rate, drawn.curve.sensitivity, color=colour, linestyle=line, label=name)
    axes.legend(frameon=False, loc="lower right")
    save(figure, path)


def plot_precision_recall(path: Path, curves: Mapping[str, PrecisionRecallCurve]) -> None:
    """Draw precision against recall as steps, as the average precision adds them up.

    Raises:
        ValueError: No curve.
    """
    _expect(curves, "curve")
    figure, axes = _square("recall (sensitivity)", "precision")
    for (name, curve), (colour, line) in zip(curves.items(), _looks(), strict=False):
        recall = np.concatenate(([0.0], curve.recall))
        precision = np.concatenate((curve.precision[:1], curve.precision))
        axes.step(recall, precision, where="pre", color=colour, linestyle=line, label=name)
    axes.legend(frameon=False, loc="lower left")
    save(figure, path)


def plot_froc(path: Path, curves: Mapping[str, Froc]) -> None:
    """Draw fROC curves over a logarithmic axis, with dots at the rates that are averaged.

    Raises:
        ValueError: No curve.
    """
    _expect(curves, "curve")
    figure, axes = _square("false positives per image", "share of findings found")
    rates = next(iter(curves.values())).rates
    axes.set_xscale("log")
    axes.set_xlim(rates[0] / 1.3, rates[-1] * 1.3)
    axes.set_xticks(rates, [f"{rate:g}" for rate in rates], rotation=45)
    axes.minorticks_off()
    for (name, froc), (colour, line) in zip(curves.items(), _looks(), strict=False):
        last = max(froc.false_positives[-1], rates[-1] * 1.3)
        # The first point is at 0, which a logarithmic axis does not have; the last sensitivity is kept to the right.
        places = np.concatenate(([rates[0] / 1.3], froc.false_positives[1:], [last]))
        heights = np.concatenate(([0.0], froc.sensitivity[1:], froc.sensitivity[-1:]))
        axes.step(places, heights, where="post", color=colour, linestyle=line, label=name)
        axes.plot(froc.rates, froc.at_rates, "o", color=colour, markersize=4)
    axes.legend(frameon=False, loc="best")
    save(figure, path)


def plot_reliability(path: Path, curves: Mapping[str, Sequence[ReliabilityBin]]) -> None:
    """Draw observed share against predicted probability, with exact intervals, and the number of cases below.

    Raises:
        ValueError: No curve.
    """
    _expect(curves, "curve")
    figure = new_figure(5, 6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    above.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
    for (name, bins), (colour, line) in zip(curves.items(), _looks(), strict=False):
        predicted = np.array([one.predicted for one in bins])
        shares = np.array([[one.observed.low, one.observed.value, one.observed.high] for one in bins]).reshape(-1, 3)
        bars = np.abs(shares[:, (0, 2)] - shares[:, 1:2]).T
        above.errorbar(
            predicted, shares[:, 1], bars, color=colour, linestyle=line, marker="o", markersize=4, capsize=2, label=name
        )
        # Each bin by itself: those without cases are not there.
        below.hlines([one.cases for one in bins], [one.low for one in bins], [one.high for one in bins], color=colour)
    above.set(ylabel="observed share", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    above.legend(frameon=False, loc="upper left")
    below.set(xlabel="predicted probability", ylabel="cases")
    below.set_ylim(bottom=0)
    save(figure, path)


def plot_robustness(path: Path, tables: Mapping[str, Sequence[Deviation]]) -> None:
    """Draw the relative deviation of the probability as box plots, by kind of change and model (seed 001, Fig. 7).

    Raises:
        ValueError: No model, or one without rows.
    """
    _expect(tables, "model")
    kinds = list(dict.fromkeys(row.kind for table in tables.values() for row in table))
    _expect(kinds, "row")
    figure = new_figure(2 + 1.2 * len(kinds) * max(1, len(tables) / 2), 4)
    axes = figure.subplots()
    axes.axhline(0, color="0.7", linewidth=0.8)
    width = 0.8 / len(tables)
    for number, ((name, table), (colour, _)) in enumerate(zip(tables.items(), _looks(), strict=False)):
        values = [[row.relative for row in table if row.kind == kind and not np.isnan(row.relative)] for kind in kinds]
        places = np.arange(len(kinds)) + (number - (len(tables) - 1) / 2) * width
        drawn = axes.boxplot(
            values,
            positions=places,
            widths=0.85 * width,
            patch_artist=True,
            flierprops={"markersize": 2},
            medianprops={"color": BLACK},
            manage_ticks=False,
        )
        for box in drawn["boxes"]:
            box.set(facecolor=colour, alpha=0.6, label=name if box is drawn["boxes"][0] else "")
    axes.set_xticks(np.arange(len(kinds)), kinds)
    axes.set_ylabel("relative deviation of the probability")
    axes.legend(frameon=False)
    save(figure, path)


def new_figure(width: float, height: float) -> Any:
    """A figure of a size in inches, without pyplot, which keeps every figure and asks for a display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Any, path: Path) -> None:
    """Write a figure as PNG; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI)


def _square(across: str, up: str) -> tuple[Any, Any]:
    figure = new_figure(5, 5)
    axes = figure.subplots()
    axes.set(xlabel=across, ylabel=up, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.grid(color="0.92", linewidth=0.6)
    return figure, axes


def _looks() -> Any:
    return zip(cycle(COLOURS), cycle(LINES), strict=False)


def _expect(things: Any, what: str) -> None:
    if not len(things):
        raise ValueError(f"there is no {what} to draw")
