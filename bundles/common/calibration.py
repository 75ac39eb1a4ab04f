"""The files that keep what was fitted on validation cases: Platt scaling of logits, and operating points.

`configs/calibration.yaml` holds a factor and an offset for each output, `configs/service.yaml` the thresholds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog
import yaml

from bundles.common.contract import load_service
from bundles.common.manifest import sha256_of
from bundles.common.strict import read_mapping
from bundles.common.yaml_values import Place, set_values

log = structlog.get_logger()

CALIBRATION = Path("configs/calibration.yaml")
SERVICE = Path("configs/service.yaml")
DIGITS = 4
Scale = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Cut:
    """Where the service cuts one finding.

    Attributes:
        probability: At or above, the finding is present.
        box: Boxes of lower scores are not shown; None for a finding without boxes.
    """

    probability: float
    box: float | None


def read_calibration(bundle_root: str, weights: str | None = None) -> dict[str, tuple[float, float]]:
    """Platt scaling of `configs/calibration.yaml`; empty before any was fitted.

    Args:
        bundle_root: Folder of the bundle.
        weights: Where given and the file says for which weights it was fitted: of others nothing is calibrated, and the
            log says so.
    """
    path = Path(bundle_root) / CALIBRATION
    if not path.is_file():
        return {}
    content = read_mapping(path)
    fitted = content.get("weights_sha256")
    if weights and fitted and Path(weights).is_file() and sha256_of(Path(weights)) != fitted:
        log.warning("not_calibrated", weights=weights, reason=f"{path} was fitted for other weights")
        return {}
    return {name: (float(factor), float(offset)) for name, (factor, offset) in content["scale"].items()}


def write_calibration(
    bundle_root: Path, scale: Scale, cases: int, *, data: str = "phantom", weights: str | None = None
) -> None:
    """Write `configs/calibration.yaml`.

    Args:
        bundle_root: Folder of the bundle.
        scale: Factor and offset for each output.
        cases: How many it was fitted on.
        data: What they were, by name; phantoms are warned of.
        weights: File that the logits came from.
    """
    warning = "; it says nothing about patients" if data.lower().startswith("phantom") else ""
    text = (
        "# Platt scaling of the logits: probability = sigmoid(logit * factor + offset). Fitted on validation cases by\n"
        f"# configs/evaluate.yaml --fit_calibration true{warning}.\n"
    )
    rounded = {name: [float(f"{value:.5g}") for value in pair] for name, pair in scale.items()}
    content = {"scale": rounded, "validation_data": data, "validation_cases": cases}
    if weights:
        content["weights_sha256"] = sha256_of(Path(weights))
    text += yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=1000)
    (bundle_root / CALIBRATION).write_text(text, encoding="utf-8")


def service_cuts(bundle_root: str, weights: str | None = None) -> dict[str, Cut]:
    """Operating points of `configs/service.yaml` by finding.

    They are cuts through calibrated probabilities: empty without that file, and where `read_calibration` gives nothing.

    Raises:
        ConfigurationError: The file is wrong.
    """
    root = Path(bundle_root)
    if not (root / SERVICE).is_file() or not read_calibration(bundle_root, weights):
        return {}
    return {
        output.finding: Cut(output.threshold, output.regions.threshold if output.regions else None)
        for output in load_service(root).findings
    }


def write_thresholds(
    bundle_root: Path, thresholds: Mapping[str, float], boxes: Mapping[str, float] | None = None
) -> None:
    """Put operating points into `configs/service.yaml`, everything else and its comments kept.

    Args:
        bundle_root: Folder of the bundle.
        thresholds: Of the probability, by finding.
        boxes: Least score of a box, by finding.

    Raises:
        ValueError: The file lacks a finding, or its threshold.
    """
    path = bundle_root / SERVICE
    names = [each["finding"] for each in read_mapping(path)["findings"]]
    missing = sorted({*thresholds, *(boxes or {})} - set(names))
    if missing:
        raise ValueError(
            f"{path}: expected the finding {missing[0]} with a threshold, got {', '.join(names) or 'none'}"
        )
    values: dict[Place, str] = {}
    for name, value in thresholds.items():
        values["findings", names.index(name), "threshold"] = f"{value:.{DIGITS}f}"
    for name, value in (boxes or {}).items():
        values["findings", names.index(name), "regions", "threshold"] = f"{value:.{DIGITS}f}"
    set_values(path, values)
