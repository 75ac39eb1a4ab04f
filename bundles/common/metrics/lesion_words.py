"""Lesions of a report (`report_lesions`) as JSON keeps it, as sentences for a card, and as figures of a manifest."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from bundles.common.manifest import Metric
from bundles.common.metrics.lesions import LesionReport


def plain_lesions(report: LesionReport) -> dict[str, Any]:
    """A report as JSON keeps it, which has no infinity: the open end of the largest size becomes null."""
    plain: dict[str, Any] = _finite(asdict(report))
    return plain


def lesion_notes(lesions: Mapping[str, Any], name: str = "metastases") -> tuple[str, ...]:
    """Sentences about the lesions of a plain report.

    Args:
        lesions: As `plain_lesions` gives it.
        name: Of the lesions, plural.
    """
    if not lesions["lesions"]:
        return (f"No head of the {lesions['volumes']} has {name}, so none could be found.",)
    by_size = "; ".join(
        f"{_size(size)}: {_share(size['sensitivity'])} of {size['lesions']}"
        for size in lesions["sizes"]
        if size["lesions"]
    )
    alarms, dice = lesions["false_alarms"], lesions["dice"]
    found = f"{name.capitalize()} found, any overlap: {_share(lesions['sensitivity'])} of {lesions['lesions']}"
    false = f"False lesions a head: {alarms['value']:.2f} ({alarms['low']:.2f} to {alarms['high']:.2f})"
    masks = f"{dice['value']:.3f} ({dice['low']:.3f} to {dice['high']:.3f})"
    return (f"{found}. By longest diameter: {by_size}.", f"{false}. Mean Dice of heads with {name}: {masks}.")


def lesion_figures(lesions: Mapping[str, Any], name: str = "metastases") -> dict[str, Metric]:
    """Sensitivity by size and mean Dice of a plain report, for a manifest; nothing where there is no lesion.

    Args:
        lesions: As `plain_lesions` gives it.
        name: Of the lesions, plural.
    """
    metrics = {}
    for size in lesions["sizes"]:
        if size["lesions"]:
            end = "" if size["below_mm"] is None else f" to {size['below_mm']:g}"
            metrics[f"lesions_{size['from_mm']:g}"] = Metric(
                label=f"{name.capitalize()} from {size['from_mm']:g}{end} mm",
                **figure_ends(size["sensitivity"]),
                positives=size["lesions"],
                negatives=0,
                measure="sensitivity",
            )
    if lesions["lesions"]:
        ill = lesions["with_lesions"]
        counts, dice = {"positives": ill, "negatives": lesions["volumes"] - ill}, figure_ends(lesions["dice"])
        metrics["dice"] = Metric(label=f"Masks of {name}", **dice, **counts, measure="mean Dice")
    return metrics


def figure_ends(figure: Mapping[str, Any]) -> dict[str, float]:
    """Value and interval of a figure as JSON keeps it."""
    return {name: figure[name] for name in ("value", "low", "high")}


def _size(size: Mapping[str, Any]) -> str:
    if size["below_mm"] is None:
        return f"from {size['from_mm']:g} mm"
    return f"{size['from_mm']:g} to {size['below_mm']:g} mm"


def _share(interval: Mapping[str, float]) -> str:
    value, low, high = (100 * interval[key] for key in ("value", "low", "high"))
    return f"{value:.0f} % ({low:.0f} to {high:.0f})"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and np.isinf(value) else value
