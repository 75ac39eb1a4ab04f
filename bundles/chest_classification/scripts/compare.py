"""Compare two evaluations on the same images, as CheSS compares its models (Cho et al. 2023, Tables 2 and 3).

python -m bundles.chest_classification.scripts.compare FIRST/cases.json SECOND/cases.json --out comparison.json
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from bundles.chest_classification.scripts.task import Task
from bundles.common.metrics import (
    area_under_roc,
    bootstrap_difference,
    confusion_matrix,
    delong,
    mcnemar_exact,
    stuart_maxwell,
)

Cases = dict[str, Any]


def read_cases(path: Path) -> Cases:
    """What `evaluation.write_cases` wrote.

    Raises:
        ValueError: It is missing or something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {
            "task": Task.parse(content["task"]),
            "classes": tuple(content["classes"]),
            "images": (content["images_sha256"], len(content["cases"])),
            "patient": np.array([row["patient"] for row in content["cases"]]),
            "truth": np.array([row["truth"] for row in content["cases"]], dtype=np.float64),
            "probabilities": np.array([row["probabilities"] for row in content["cases"]], dtype=np.float64),
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: expected cases.json of an evaluation of this bundle: {error}") from error


def compare(first: Cases, second: Cases, *, replicates: int = 500) -> dict[str, Any]:
    """Everything about a pair of evaluations, first minus second.

    For every class the difference of AUROC with its bootstrap interval over patients, and DeLong's test; of one class
    of several also whether both use the classes alike (Stuart-Maxwell), and who is right more often (McNemar).

    Raises:
        ValueError: They are of other images, classes, truth or tasks.
    """
    _expect_same(first, second)
    found: dict[str, Any] = {
        "cases": first["images"][1],
        "classes": {name: _areas(first, second, place, replicates) for place, name in enumerate(first["classes"])},
    }
    if first["task"] is Task.MULTI_CLASS:
        found |= _calls(first, second, replicates)
    return found


def _areas(first: Cases, second: Cases, place: int, replicates: int) -> dict[str, Any]:
    known = ~np.isnan(first["truth"][:, place])
    truth, patients = first["truth"][known, place] >= 0.5, first["patient"][known]
    one, other = (each["probabilities"][known, place] for each in (first, second))
    if truth.all() or not truth.any():
        return {"auroc": None, "delong": None}

    def area(values: NDArray[np.float64]) -> Any:
        return lambda drawn: area_under_roc(values[drawn], truth[drawn])

    difference = bootstrap_difference(area(one), area(other), len(truth), patients, replicates=replicates)
    enough = min(int(truth.sum()), int((~truth).sum())) > 1
    return {"auroc": asdict(difference), "delong": asdict(delong(one, other, truth)) if enough else None}


def _calls(first: Cases, second: Cases, replicates: int) -> dict[str, Any]:
    classes = first["classes"]
    truth = first["truth"].argmax(axis=1)
    calls = [each["probabilities"].argmax(axis=1) for each in (first, second)]
    one, other = ([classes[place] for place in said] for said in calls)
    table = confusion_matrix(one, other, classes)
    right = [said == truth for said in calls]
    accuracy = bootstrap_difference(
        lambda drawn: float(right[0][drawn].mean()),
        lambda drawn: float(right[1][drawn].mean()),
        len(truth),
        first["patient"],
        replicates=replicates,
    )
    return {
        "accuracy": [float(flags.mean()) for flags in right],
        "accuracy_difference": asdict(accuracy),
        "first_against_second": [[int(count) for count in row] for row in table],
        "stuart_maxwell": asdict(stuart_maxwell(table)),
        "mcnemar": asdict(mcnemar_exact(*right)),
    }


def _expect_same(first: Cases, second: Cases) -> None:
    for key, words in (("task", "tasks"), ("classes", "classes"), ("images", "images")):
        if first[key] != second[key]:
            raise ValueError(f"the evaluations are of other {words}; evaluate both on one section of one datalist")
    if not np.array_equal(first["truth"], second["truth"], equal_nan=True):
        raise ValueError("the evaluations were made with other labels of the same images; evaluate both again")


def main(
    first: Annotated[Path, typer.Argument(help="cases.json of an evaluation")],
    second: Annotated[Path, typer.Argument(help="cases.json of the other, on the same images")],
    out: Annotated[Path | None, typer.Option(help="Also write it here (JSON)")] = None,
    replicates: Annotated[int, typer.Option(min=0, help="Of the bootstrap over patients")] = 500,
) -> None:
    """Print differences, first minus second."""
    try:
        found = compare(read_cases(first), read_cases(second), replicates=replicates)
    except ValueError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    text = json.dumps(found, indent=2)
    typer.echo(text)
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
