"""How soon a training arrives: the earliest epoch at 98 % of its best."""

import numpy as np
from numpy.typing import ArrayLike

SHARE = 0.98


def convergence_epoch(figures: ArrayLike, share: float = SHARE) -> int:
    """The earliest epoch that reaches a share of the best figure of the whole run (seed 001, Fig. 6).

    Args:
        figures: (epochs,) of validation, larger is better, such as AUROC; NaN where an epoch was not measured.
        share: Of the best.

    Returns:
        Number of the epoch, the first being 1.

    Raises:
        ValueError: Nothing was measured, the best is not positive (a share of it would mean nothing), or a share
            outside of 0 (excluded) to 1.
    """
    values = np.asarray(figures, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).any():
        raise ValueError(f"expected a figure for each epoch, got shape {values.shape} without a finite one")
    if not 0 < share <= 1:
        raise ValueError(f"the share of the best lies above 0 and at most at 1, got {share}")
    best = float(values[np.isfinite(values)].max())
    if best <= 0:
        raise ValueError(
            f"a share of the best needs a positive best, got {best}: give figures of which larger is better"
        )
    return int(np.flatnonzero(np.isfinite(values) & (values >= share * best))[0]) + 1


def epochs_saved(epoch: int, reference: int) -> float:
    """Share of the reference's epochs that were not needed: 0.72 is "72 % faster" in seed 001; negative is slower.

    Raises:
        ValueError: An epoch below 1.
    """
    if epoch < 1 or reference < 1:
        raise ValueError(f"epochs count from 1, got {epoch} and {reference}")
    return 1 - epoch / reference
