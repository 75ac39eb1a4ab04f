"""The files that keep Platt scaling of logits and operating points."""

import re
from collections.abc import Mapping
from pathlib import Path

import yaml

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
