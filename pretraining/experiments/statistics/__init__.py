"""How two starts of training are compared: by patients, by cases, by calls, and over repeated runs.

The tests themselves are those of `bundles.common.metrics`; here they meet what an experiment has: several runs of each
start, on the same cases of several patients.
"""

from pretraining.experiments.statistics.figures import ALL, Figure, figures, strata
from pretraining.experiments.statistics.paired import (
    Aligned,
    Comparison,
    align,
    area_difference,
    compare,
    most_suspicious,
    over_runs,
)
from pretraining.experiments.statistics.training import Stability, convergence, stability

__all__ = [
    "ALL",
    "Aligned",
    "Comparison",
    "Figure",
    "Stability",
    "align",
    "area_difference",
    "compare",
    "convergence",
    "figures",
    "most_suspicious",
    "over_runs",
    "stability",
    "strata",
]
