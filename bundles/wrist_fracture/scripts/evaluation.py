"""Measure the classifier on labelled radiographs: accuracy, specificity, recall and AUROC with intervals, and whether
Grad-CAM points at the fracture where somebody drew it.
"""

import datetime as dt
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
from torch import nn

from bundles.common.manifest import sha256_of
from bundles.common.metrics import balanced_threshold, clopper_pearson
from bundles.common.metrics.examples import Example
from bundles.common.metrics.report import Evaluation
from bundles.common.metrics.writing import CARD, About, Cases, write_evaluation
from bundles.common.radiograph.datalist import SECTIONS, read_datalist
from bundles.common.radiograph.placement import Placement

log = structlog.get_logger()

BUNDLE = "wrist_fracture"
MIDDLE = 0.5
Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Threshold:
    """An operating point that was not chosen on the cases it is measured on.

    Attributes:
        name: Where it comes from.
        value: Probabilities at or above it are called a fracture.
    """

    name: str
    value: float


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What came out for some images, and the truth.

    Attributes:
        patients: (images,) names.
        probabilities, labels: (images,).
        pointed: For each image with boxes of the finding, whether the middle of the region lies in one of them; False
            where there is no region.
        examples: A few images with heat, region and boxes, in pixels of the input.
    """

    patients: tuple[str, ...]
    probabilities: NDArray[np.float64]
    labels: NDArray[np.float64]
    pointed: tuple[bool, ...]
    examples: tuple[Example, ...]


def run_over(
    network: nn.Module,
    inferer: Inferer,
    dataset: Iterable[Item],
    postprocessing: Transform,
    device: torch.device,
    *,
    examples: int = 0,
) -> Measured:
    """Run the network over items of `load_wrists` after preprocessing; the first images become examples."""
    network.eval()
    patients, probabilities, labels, pointed = [], [], [], []
    shown: list[Example] = []
    for item in track(dataset, description="radiographs"):
        found = postprocessing({**item, "pred": _logit(network, inferer, item, device)})
        patients.append(str(item["patient"]))
        probabilities.append(float(found["probabilities"][0]))
        labels.append(float(item["label"]))
        if item["boxes"]:
            pointed.append(points_at(found["boxes"].tolist(), item["boxes"]))
        if len(shown) < examples:
            shown.append(_example(item, found))
    return Measured(tuple(patients), np.array(probabilities), np.array(labels), tuple(pointed), tuple(shown))


def choose_threshold(network: nn.Module, inferer: Inferer, dataset: Iterable[Item], device: torch.device) -> Threshold:
    """The probability at which sensitivity and specificity are equal on these images.

    Raises:
        ValueError: All show a fracture, or none does.
    """
    network.eval()
    items = [
        (float(_logit(network, inferer, item, device).float().sigmoid()), float(item["label"]))
        for item in track(dataset, description="operating point")
    ]
    scores, labels = (np.array(column) for column in zip(*items, strict=True))
    value = balanced_threshold(scores, labels >= MIDDLE)
    return Threshold("sensitivity = specificity on validation", min(max(value, 0.0), 1.0))


def about(weights: str, datalist: str, section: str, data: str | None = None) -> About:
    """What is measured, for the report.

    Args:
        weights: File.
        datalist: Of the images.
        section: Which of them.
        data: Their name; None takes the datalist's. Phantoms are called so either way.
    """
    content = read_datalist(datalist, BUNDLE)
    rows = [row for name in SECTIONS for row in content.get(name) or []]
    drawn = any(str(row.get("patient")).startswith("PHANTOM-") for row in rows)
    name = data or f"{content.get('name', Path(datalist).parent.name)}, {section}"
    if drawn and not name.lower().startswith("phantom"):
        name = f"phantom: {name}"
    return About(BUNDLE, sha256_of(Path(weights)), name, dt.datetime.now(tz=dt.UTC).date().isoformat())


def evaluate(
    measured: Measured, chosen: Threshold, what: About, *, output_dir: str, finding: str, replicates: int
) -> Evaluation:
    """Write JSON, pictures and the model card's section, and print that section."""
    thresholds = {chosen.name: chosen.value}
    if chosen.value != MIDDLE:
        thresholds["probability 0.5"] = MIDDLE
    cases = Cases(measured.probabilities, measured.labels >= MIDDLE, np.array(measured.patients), thresholds)
    folder = Path(output_dir)
    extra = {**what.extra, "grad_cam": _pointing(measured)}
    notes = (*what.notes, *_pointing_note(measured))
    written = About(what.bundle, what.weights_sha256, what.data, what.created, notes, extra)
    evaluation = write_evaluation(
        folder, written, classification={finding: cases}, examples=measured.examples, replicates=replicates
    )
    Console().print((folder / CARD).read_text(encoding="utf-8"), markup=False, highlight=False)
    log.info("evaluation_written", folder=str(folder))
    return evaluation


def points_at(regions: list[list[float]], boxes: list[list[float]]) -> bool:
    """Whether the middle of the first region lies in a box; False without a region."""
    for x0, y0, x1, y1 in regions[:1]:
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        return any(left <= x <= right and top <= y <= bottom for left, top, right, bottom in boxes)
    return False


def _logit(network: nn.Module, inferer: Inferer, item: Item, device: torch.device) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = inferer(inputs=item["image"][None].to(device), network=network)
    return logits[0]


def _pointing(measured: Measured) -> dict[str, Any] | None:
    if not measured.pointed:
        return None
    hits, images = sum(measured.pointed), len(measured.pointed)
    share = clopper_pearson(hits, images)
    return {"middle_in_a_box": share.value, "low": share.low, "high": share.high, "images_with_boxes": images}


def _pointing_note(measured: Measured) -> tuple[str, ...]:
    found = _pointing(measured)
    if found is None:
        return ()
    share, low, high = (100 * found[key] for key in ("middle_in_a_box", "low", "high"))
    images = found["images_with_boxes"]
    said = f"The middle of the Grad-CAM region lies in a true box on {share:.0f} % ({low:.0f} to {high:.0f}, exact)"
    return (f"{said} of {images} images with boxes.",)


def _example(item: Item, found: Item) -> Example:
    placement = Placement.from_tensor(item["placement"])
    rows, columns = placement.scaled
    truth = placement.to_input(torch.tensor(item["boxes"], dtype=torch.float64).reshape(-1, 4))
    word = "fracture" if item["label"] >= MIDDLE else "no fracture"
    return Example(
        image=item["image"].as_tensor()[0, :rows, :columns].numpy(),
        title=f"{word}, called {float(found['probabilities'][0]):.2f}",
        truth=truth.tolist(),
        boxes=placement.to_input(found["boxes"]).tolist(),
        scores=found["scores"].tolist(),
        heat=found["heat"][:rows, :columns].numpy(),
    )
