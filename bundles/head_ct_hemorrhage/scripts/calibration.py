"""Platt scaling of logits and operating points, and the files that keep them."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.optimize import minimize

from bundles.head_ct_hemorrhage.scripts.running import CALIBRATION

SERVICE = Path("configs/service.yaml")
FINDING_OF = {
    "hemorrhage": "intracranial_hemorrhage",
    "subarachnoid": "subarachnoid_hemorrhage",
    "subdural": "subdural_hemorrhage",
    "epidural": "epidural_hemorrhage",
    "intraventricular": "intraventricular_hemorrhage",
    "intraparenchymal": "intraparenchymal_hemorrhage",
}


def fit_platt(logits: NDArray[np.float64], truth: NDArray[np.bool_]) -> tuple[float, float]:
    """Factor and offset that turn logits into calibrated ones (Platt 1999, with his smoothed targets).

    The smoothed targets keep the factor finite where validation cases are separated perfectly.

    Args:
        logits: (n,).
        truth: (n,).

    Raises:
        ValueError: One of the classes is missing.
    """
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if positives == 0 or negatives == 0:
        raise ValueError("calibration needs cases with and without the finding")
    targets = np.where(truth, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(parameters: NDArray[np.float64]) -> float:
        scaled = logits * np.exp(parameters[0]) + parameters[1]
        return float(np.mean(np.logaddexp(0, scaled) - targets * scaled))

    best = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-7, "maxiter": 2000})
    return float(np.exp(best.x[0])), float(best.x[1])


def write_calibration(bundle_root: Path, scale: Mapping[str, tuple[float, float]], cases: int) -> None:
    """Write `configs/calibration.yaml`."""
    rounded = {name: [round(factor, 4), round(offset, 4)] for name, (factor, offset) in scale.items()}
    text = (
        "# Platt scaling of the logits: probability = sigmoid(logit * factor + offset). Fitted on phantom validation\n"
        "# cases by configs/evaluate.yaml --fit_calibration true; it says nothing about patients.\n"
    )
    text += yaml.safe_dump({"scale": rounded, "validation_cases": cases}, sort_keys=False, default_flow_style=None)
    (bundle_root / CALIBRATION).write_text(text, encoding="utf-8")


def write_thresholds(bundle_root: Path, thresholds: Mapping[str, float]) -> None:
    """Put operating points into `configs/service.yaml`, everything else and its comments kept.

    Raises:
        ValueError: The file lacks a finding, or its threshold.
    """
    path = bundle_root / SERVICE
    text = path.read_text(encoding="utf-8")
    for name, value in thresholds.items():
        pattern = rf"(finding: {FINDING_OF[name]}\b[^\n]*\n(?:[ \t]+(?!finding:)[^\n]*\n)*?[ \t]+threshold: )[0-9.]+"
        text, count = re.subn(pattern, rf"\g<1>{value:.4f}", text)
        if count != 1:
            raise ValueError(f"{path}: expected one finding {FINDING_OF[name]} with a threshold, found {count}")
    path.write_text(text, encoding="utf-8")
