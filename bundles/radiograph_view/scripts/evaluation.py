"""How well views are told apart: a table of what each was taken for, and AUCs of each view against the others."""

import datetime as dt
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bundles.common.headers import UnreadableImage
from bundles.common.manifest import sha256_of
from bundles.common.metrics.report import report_classification
from bundles.common.views import UNCLEAR, VIEWS, ViewContract, load_view_contract

__all__ = ["Path", "Told", "confusion", "evaluate", "load_view_contract", "run_over", "table"]

UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Told:
    """What was said of one image.

    Attributes:
        name: Of the image.
        patient: Of the datalist, or the image's name.
        truth: What it is, in words of the list: a view, or a kind such as "hip".
        view: Index in `VIEWS` of the truth.
        probabilities: Of each view; () for an image that could not be read.
    """

    name: str
    patient: str
    truth: str
    view: int
    probabilities: tuple[float, ...]


def run_over(
    network: nn.Module,
    inferer: Callable[..., Any],
    dataset: Sequence[Mapping[str, Any]],
    postprocessing: Callable[[dict[str, Any]], Mapping[str, Any]],
    device: torch.device,
) -> list[Told]:
    """Ask the network about every image of a dataset of `load_views`."""
    network.eval()
    told = []
    for number in range(len(dataset)):
        given = dataset.data[number]  # type: ignore[attr-defined]  # MONAI's Dataset
        try:
            item = dict(dataset[number])
            with torch.inference_mode():
                item["pred"] = inferer(inputs=item["image"][None].to(device), network=network)[0].cpu()
            values = tuple(float(value) for value in postprocessing(item)["probabilities"])
        except (UnreadableImage, RuntimeError) as error:
            if not _is_unreadable(error):
                raise
            values = ()
        told.append(Told(given["name"], given["patient"], given.get("kind", ""), given["label"], values))
    return told


def confusion(told: Sequence[Told], least_certainty: float) -> dict[str, Counter[str]]:
    """Truth → how often each view, `unclear` or `unreadable` was said."""
    counts: dict[str, Counter[str]] = {}
    for each in told:
        truth = each.truth or VIEWS[each.view]
        counts.setdefault(truth, Counter())[said(each.probabilities, least_certainty)] += 1
    return counts


def said(probabilities: Sequence[float], least_certainty: float) -> str:
    """The view as routing gets it."""
    if not probabilities:
        return UNREADABLE
    best = int(np.argmax(probabilities))
    return VIEWS[best] if probabilities[best] >= least_certainty else UNCLEAR


def table(counts: Mapping[str, Mapping[str, int]]) -> str:
    """A confusion as a Markdown table, a line for each truth."""
    names = [*VIEWS, UNCLEAR]
    if any(UNREADABLE in row for row in counts.values()):
        names.append(UNREADABLE)
    lines = [f"| Shown | {' | '.join(name.replace('_', ' ') for name in names)} |", f"|{'---|' * (len(names) + 1)}"]
    lines += [f"| {truth} | {' | '.join(str(row.get(name, 0)) for name in names)} |" for truth, row in counts.items()]
    return "\n".join(lines)


def evaluate(
    told: Sequence[Told], contract: ViewContract, *, weights: str, data: str, output_dir: str, replicates: int = 500
) -> None:
    """Measure, print and write `evaluation.json` and `confusion.md`.

    Args:
        told: What was said of each image.
        contract: Tells the least certainty.
        weights: Measured file.
        data: The images by name.
        output_dir: Is made.
        replicates: Of the bootstrap over patients.
    """
    read = [each for each in told if each.probabilities]
    values, patients = np.array([each.probabilities for each in read]), np.array([each.patient for each in read])
    truth = np.array([each.view for each in read])
    areas = {
        name: report_classification(values[:, view], truth == view, patients, replicates=replicates)
        for view, name in enumerate(VIEWS)
    }
    counts = confusion(told, contract.least_certainty)
    report = {
        "weights_sha256": sha256_of(Path(weights)),
        "data": data,
        "created": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "least_certainty": contract.least_certainty,
        "confusion": counts,
        "views": {
            name: {
                "positives": found.positives,
                "negatives": found.negatives,
                "auroc": asdict(found.auroc),
            }
            for name, found in areas.items()
        },
    }
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluation.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (folder / "confusion.md").write_text(table(counts) + "\n", encoding="utf-8")
    print(table(counts))  # noqa: T201  what the command is for


def _is_unreadable(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, UnreadableImage):
        error = error.__cause__ or error.__context__
    return error is not None
