"""Measure the detector on labelled heads: slices as the paper does (AUC, precision at 80 % sensitivity), whole heads,
lesions by size, false alarms and Dice, with intervals; and fit its calibration.
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

from bundles.brain_metastasis.scripts.running import FINDING
from bundles.common.calibration import write_calibration, write_thresholds
from bundles.common.fitting import fit_finding
from bundles.common.metrics.calibration import sigmoid
from bundles.common.metrics.lesion_words import lesion_notes, plain_lesions
from bundles.common.metrics.lesions import LesionCase, lesion_case, report_lesions
from bundles.common.metrics.report import Evaluation
from bundles.common.metrics.writing import CARD, About, Cases, write_evaluation

log = structlog.get_logger()

SLICES = "metastasis in a slice"
HEADS = "metastasis in the head"
MIDDLE = 0.5
WHATEVER_THE_ANSWER = (
    "Lesions and Dice are counted whatever the answer for the head; "
    "the service shows no outline in a head that it calls absent."
)
Item = Mapping[str, Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What came out for some heads, and the truth.

    Attributes:
        patients: (heads,) names.
        names: (heads,) of the images, as the datalist writes them.
        study_logits, study_probabilities, labels: (heads,).
        slice_logits, slice_labels: (all axial slices of the network's grids,).
        slice_scale: Platt scaling that turns those logits into probabilities.
        head_of_slice, number_of_slice: (all slices,) index of the head, and which of its grid's slices.
        lesions: Of every head with a mask, or without metastasis.
    """

    patients: tuple[str, ...]
    names: tuple[str, ...]
    study_logits: Floats
    study_probabilities: Floats
    labels: Floats
    slice_logits: Floats
    slice_labels: Floats
    slice_scale: tuple[float, float]
    head_of_slice: NDArray[np.intp]
    number_of_slice: NDArray[np.intp]
    lesions: tuple[LesionCase, ...]


def run_over(
    network: nn.Module,
    inferer: Inferer,
    dataset: Iterable[Item],
    postprocessing: Transform,
    device: torch.device,
    *,
    scale: Mapping[str, tuple[float, float]] | None = None,
) -> Measured:
    """Run the network over items of `load_heads` after preprocessing; heads in which none is found raise.

    Args:
        network: With weights.
        inferer: Over slices.
        dataset: Items with `source_mask` beside what preprocessing writes.
        postprocessing: A `Lesionsd` with the same scale.
        device: Where the network lies.
        scale: Platt scaling, as in `Lesionsd`.

    Raises:
        ValueError: There is no head.
    """
    network.eval()
    heads: list[tuple[str, str, float, float, float]] = []
    slices, lesions = [], []
    for item in track(dataset, description="heads"):
        with torch.inference_mode():
            batch = inferer(inputs=item["image"][None].to(device), network=network)
            found = postprocessing({**item, "pred": {name: value[0].cpu() for name, value in batch.items()}})
        patient, name = str(item["patient"]), str(item["name"])
        logits = found["pred"]["slices"].double().numpy()
        slices.append((logits, item["slices"].double().numpy(), np.full(len(logits), len(heads))))
        labels = np.asarray(found["lesions"])
        truth = np.asarray(item["source_mask"]) if "source_mask" in item else np.zeros(labels.shape)
        heads.append((patient, name, float(logits.max()), float(found["probabilities"][0]), float(truth.any())))
        lesions.append(lesion_case(patient, labels, truth, np.asarray(item["source_affine"])))
    if not heads:
        raise ValueError("there is no head to measure on")
    patients, names, study, probabilities, truths = zip(*heads, strict=True)
    return Measured(
        patients=patients,
        names=names,
        study_logits=np.array(study),
        study_probabilities=np.array(probabilities),
        labels=np.array(truths),
        slice_logits=np.concatenate([row[0] for row in slices]),
        slice_labels=np.concatenate([row[1] for row in slices]),
        slice_scale=(scale or {}).get("slices", (1.0, 0.0)),
        head_of_slice=np.concatenate([row[2] for row in slices]),
        number_of_slice=np.concatenate([np.arange(len(row[0])) for row in slices]),
        lesions=tuple(lesions),
    )


def fit(measured: Measured, *, bundle_root: str, weights: str, data: str) -> None:
    """Fit Platt scaling of heads and slices, and the heads' operating point (sensitivity = specificity); write them.

    They go into `configs/calibration.yaml` and the threshold of `configs/service.yaml`.

    Raises:
        ValueError: All heads have metastases, or none has.
    """
    study = fit_finding(measured.study_logits, measured.labels)
    slices = fit_finding(measured.slice_logits, measured.slice_labels)
    scale = {"study": study.scale, "slices": slices.scale}
    write_calibration(Path(bundle_root), scale, study.cases, data=data, weights=weights)
    write_thresholds(Path(bundle_root), {FINDING: study.threshold})
    log.info("calibration_written", heads=study.cases, slices=slices.cases, threshold=round(study.threshold, 4))


def evaluate(
    measured: Measured, thresholds: Mapping[str, float], what: About, *, output_dir: str, replicates: int
) -> Evaluation:
    """Write JSON, pictures, the model card's section and `cases.csv` of heads and slices, and print that section.

    Precision at 80 % sensitivity, the paper's Table 4, is the slices' point `sensitivity 80 %`.

    Args:
        measured: On other heads than those that thresholds were chosen on.
        thresholds: Operating points of whole heads by name; a probability of 0.5 is measured beside them.
        what: Is measured.
        output_dir: Is made.
        replicates: Of the bootstrap over patients.
    """
    factor, offset = measured.slice_scale
    slices = sigmoid(measured.slice_logits * factor + offset)
    cases = {
        HEADS: Cases(
            measured.study_probabilities,
            measured.labels >= MIDDLE,
            np.array(measured.patients),
            {**thresholds, "probability 0.5": MIDDLE},
            measured.names,
        ),
        SLICES: Cases(
            slices,
            measured.slice_labels >= MIDDLE,
            np.array(measured.patients)[measured.head_of_slice],
            {"probability 0.5": MIDDLE},
            [measured.names[head] for head in measured.head_of_slice],
            measured.number_of_slice.tolist(),
        ),
    }
    lesions = report_lesions(measured.lesions, replicates=replicates)
    folder = Path(output_dir)
    extra = {**what.extra, "lesions": plain_lesions(lesions)}
    notes = (*what.notes, *lesion_notes(extra["lesions"]), WHATEVER_THE_ANSWER)
    written = About(what.bundle, what.weights_sha256, what.data, what.created, notes, extra)
    evaluation = write_evaluation(folder, written, classification=cases, replicates=replicates)
    Console().print((folder / CARD).read_text(encoding="utf-8"), markup=False, highlight=False)
    log.info("evaluation_written", folder=str(folder))
    return evaluation
