"""Measure the detector on labelled radiographs: presence in the image (AUC), and where (fROC, average precision); fit
its calibration.
"""

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

from bundles.chest_radiograph.scripts.network import CLASSES
from bundles.chest_radiograph.scripts.truth import known_boxes
from bundles.common.calibration import Cut, write_calibration, write_thresholds
from bundles.common.fitting import LEAST, MOST, fit_finding
from bundles.common.metrics import (
    ImageBoxes,
    Interval,
    at_score,
    image_boxes,
    mean_average_precision,
    measure_froc,
    score_at_rate,
)
from bundles.common.metrics.examples import Example
from bundles.common.metrics.report import Evaluation
from bundles.common.metrics.writing import CARD, About, Cases, write_evaluation
from bundles.common.radiograph.evaluation import service_point
from bundles.common.radiograph.placement import Placement

log = structlog.get_logger()

# The service's name of each finding.
FINDING_OF = {"lesion": "lung_lesion", "pneumothorax": "pneumothorax"}
# Boxes of examples, where no cut has been chosen.
SHOWN_SCORE = 0.3
Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What came out for some images, and the truth.

    Attributes:
        patients: (images,) names.
        logits: (images, classes), as the network gives them.
        probabilities: (images, classes).
        labels: (images, classes) 0, 1, or NaN where nobody said.
        boxes: For each class the boxes of every image in pixels of the source, None where not all true ones are known.
        examples: A few images with boxes, in pixels of the input.
        names: (images,) as the datalist writes them.
    """

    patients: tuple[str, ...]
    logits: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    labels: NDArray[np.float64]
    boxes: Mapping[str, tuple[ImageBoxes | None, ...]]
    examples: tuple[Example, ...]
    names: tuple[str, ...] = ()

    def known(self, name: str) -> list[ImageBoxes]:
        """The images whose true boxes of a class are all known."""
        return [image for image in self.boxes[name] if image is not None]


def run_over(
    network: nn.Module,
    inferer: Inferer,
    dataset: Iterable[Item],
    postprocessing: Transform,
    device: torch.device,
    *,
    examples: int = 0,
    cuts: Mapping[str, Cut] | None = None,
) -> Measured:
    """Run the network over items of `load_radiographs` after preprocessing.

    Args:
        network: The detector.
        inferer: Calls it.
        dataset: The items.
        postprocessing: `Detectionsd`, weak boxes too.
        device: Of the network.
        examples: So many of the first images are kept for the sheet.
        cuts: The service's: examples show boxes from these scores.
    """
    network.eval()
    patients, names, logits, probabilities, labels = [], [], [], [], []
    boxes: dict[str, list[ImageBoxes | None]] = {name: [] for name in CLASSES}
    shown: list[Example] = []
    for item in track(dataset, description="radiographs"):
        with torch.inference_mode():
            outputs = inferer(inputs=item["image"][None].to(device), network=network)
        found = postprocessing({**item, "pred": {name: value[0] for name, value in outputs.items()}})
        patients.append(str(item["patient"]))
        names.append(str(item["name"]))
        logits.append(found["pred"]["image"].tolist())
        probabilities.append(found["probabilities"].tolist())
        labels.append(item["labels"])
        for name, one in _boxes(item, found).items():
            boxes[name].append(one)
        if len(shown) < examples and not item.get("moved"):
            shown.append(_example(item, found, cuts or {}))
    return Measured(
        patients=tuple(patients),
        logits=np.array(logits),
        probabilities=np.array(probabilities),
        labels=np.array(labels, dtype=np.float64),
        boxes={name: tuple(each) for name, each in boxes.items()},
        examples=tuple(shown),
        names=tuple(names),
    )


def fit(
    measured: Measured, *, bundle_root: str, weights: str, data: str, false_boxes: float, min_iou: float = 0.5
) -> None:
    """Fit Platt scaling and operating points on validation images; write them down.

    A finding is present where the calibrated probability reaches the point at which sensitivity and specificity are
    equal. Its boxes are shown from the score at which so many are false in an image, over all images. It goes into
    `configs/calibration.yaml` and the thresholds of `configs/service.yaml`.

    Args:
        measured: On validation images.
        bundle_root: Folder of the bundle.
        weights: That gave the logits.
        data: The images, by name.
        false_boxes: False positives per image.
        min_iou: Overlap with a true box from which a detection is right.

    Raises:
        ValueError: One of the classes is shown by all images, or by none; or no image has all boxes known.
    """
    scale, points, boxes = {}, {}, {}
    for k, name in enumerate(CLASSES):
        fitted = fit_finding(measured.logits[:, k], measured.labels[:, k])
        scale[name], points[FINDING_OF[name]] = fitted.scale, fitted.threshold
        froc = measure_froc(measured.known(name), min_iou=min_iou, replicates=0)
        score = score_at_rate(froc, false_boxes)
        boxes[FINDING_OF[name]] = min(max(score, LEAST), MOST)
        found, false = at_score(froc, score)
        log.info(
            "fitted",
            finding=name,
            threshold=round(fitted.threshold, 4),
            sensitivity=round(fitted.point.sensitivity, 3),
            specificity=round(fitted.point.specificity, 3),
            box_score=round(score, 4),
            boxes_found=round(found, 3),
            false_boxes=round(false, 3),
        )
    write_calibration(Path(bundle_root), scale, len(measured.patients), data=data, weights=weights)
    write_thresholds(Path(bundle_root), points, boxes)


def evaluate(
    measured: Measured,
    cuts: Mapping[str, Cut],
    what: About,
    *,
    output_dir: str,
    min_iou: float,
    replicates: int,
) -> Evaluation:
    """Write JSON, pictures and the model card's section, and print that section.

    Args:
        measured: On other images than those that cuts were chosen on.
        cuts: The service's, by its names of findings; none before anything was fitted.
        what: Is measured.
        output_dir: Is made.
        min_iou: Overlap with a true box from which a detection is right.
        replicates: Of the bootstrap over patients.
    """
    folder = Path(output_dir)
    boxes = {name: measured.known(name) for name in CLASSES if measured.known(name)}
    together = _mean_precision(measured, min_iou, replicates)
    extra = {
        **what.extra,
        "mean_average_precision": together,
        "boxed_images": {name: _counts(images) for name, images in boxes.items()},
    }
    notes = (*what.notes, *_mean_note(together, min_iou), *_cut_notes(boxes, cuts, min_iou))
    evaluation = write_evaluation(
        folder,
        About(what.bundle, what.weights_sha256, what.data, what.created, notes, extra),
        classification={name: _cases(measured, k, cuts) for k, name in enumerate(CLASSES) if _labelled(measured, k)},
        detection=boxes,
        examples=measured.examples,
        min_iou=min_iou,
        replicates=replicates,
    )
    Console().print((folder / CARD).read_text(encoding="utf-8"), markup=False, highlight=False)
    log.info("evaluation_written", folder=str(folder))
    return evaluation


def _boxes(item: Item, found: Item) -> dict[str, ImageBoxes | None]:
    if item.get("moved"):
        return dict.fromkeys(CLASSES)
    true, kinds = np.array(item["boxes"]).reshape(-1, 4), torch.tensor(item["classes"], dtype=torch.int64)
    known = known_boxes(torch.tensor(item["labels"]), kinds, boxed=item["boxed"])
    return {
        name: image_boxes(
            item["patient"],
            found["boxes"][found["classes"] == k],
            found["scores"][found["classes"] == k],
            true[kinds.numpy() == k],
        )
        if known[k]
        else None
        for k, name in enumerate(CLASSES)
    }


def _labelled(measured: Measured, k: int) -> bool:
    return not bool(np.isnan(measured.labels[:, k]).all())


def _cases(measured: Measured, k: int, cuts: Mapping[str, Cut]) -> Cases:
    known = ~np.isnan(measured.labels[:, k])
    return Cases(
        measured.probabilities[known, k],
        measured.labels[known, k] >= 0.5,
        np.array(measured.patients)[known],
        service_point(cuts, FINDING_OF[CLASSES[k]]),
        [name for name, there in zip(measured.names, known, strict=True) if there] if measured.names else None,
    )


def _counts(images: list[ImageBoxes]) -> dict[str, int]:
    having = sum(bool(len(image.truth)) for image in images)
    return {"with": having, "without": len(images) - having}


def _mean_precision(measured: Measured, min_iou: float, replicates: int) -> dict[str, Any] | None:
    """Mean average precision over the classes, on images whose boxes of every class are known; None without any."""
    every = [one for one in zip(*(measured.boxes[name] for name in CLASSES), strict=True) if None not in one]
    classes = {name: [one[k] for one in every] for k, name in enumerate(CLASSES)}
    images: dict[str, list[ImageBoxes]] = {
        name: [one for one in column if one is not None] for name, column in classes.items()
    }
    if not every:
        return None
    mean: Interval = mean_average_precision(images, min_iou=min_iou, replicates=replicates).mean
    return {"value": mean.value, "low": mean.low, "high": mean.high, "images": len(every)}


def _mean_note(mean: Mapping[str, Any] | None, min_iou: float) -> tuple[str, ...]:
    if mean is None or np.isnan(mean["value"]):
        return ()
    ends = f" ({mean['low']:.3f} to {mean['high']:.3f})" if np.isfinite(mean["low"]) else ""
    return (f"Mean average precision of both classes at an overlap of {min_iou:g}: {mean['value']:.3f}{ends}.",)


def _cut_notes(boxes: Mapping[str, list[ImageBoxes]], cuts: Mapping[str, Cut], min_iou: float) -> tuple[str, ...]:
    """What the boxes are worth that the service shows."""
    notes = []
    for name, images in boxes.items():
        cut = cuts.get(FINDING_OF[name])
        if cut is None or cut.box is None or not any(len(image.truth) for image in images):
            continue
        found, false = at_score(measure_froc(images, min_iou=min_iou, replicates=0), cut.box)
        notes.append(
            f"Boxes of {name} that the service can show (score {cut.box:.2f} or more): {100 * found:.0f} % of all are "
            f"found, with {false:.2f} false ones per image."
        )
    return tuple(notes)


def _example(item: Item, found: Item, cuts: Mapping[str, Cut]) -> Example:
    placement = Placement.from_tensor(item["placement"])
    rows, columns = placement.scaled
    least = [cuts[name].box if name in cuts else None for name in FINDING_OF.values()]
    shown = [
        index
        for index, (score, kind) in enumerate(zip(found["scores"].tolist(), found["classes"].tolist(), strict=True))
        if score >= (SHOWN_SCORE if least[kind] is None else least[kind])
    ]
    truth = torch.tensor(item["boxes"], dtype=torch.float64).reshape(-1, 4)
    present = [name for name, label in zip(CLASSES, item["labels"], strict=True) if label >= 0.5]
    called = ", ".join(f"{value:.2f}" for value in found["probabilities"].tolist())
    return Example(
        image=item["image"].as_tensor()[0, :rows, :columns].numpy(),
        title=f"{' and '.join(present) or 'neither'}; called {called}",
        truth=placement.to_input(truth).tolist(),
        boxes=placement.to_input(found["boxes"][shown]).tolist(),
        scores=found["scores"][shown].tolist(),
    )
