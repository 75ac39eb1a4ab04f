"""Measure the classifier on labelled radiographs: accuracy, specificity, recall and AUROC with intervals, and whether
Grad-CAM points at the fracture where somebody drew it (the pointing game, Zhang et al. 2018).
"""

from collections.abc import Iterable, Mapping, Sequence
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

from bundles.common.calibration import write_calibration, write_thresholds
from bundles.common.fitting import fit_finding
from bundles.common.metrics import clopper_pearson
from bundles.common.metrics.examples import Example
from bundles.common.metrics.report import Evaluation
from bundles.common.metrics.writing import CARD, About, Cases, write_evaluation
from bundles.common.radiograph.placement import Placement

log = structlog.get_logger()

# The service's name of the finding.
SERVICE_FINDING = "wrist_fracture"
MIDDLE = 0.5
Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What came out for some images, and the truth.

    Attributes:
        patients: (images,) names.
        logits: (images,), as the network gives them.
        probabilities, labels: (images,).
        pointed: For each image with boxes of the finding, whether the hottest point of Grad-CAM lies in one of them;
            False where nothing spoke for a fracture.
        examples: A few images with heat, region and boxes, in pixels of the input.
        names: (images,) as the datalist writes them.
    """

    patients: tuple[str, ...]
    logits: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    labels: NDArray[np.float64]
    pointed: tuple[bool, ...]
    examples: tuple[Example, ...]
    names: tuple[str, ...] = ()


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
    patients, names, logits, probabilities, labels, pointed = [], [], [], [], [], []
    shown: list[Example] = []
    for item in track(dataset, description="radiographs"):
        found = postprocessing({**item, "pred": _looked(network, inferer, item, device)})
        logits.append(float(found["pred"]["logits"]))
        patients.append(str(item["patient"]))
        names.append(str(item["name"]))
        probabilities.append(float(found["probabilities"][0]))
        labels.append(float(item["label"]))
        if item["boxes"]:
            pointed.append(points_at(found["pointed"].tolist(), item["boxes"]))
        if len(shown) < examples:
            shown.append(_example(item, found))
    scores, truth = np.array(probabilities), np.array(labels)
    return Measured(tuple(patients), np.array(logits), scores, truth, tuple(pointed), tuple(shown), tuple(names))


def fit(measured: Measured, *, finding: str, bundle_root: str, weights: str, data: str) -> None:
    """Fit Platt scaling and the operating point (sensitivity = specificity) on validation images; write them down.

    They go into `configs/calibration.yaml` and the threshold of `configs/service.yaml`.

    Raises:
        ValueError: All show a fracture, or none does.
    """
    fitted = fit_finding(measured.logits, measured.labels)
    write_calibration(Path(bundle_root), {finding: fitted.scale}, fitted.cases, data=data, weights=weights)
    write_thresholds(Path(bundle_root), {SERVICE_FINDING: fitted.threshold})
    point = fitted.point
    log.info("calibration_written", images=fitted.cases, threshold=round(fitted.threshold, 4), scale=fitted.scale)
    log.info("on_these_images", sensitivity=round(point.sensitivity, 3), specificity=round(point.specificity, 3))


def evaluate(
    measured: Measured,
    thresholds: Mapping[str, float],
    what: About,
    *,
    output_dir: str,
    finding: str,
    replicates: int,
) -> Evaluation:
    """Write JSON, pictures and the model card's section, and print that section.

    Args:
        measured: On other images than those that thresholds were chosen on.
        thresholds: Operating points by name; a probability of 0.5 is measured beside them.
        what: Is measured.
        output_dir: Is made.
        finding: The label that was learned.
        replicates: Of the bootstrap over patients.
    """
    points = {**thresholds, "probability 0.5": MIDDLE}
    truth, patients = measured.labels >= MIDDLE, np.array(measured.patients)
    cases = Cases(measured.probabilities, truth, patients, points, measured.names or None)
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


def points_at(points: Sequence[Sequence[float]], boxes: Sequence[Sequence[float]]) -> bool:
    """Whether the first point (x, y) lies in a box; False without a point."""
    return any(left <= x <= right and top <= y <= bottom for x, y in points[:1] for left, top, right, bottom in boxes)


def _looked(network: nn.Module, inferer: Inferer, item: Item, device: torch.device) -> dict[str, torch.Tensor]:
    with torch.inference_mode():
        batch: dict[str, torch.Tensor] = inferer(inputs=item["image"][None].to(device), network=network)
    return {name: value[0] for name, value in batch.items()}


def _pointing(measured: Measured) -> dict[str, Any] | None:
    if not measured.pointed:
        return None
    hits, images = sum(measured.pointed), len(measured.pointed)
    share = clopper_pearson(hits, images)
    return {"value": share.value, "low": share.low, "high": share.high, "images_with_boxes": images}


def _pointing_note(measured: Measured) -> tuple[str, ...]:
    found = _pointing(measured)
    if found is None:
        return ()
    share, low, high = (100 * found[key] for key in ("value", "low", "high"))
    images = found["images_with_boxes"]
    said = f"The hottest point of Grad-CAM lies in a true box on {share:.0f} % ({low:.0f} to {high:.0f}, exact)"
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
