"""Measure the detector on labelled radiographs: presence in the image (AUC), and where (fROC, average precision)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import structlog
import torch
from monai.inferers import Inferer
from monai.transforms import Transform
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn

from bundles.chest_radiograph.scripts.network import CLASSES
from bundles.chest_radiograph.scripts.truth import known_boxes
from bundles.common.metrics import ImageBoxes, bootstrap_auc, image_boxes, mean_average_precision, measure_froc

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What came out for some images, and the truth.

    Attributes:
        patients: (images,) index of the patient.
        probabilities: (images, classes).
        labels: (images, classes) 0, 1, or NaN where nobody said.
        boxes: For each class, the images whose boxes of it are all known, in pixels of the source.
    """

    patients: NDArray[np.intp]
    probabilities: NDArray[np.float64]
    labels: NDArray[np.float64]
    boxes: Mapping[str, list[ImageBoxes]]


def run_over(
    network: nn.Module,
    inferer: Inferer,
    dataset: Iterable[Mapping[str, Any]],
    postprocessing: Transform,
    device: torch.device,
) -> Measured:
    """Run the network over items of `load_radiographs` after preprocessing."""
    network.eval()
    patients, probabilities, labels = [], [], []
    boxes: dict[str, list[ImageBoxes]] = {name: [] for name in CLASSES}
    for item in track(dataset, description="radiographs"):
        with torch.inference_mode():
            outputs = inferer(inputs=item["image"][None].to(device), network=network)
        found = postprocessing({**item, "pred": {name: value[0] for name, value in outputs.items()}})
        patients.append(item["patient"])
        probabilities.append(found["probabilities"].tolist())
        labels.append(item["labels"])
        for name, one in _boxes(item, found).items():
            boxes[name].append(one)
    _, groups = np.unique(patients, return_inverse=True)
    return Measured(groups, np.array(probabilities), np.array(labels), boxes)


def _boxes(item: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, ImageBoxes]:
    true, kinds = np.array(item["boxes"]).reshape(-1, 4), torch.tensor(item["classes"], dtype=torch.int64)
    known = known_boxes(torch.tensor(item["labels"]), kinds, boxed=item["boxed"])
    return {
        name: image_boxes(
            item["patient"],
            found["boxes"][found["classes"] == k],
            found["scores"][found["classes"] == k],
            true[kinds.numpy() == k],
        )
        for k, name in enumerate(CLASSES)
        if known[k]
    }


def report_of(measured: Measured, min_iou: float, replicates: int) -> dict[str, Any]:
    """Figures with 95 % intervals over patients, as JSON takes them; null where one is not defined."""
    report: dict[str, Any] = {}
    for k, name in enumerate(CLASSES):
        known = ~np.isnan(measured.labels[:, k])
        truth = measured.labels[known, k] >= 0.5
        auc = bootstrap_auc(measured.probabilities[known, k], truth, measured.patients[known], replicates)
        report[f"{name}_auc"] = {
            **_interval(auc.value, auc.low, auc.high),
            "positives": auc.positives,
            "negatives": auc.negatives,
        }
        report.update(_where(name, measured.boxes[name], min_iou, replicates))
    return {**report, "min_iou": min_iou, "images": len(measured.labels)}


def _where(name: str, images: list[ImageBoxes], min_iou: float, replicates: int) -> dict[str, Any]:
    """Average of the free-response curve at the paper's nine rates, and average precision, of one class."""
    if not images:
        return {}
    froc = measure_froc(images, min_iou=min_iou, replicates=replicates)
    precision = mean_average_precision({name: images}, min_iou=min_iou, replicates=replicates).mean
    counts = {"positives": froc.findings, "images": froc.images}
    rates = dict(zip(map(str, froc.rates), map(_plain, froc.at_rates.tolist()), strict=True))
    average = froc.average
    return {
        f"{name}_froc": {**_interval(average.value, average.low, average.high), **counts, "sensitivity_at": rates},
        f"{name}_average_precision": {**_interval(precision.value, precision.low, precision.high), **counts},
    }


def evaluate(measured: Measured, *, output_dir: str, min_iou: float, replicates: int) -> dict[str, Any]:
    """Print a table and write `evaluation.json`."""
    report = report_of(measured, min_iou, replicates)
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluation.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    table = Table("figure", "value", "95 % interval", "with", title=f"{report['images']} radiographs")
    for name, figure in report.items():
        if isinstance(figure, dict):
            low, high = figure["low"], figure["high"]
            table.add_row(name, str(figure["value"]), f"{low} to {high}", str(figure["positives"]))
    Console().print(table)
    log.info("evaluation_written", folder=str(folder))
    return report


def _interval(value: float, low: float, high: float) -> dict[str, float | None]:
    return {"value": _plain(value), "low": _plain(low), "high": _plain(high)}


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
