"""How soon a training arrives (seed 001, Fig. 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
