"""How soon a training arrives (seed 001, Fig. 6), and how evenly a pretraining goes (section 3.1.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bundles.common.metrics import convergence_epoch


def convergence(rows: Sequence[Mapping[str, float]], figure: str) -> int | None:
    """The earliest epoch at 98 % of the best of the whole run.

    Args:
        rows: Of `read_validation`: `epoch` and figures.
        figure: Its name; larger is better.

    Returns:
        The epoch's number as the rows have it, or None where nothing was measured, or never above 0.

    Raises:
        ValueError: The rows have no such figure.
    """
    if rows and figure not in rows[0]:
        raise ValueError(f"no validation figure '{figure}'; there are: {', '.join(sorted(set(rows[0]) - {'epoch'}))}")
    values = [float("nan") if row[figure] is None else float(row[figure]) for row in rows]
    if not np.isfinite(values).any() or np.nanmax(values) <= 0:
        return None
    return int(rows[convergence_epoch(values) - 1]["epoch"])


@dataclass(frozen=True, slots=True)
class Stability:
    """How evenly a pretraining went.

    Attributes:
        epochs: That it had.
        first_loss, last_loss: Mean over the first and the last epoch.
        jitter: Standard deviation of the change of the loss from step to step in the second half, by the mean loss
            there: 0 is smooth. The loss falls slowly by then, so that what is left is unrest.
        gradient_peak: Largest norm of the gradient in the second half by the median there: 1 has no peaks.
    """

    epochs: int
    first_loss: float
    last_loss: float
    jitter: float
    gradient_peak: float


def stability(curve: Sequence[Mapping[str, float]]) -> Stability | None:
    """From the lines of `history.csv`, one a step, with `epoch`, `loss` and `gradient_norm`; None below four steps."""
    if len(curve) < 4:
        return None
    epochs = np.array([row["epoch"] for row in curve])
    losses, norms = (np.array([row[name] for row in curve], dtype=np.float64) for name in ("loss", "gradient_norm"))
    half = len(curve) // 2
    late, peaks = losses[half:], norms[half:]
    return Stability(
        epochs=len(np.unique(epochs)),
        first_loss=float(losses[epochs == epochs[0]].mean()),
        last_loss=float(losses[epochs == epochs[-1]].mean()),
        jitter=float(np.diff(late).std() / abs(late.mean())) if late.mean() else float("nan"),
        gradient_peak=float(peaks.max() / np.median(peaks)) if np.median(peaks) else float("nan"),
    )
