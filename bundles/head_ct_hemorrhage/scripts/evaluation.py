"""Measure the network on labelled cases, beside a bright-pixel threshold, and fit its calibration.

Areas under the ROC curve of every output, the points at which sensitivity and specificity are told, and what the
outlines are worth, all with 95 % bootstrap intervals over cases; and what was said of each case.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
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
    sigmoid,
)
from bundles.common.metrics.cases import FILE as CASES
from bundles.common.metrics.cases import Case, case_id, patient_id, slice_id, write_cases
from bundles.common.metrics.writing import CARD
from bundles.head_ct_hemorrhage.scripts.masks_measured import Outlined, draw_examples, measure_outlines, outlined_of
from bundles.head_ct_hemorrhage.scripts.network import TYPES
from bundles.head_ct_hemorrhage.scripts.points import notes_of, operating_points, rounded
from bundles.head_ct_hemorrhage.scripts.postprocess import slice_logits

log = structlog.get_logger()

Array = NDArray[np.float64]
SLICES = "hemorrhage in a slice"
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
        case_of_slice, number_of_slice: (all source slices,) index of the case, and of the slice in its series.
        true_hemorrhage, true_types, true_slices: The labels of the same shapes.
        names, patients: (cases,) as the datalist writes them.
        outlined: Of the cases whose bleeds are known; empty where no postprocessing was given.
    """

    hemorrhage: Array
    types: Array
    slices: Array
    bright: Array
    case_of_slice: NDArray[np.intp]
    number_of_slice: NDArray[np.intp]
    true_hemorrhage: Array
    true_types: Array
    true_slices: Array
    names: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    outlined: tuple[Outlined, ...] = ()


def outputs_of(
    network: nn.Module,
    inferer: Inferer,
    dataset: Iterable[Mapping[str, Any]],
    device: torch.device,
    *,
    postprocessing: Transform | None = None,
    present_from: float = 0.5,
) -> Outputs:
    """Run the network over cases; those in which no brain is found raise, as in the service.

    Args:
        network: With weights.
        inferer: As in inference.
        dataset: Items of `load_cases` after preprocessing.
        device: Where the network lies.
        postprocessing: As in inference; None leaves the outlines out.
        present_from: Probability of a hemorrhage from which the service shows outlines.
    """
    network.eval()
    rows: list[tuple[NDArray[Any], ...]] = []
    who: list[tuple[str, str]] = []
    outlined: list[Outlined | None] = []
    for number, item in enumerate(track(dataset, description="cases")):
        with torch.inference_mode():
            logits = inferer(inputs=item["image"][None].to(device), network=network)
        if postprocessing is not None:
            found = postprocessing({**item, "pred": {name: value[0].cpu() for name, value in logits.items()}})
            present = float(found["hemorrhage"]) >= present_from
            outlined.append(outlined_of(number, item, found, present=present))
        places = torch.as_tensor(item["slice_positions"])
        slices, inside = slice_logits(logits["slices"][0].float().cpu(), places)
        who.append((str(item["name"]), str(item["patient"])))
        rows.append(
            (
                _array(logits["hemorrhage"]),
                _array(logits["types"]),
                _array(slices[inside]),
                np.array([item["bright_share"]]),
                _labels(item.get("label"), 1),
                _labels(item.get("types"), len(TYPES)),
                _labels(item.get("slices"), len(places))[inside.numpy()],
                np.flatnonzero(inside.numpy()),
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
        number_of_slice=np.concatenate(columns[7]).astype(np.intp),
        true_hemorrhage=np.concatenate(columns[4]),
        true_types=np.stack(columns[5]),
        true_slices=np.concatenate(columns[6]),
        names=tuple(name for name, _ in who),
        patients=tuple(patient for _, patient in who),
        outlined=tuple(one for one in outlined if one is not None),
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


def cases_of(outputs: Outputs, trained: Sequence[str] = ("types", "slices")) -> Iterator[Case]:
    """What was said of each volume, of each type in it and of each slice, where that is known; scores are logits.

    Args:
        outputs: Of the network.
        trained: Which of types and slices it has learned; nothing is told of the others.
    """
    columns = {"hemorrhage": (outputs.hemorrhage, outputs.true_hemorrhage)}
    if "types" in trained:
        columns |= {name: (outputs.types[:, k], outputs.true_types[:, k]) for k, name in enumerate(TYPES)}
    for finding, (scores, truth) in columns.items():
        for case in np.flatnonzero(known(truth)).tolist():
            yield _case(finding, outputs, case, case_id(outputs.names[case]), (truth[case], scores[case]))
    for place in np.flatnonzero(known(outputs.true_slices)).tolist() if "slices" in trained else ():
        case, number = int(outputs.case_of_slice[place]), int(outputs.number_of_slice[place])
        said = (outputs.true_slices[place], outputs.slices[place])
        yield _case(SLICES, outputs, case, slice_id(outputs.names[case], number), said)


def _case(finding: str, outputs: Outputs, number: int, key: str, said: tuple[float, float]) -> Case:
    truth, score = said
    return Case(finding, key, patient_id(outputs.patients[number]), bool(truth >= 0.5), float(score))


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
    postprocessing: Transform | None = None,
    trained: Sequence[str] = ("types", "slices"),
) -> dict[str, Any]:
    """Print a table and write `evaluation.json`: areas with counts and 95 % intervals, operating points, outlines.

    `cases.csv` beside it tells what was said of each case whose label is known, by `trained` as in `cases_of`.
    With `postprocessing`, that of inference, also `model_card_section.md` and `examples.png`.
    """
    cut = service_cuts(bundle_root, weights).get(FINDING_OF["hemorrhage"])
    threshold = 0.5 if cut is None else cut.probability
    outputs = outputs_of(network, inferer, dataset, device, postprocessing=postprocessing, present_from=threshold)
    measured = areas(outputs, replicates)
    report: dict[str, Any] = {name: rounded(asdict(area)) for name, area in measured.items()}
    report["weights_sha256"] = sha256_of(Path(weights))
    factor, offset = read_calibration(bundle_root, weights).get("hemorrhage", (1.0, 0.0))
    probabilities = sigmoid(outputs.hemorrhage * factor + offset)
    report |= operating_points(
        probabilities, outputs.true_hemorrhage, None if cut is None else cut.probability, replicates=replicates
    )
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    if outputs.outlined:
        report["lesions"] = measure_outlines(outputs.outlined, replicates)
        draw_examples(folder / "examples.png", outputs.outlined)
    (folder / "evaluation.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (folder / CARD).write_text("\n".join(f"- {note}" for note in notes_of(report)) + "\n", encoding="utf-8")
    if cases := list(cases_of(outputs, trained)):
        write_cases(folder / CASES, cases)
    Console().print(_table(measured))
    Console().print("\n".join(notes_of(report)), markup=False, highlight=False)
    log.info("evaluation_written", folder=str(folder))
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


def _array(tensor: torch.Tensor) -> Array:
    return tensor.float().cpu().numpy().astype(np.float64).reshape(-1)


def _labels(value: Any, length: int) -> Array:
    return np.full(length, np.nan) if value is None else np.asarray(value, dtype=np.float64).reshape(-1)
