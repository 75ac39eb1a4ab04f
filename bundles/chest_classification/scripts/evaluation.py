"""Measure the classifier on labelled radiographs: AUROC and average precision of every class with intervals, the
confusion of classes; fit its calibration. What two evaluations need to be compared is kept without names.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import structlog
import torch
from monai.inferers import Inferer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch import nn

from bundles.chest_classification.scripts.findings import FINDINGS
from bundles.chest_classification.scripts.task import Task, probabilities, scaled
from bundles.common.calibration import SERVICE, Cut, write_calibration, write_thresholds
from bundles.common.contract import load_service
from bundles.common.fitting import LEAST, MOST, fit_finding
from bundles.common.metrics import area_under_roc, at_balance, bootstrap, confusion_matrix, fit_softmax_temperature
from bundles.common.metrics.examples import Example
from bundles.common.metrics.report import Evaluation
from bundles.common.metrics.writing import CARD, About, Cases, write_evaluation
from bundles.common.radiograph.evaluation import service_point

log = structlog.get_logger()

MIDDLE = 0.5
CASES, CONFUSION = "cases.json", "confusion.md"
Item = Mapping[str, Any]
Scale = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What came out for some images, and the truth.

    Attributes:
        classes: Names.
        task: What they mean.
        names, patients: (images,).
        logits: (images, classes), as the network gives them.
        probabilities: (images, classes), calibrated where there is a calibration.
        labels: (images, classes) 0, 1, or NaN where nobody said.
    """

    classes: tuple[str, ...]
    task: Task
    names: tuple[str, ...]
    patients: tuple[str, ...]
    logits: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    labels: NDArray[np.float64]

    def named(self, values: NDArray[np.float64]) -> list[str]:
        """The class of the largest value in each row."""
        return [self.classes[int(place)] for place in values.argmax(axis=1)]


def run_over(  # noqa: PLR0917
    network: nn.Module,
    inferer: Inferer,
    dataset: Iterable[Item],
    device: torch.device,
    task: str,
    classes: Sequence[str],
    scale: Scale | None = None,
) -> Measured:
    """Run the network over items of `load_chests` after preprocessing.

    Args:
        network: The classifier.
        inferer: Calls it; gives logits (1, classes).
        dataset: The items.
        device: Of the network.
        task: What the outputs mean.
        classes: Their names.
        scale: Factor and offset of logits, by class.
    """
    network.eval()
    how, names, patients, labels = Task.parse(task), [], [], []
    logits: list[torch.Tensor] = []
    for item in track(dataset, description="radiographs"):
        with torch.inference_mode():
            logits.append(inferer(inputs=item["image"][None].to(device), network=network)[0].float().cpu())
        names.append(str(item["name"]))
        patients.append(str(item["patient"]))
        labels.append(item["labels"])
    stacked = torch.stack(logits).double()
    calibrated = scaled(stacked, [(scale or {}).get(name, (1.0, 0.0)) for name in classes])
    return Measured(
        classes=tuple(classes),
        task=how,
        names=tuple(names),
        patients=tuple(patients),
        logits=stacked.numpy(),
        probabilities=probabilities(calibrated, how).numpy(),
        labels=np.array(labels, dtype=np.float64),
    )


def fit(measured: Measured, *, bundle_root: str, weights: str, data: str) -> None:
    """Fit calibration and operating points (sensitivity = specificity) on validation images; write them down.

    Several findings get Platt scaling each, one class of several a temperature for all (Guo et al. 2017). It goes into
    `configs/calibration.yaml`, and the thresholds of what is served into `configs/service.yaml`.

    Raises:
        ValueError: One of the classes is shown by all images, or by none.
    """
    scale, cuts = _fitted(measured)
    root = Path(bundle_root)
    write_calibration(root, scale, len(measured.patients), data=data, weights=weights)
    served = {output.finding for output in load_service(root).findings} if (root / SERVICE).is_file() else set()
    thresholds = {service_name(name): cut for name, cut in cuts.items() if service_name(name) in served}
    write_thresholds(root, thresholds)
    silent = sorted(set(measured.classes) - {name for name in cuts if service_name(name) in served})
    log.info("calibration_written", images=len(measured.patients), served=sorted(thresholds), not_served=silent)


def evaluate(
    measured: Measured,
    thresholds: Mapping[str, Mapping[str, float]],
    what: About,
    examples: Sequence[Example] = (),
    *,
    output_dir: str,
    replicates: int,
) -> Evaluation:
    """Write JSON, pictures, cases without names, the confusion and the model card's section; print that section.

    Args:
        measured: On other images than those that thresholds were chosen on.
        thresholds: By class, operating points by name.
        what: Is measured.
        examples: For the sheet.
        output_dir: Is made.
        replicates: Of the bootstrap over patients.
    """
    folder = Path(output_dir)
    extra, notes = dict(what.extra), list(what.notes)
    mean = mean_area(measured, replicates)
    extra["task"], extra["mean_auroc"] = measured.task.value, mean
    notes.append(f"Mean AUROC of {len(measured.classes)} classes: {_shown(mean)}.")
    if measured.task is Task.MULTI_CLASS:
        extra["accuracy"], extra["confusion"] = _accuracy(measured, replicates), _confusion(measured)
        notes.append(f"Accuracy of the likeliest class: {_shown(extra['accuracy'])}. The confusion is in {CONFUSION}.")
    evaluation = write_evaluation(
        folder,
        About(what.bundle, what.weights_sha256, what.data, what.created, tuple(notes), extra),
        classification={
            name: _cases(measured, place, thresholds.get(name, {})) for place, name in enumerate(measured.classes)
        },
        examples=examples,
        replicates=replicates,
    )
    write_cases(folder / CASES, measured)
    if measured.task is Task.MULTI_CLASS:
        (folder / CONFUSION).write_text(confusion_table(extra["confusion"], measured.classes), encoding="utf-8")
    Console().print((folder / CARD).read_text(encoding="utf-8"), markup=False, highlight=False)
    log.info("evaluation_written", folder=str(folder))
    return evaluation


def service_points(cuts: Mapping[str, Cut], classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """The service's operating points by our names; none before anything was fitted."""
    return {name: service_point(cuts, service_name(name)) for name in classes}


def service_name(name: str) -> str:
    """A class as the service calls it; "" where it cannot be served."""
    return FINDINGS[name].service if name in FINDINGS else ""


def mean_area(measured: Measured, replicates: int) -> dict[str, float]:
    """Mean AUROC over the classes that have both sorts of images, with its interval over patients."""

    def mean(chosen: NDArray[np.intp]) -> float:
        areas = []
        for place in range(len(measured.classes)):
            labels, values = measured.labels[chosen, place], measured.probabilities[chosen, place]
            known = ~np.isnan(labels)
            areas.append(area_under_roc(values[known], labels[known] >= MIDDLE) if known.any() else float("nan"))
        return float(np.nanmean(areas)) if not np.isnan(areas).all() else float("nan")

    return _plain(bootstrap(mean, len(measured.patients), np.array(measured.patients), replicates))


def write_cases(path: Path, measured: Measured) -> None:
    """Truth and probabilities of every image, in order; patients become numbers, and of all names one hash is kept."""
    numbers = {patient: number for number, patient in enumerate(dict.fromkeys(measured.patients))}
    content = {
        "images_sha256": hashlib.sha256("\n".join(measured.names).encode()).hexdigest(),
        "task": measured.task.value,
        "classes": list(measured.classes),
        "cases": [
            {
                "patient": numbers[measured.patients[place]],
                "truth": [None if np.isnan(value) else int(value) for value in measured.labels[place]],
                "probabilities": [round(float(value), 6) for value in measured.probabilities[place]],
            }
            for place in range(len(measured.names))
        ],
    }
    path.write_text(json.dumps(content, allow_nan=False) + "\n", encoding="utf-8")


def confusion_table(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """A confusion as a Markdown table: rows are the truth, columns what was said."""
    words = [name.replace("_", " ") for name in classes]
    lines = [f"| Truth | {' | '.join(words)} |", f"|{'---|' * (len(words) + 1)}"]
    lines += [f"| {word} | {' | '.join(str(n) for n in row)} |" for word, row in zip(words, matrix, strict=True)]
    return "\n".join(lines) + "\n"


def _fitted(measured: Measured) -> tuple[dict[str, tuple[float, float]], dict[str, float]]:
    if measured.task is Task.MULTI_LABEL:
        fits = {
            name: fit_finding(measured.logits[:, place], measured.labels[:, place])
            for place, name in enumerate(measured.classes)
        }
        return {name: one.scale for name, one in fits.items()}, {name: one.threshold for name, one in fits.items()}
    truth = measured.labels.argmax(axis=1)
    factor = 1 / fit_softmax_temperature(measured.logits, truth)
    found = torch.softmax(torch.from_numpy(measured.logits * factor), dim=1).numpy()
    cuts = {
        name: min(max(at_balance(found[:, place], truth == place).threshold, LEAST), MOST)
        for place, name in enumerate(measured.classes)
    }
    return dict.fromkeys(measured.classes, (factor, 0.0)), cuts


def _cases(measured: Measured, place: int, thresholds: Mapping[str, float]) -> Cases:
    known = ~np.isnan(measured.labels[:, place])
    truth = measured.labels[known, place] >= MIDDLE
    names = [name for name, there in zip(measured.names, known, strict=True) if there]
    return Cases(measured.probabilities[known, place], truth, np.array(measured.patients)[known], thresholds, names)


def _accuracy(measured: Measured, replicates: int) -> dict[str, float]:
    right = measured.probabilities.argmax(axis=1) == measured.labels.argmax(axis=1)
    groups = np.array(measured.patients)
    return _plain(bootstrap(lambda chosen: float(right[chosen].mean()), len(right), groups, replicates))


def _confusion(measured: Measured) -> list[list[int]]:
    truth, said = measured.named(measured.labels), measured.named(measured.probabilities)
    return [[int(count) for count in row] for row in confusion_matrix(truth, said, measured.classes)]


def _plain(interval: Any) -> dict[str, float]:
    return {name: float(getattr(interval, name)) for name in ("value", "low", "high")}


def _shown(interval: Mapping[str, float]) -> str:
    return f"{interval['value']:.3f} ({interval['low']:.3f} to {interval['high']:.3f})"
