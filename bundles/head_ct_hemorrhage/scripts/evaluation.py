"""Measure the network on labelled cases, beside a bright-pixel threshold, and fit its calibration."""

import json
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import structlog
import torch
from monai.inferers import Inferer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn

from bundles.common.calibration import read_calibration, service_cuts, write_calibration, write_thresholds
from bundles.common.manifest import sha256_of
from bundles.common.metrics import (
    Auc,
    Platt,
    area_under_roc,
    balanced_threshold,
    bootstrap,
    bootstrap_auc,
    fit_platt,
    known,
    sensitivity_specificity,
)
from bundles.head_ct_hemorrhage.scripts.network import TYPES
from bundles.head_ct_hemorrhage.scripts.postprocess import Probabilitiesd, slice_logits

log = structlog.get_logger()

Array = NDArray[np.float64]
# The service's finding of every output.
FINDING_OF = {
    "hemorrhage": "intracranial_hemorrhage",
    "subarachnoid": "subarachnoid_hemorrhage",
    "subdural": "subdural_hemorrhage",
    "epidural": "epidural_hemorrhage",
    "intraventricular": "intraventricular_hemorrhage",
    "intraparenchymal": "intraparenchymal_hemorrhage",
}


@dataclass(frozen=True, slots=True, eq=False)
class Outputs:
    """What came out for some cases, and the truth; NaN where a label is unknown.

    Attributes:
        hemorrhage: (cases,) logits.
        types: (cases, 5) logits.
        slices: (all source slices inside the boxes,) logits.
        bright: (cases,) the baseline's score.
        case_of_slice: (all source slices,) index of the case.
        true_hemorrhage, true_types, true_slices: The labels of the same shapes.
    """

    hemorrhage: Array
    types: Array
    slices: Array
    bright: Array
    case_of_slice: NDArray[np.intp]
    true_hemorrhage: Array
    true_types: Array
    true_slices: Array


def outputs_of(
    network: nn.Module, inferer: Inferer, dataset: Iterable[Mapping[str, Any]], device: torch.device
) -> Outputs:
    """Run the network over cases; those in which no brain is found raise, as in the service."""
    network.eval()
    rows: list[tuple[Array, ...]] = []
    for item in track(dataset, description="cases"):
        with torch.inference_mode():
            logits = inferer(inputs=item["image"][None].to(device), network=network)
        places = torch.as_tensor(item["slice_positions"])
        slices, inside = slice_logits(logits["slices"][0].float().cpu(), places)
        rows.append(
            (
                _array(logits["hemorrhage"]),
                _array(logits["types"]),
                _array(slices[inside]),
                np.array([item["bright_share"]]),
                _labels(item.get("label"), 1),
                _labels(item.get("types"), len(TYPES)),
                _labels(item.get("slices"), len(places))[inside.numpy()],
            )
        )
    columns = list(zip(*rows, strict=True))
    counts = [len(row[2]) for row in rows]
    return Outputs(
        hemorrhage=np.concatenate(columns[0]),
        types=np.stack(columns[1]),
        slices=np.concatenate(columns[2]),
        bright=np.concatenate(columns[3]),
        case_of_slice=np.repeat(np.arange(len(rows)), counts),
        true_hemorrhage=np.concatenate(columns[4]),
        true_types=np.stack(columns[5]),
        true_slices=np.concatenate(columns[6]),
    )


def areas(outputs: Outputs, replicates: int) -> dict[str, Auc]:
    """Area under the ROC curve of every output, of the mean over the types, and of the baseline."""
    measured = {"hemorrhage": _known_auc(outputs.hemorrhage, outputs.true_hemorrhage, None, replicates)}
    for index, name in enumerate(TYPES):
        measured[name] = _known_auc(outputs.types[:, index], outputs.true_types[:, index], None, replicates)
    measured["types_mean"] = _mean_over_types(outputs, replicates)
    measured["slices"] = _known_auc(outputs.slices, outputs.true_slices, outputs.case_of_slice, replicates)
    measured["bright_pixel_baseline"] = _known_auc(outputs.bright, outputs.true_hemorrhage, None, replicates)
    return measured


def evaluate(
    network: nn.Module,
    inferer: Inferer,
    dataset: Iterable[Mapping[str, Any]],
    device: torch.device,
    *,
    bundle_root: str,
    weights: str,
    output_dir: str,
    replicates: int = 1000,
) -> dict[str, Any]:
    """Print a table and write `evaluation.json`: areas with counts and 95 % intervals, and the operating point."""
    outputs = outputs_of(network, inferer, dataset, device)
    measured = areas(outputs, replicates)
    report: dict[str, Any] = {name: _rounded(asdict(area)) for name, area in measured.items()}
    report["weights_sha256"] = sha256_of(Path(weights))
    operating = _operating_point(outputs, bundle_root, weights)
    if operating:
        report["operating_point"] = operating
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluation.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    Console().print(_table(measured))
    log.info("evaluation_written", folder=str(folder), **operating)
    return report


def fit(
    network: nn.Module,
    inferer: Inferer,
    dataset: Iterable[Mapping[str, Any]],
    device: torch.device,
    *,
    bundle_root: str,
    weights: str,
) -> None:
    """Fit Platt scaling and operating points (sensitivity = specificity) on validation cases; write them down.

    Types share one scaling, because single types are rare. Writes `configs/calibration.yaml` and the thresholds of
    `configs/service.yaml`.
    """
    outputs = outputs_of(network, inferer, dataset, device)
    tasks = {
        "hemorrhage": (outputs.hemorrhage, outputs.true_hemorrhage),
        "types": (outputs.types.ravel(), outputs.true_types.ravel()),
        "slices": (outputs.slices, outputs.true_slices),
    }
    scale = {name: _known(fit_platt, logits, truth) for name, (logits, truth) in tasks.items()}
    thresholds = {"hemorrhage": _threshold(outputs.hemorrhage, outputs.true_hemorrhage, scale["hemorrhage"])}
    for index, name in enumerate(TYPES):
        thresholds[name] = _threshold(outputs.types[:, index], outputs.true_types[:, index], scale["types"])
    write_calibration(Path(bundle_root), scale, len(outputs.hemorrhage), weights=weights)
    write_thresholds(Path(bundle_root), {FINDING_OF[name]: value for name, value in thresholds.items()})
    log.info("calibration_written", cases=len(outputs.hemorrhage), **thresholds)


def _operating_point(outputs: Outputs, bundle_root: str, weights: str) -> dict[str, float]:
    cuts = service_cuts(bundle_root, weights)
    if not cuts:
        return {}
    threshold = cuts[FINDING_OF["hemorrhage"]].probability
    item: dict[Hashable, Any] = {"pred": _as_prediction(outputs.hemorrhage), "slice_positions": torch.zeros(1)}
    probabilities = Probabilitiesd(read_calibration(bundle_root, weights))(item)["hemorrhage"].numpy()
    labelled = known(outputs.true_hemorrhage)
    truth = outputs.true_hemorrhage[labelled] >= 0.5
    sensitivity, specificity = sensitivity_specificity(probabilities[labelled], truth, threshold)
    return _rounded({"threshold": threshold, "sensitivity": sensitivity, "specificity": specificity})


def _as_prediction(hemorrhage: Array) -> dict[str, torch.Tensor]:
    return {"hemorrhage": torch.from_numpy(hemorrhage), "types": torch.zeros(len(TYPES)), "slices": torch.zeros(1)}


def _threshold(logits: Array, truth: Array, scale: Platt) -> float:
    labelled = known(truth)
    return float(np.clip(balanced_threshold(scale.apply(logits[labelled]), truth[labelled] >= 0.5), 0.02, 0.98))


def _known(function: Callable[..., Any], scores: Array, truth: Array) -> Any:
    labelled = known(truth)
    return function(scores[labelled], truth[labelled] >= 0.5)


def _known_auc(scores: Array, truth: Array, groups: NDArray[np.intp] | None, replicates: int) -> Auc:
    labelled = known(truth)
    cases = None if groups is None else groups[labelled]
    return bootstrap_auc(scores[labelled], truth[labelled] >= 0.5, cases, replicates)


def _mean_over_types(outputs: Outputs, replicates: int) -> Auc:
    """Mean of the five areas; every bootstrap replicate draws cases and averages anew."""

    def mean_area(cases: NDArray[np.intp]) -> float:
        each = [
            _known(area_under_roc, outputs.types[cases, index], outputs.true_types[cases, index])
            for index in range(len(TYPES))
        ]
        return float(np.nanmean(each)) if not np.isnan(each).all() else float("nan")

    mean = bootstrap(mean_area, len(outputs.types), replicates=replicates)
    labels = outputs.true_types[known(outputs.true_types)]
    return Auc(mean.value, mean.low, mean.high, int(labels.sum()), int((labels == 0).sum()))


def _table(measured: Mapping[str, Auc]) -> Table:
    table = Table("output", "AUC", "95 % interval", "with", "without", title="Area under the ROC curve")
    for name, area in measured.items():
        interval = f"{area.low:.3f} to {area.high:.3f}"
        table.add_row(name, f"{area.value:.3f}", interval, str(area.positives), str(area.negatives))
    return table


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: (None if np.isnan(value) else round(value, 4)) if isinstance(value, float) else value
        for name, value in values.items()
    }


def _array(tensor: torch.Tensor) -> Array:
    return tensor.float().cpu().numpy().astype(np.float64).reshape(-1)


def _labels(value: Any, length: int) -> Array:
    return np.full(length, np.nan) if value is None else np.asarray(value, dtype=np.float64).reshape(-1)
