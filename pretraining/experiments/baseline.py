"""What the metadata alone give away: a linear model on view, age and the like, written as the networks' cases are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bundles.common.metrics.cases import Case, case_id, patient_id, slice_id, write_cases
from pretraining.data.errors import ArchiveError
from pretraining.evaluation import with_products
from pretraining.experiments.datalists import SLICE_LABELS, Row, read, told
from pretraining.probe import Labelled, linear_scores, metadata_features

PLACES = ("place", "from_middle")


def write_baseline(
    datalist: Path, keys: Sequence[str], output: Path, findings: Sequence[str] = (), seed: int = 0
) -> int:
    """Learn each finding from the training images alone, as networks do, score the test images.

    Args:
        datalist: File.
        keys: Of rows or of their metadata; where a slice is in its stack is asked as well.
        output: `cases.csv`.
        findings: Labels of images, or of slices (`slice_labels`); all of images where none is named.
        seed: Of the cross-validation that chooses the strength.

    Returns:
        Cases written.

    Raises:
        ArchiveError: No image has a key, or a finding lacks a class among too few patients.
    """
    content = read(datalist)
    cases: list[Case] = []
    for finding in findings or content.findings:
        learn, test = (
            [each for row in content.rows(section) for each in _asked(row, finding)] for section in ("training", "test")
        )
        cases += _scored(finding, (learn, test), _features(datalist, keys, learn + test), seed)
    write_cases(output, cases)
    return len(cases)


def _asked(row: Row, finding: str) -> Iterator[dict[str, Any]]:
    """The row as a case with what is told of it; where the finding is one of slices, a case for each slice."""
    case = {"case": case_id(str(row["image"])), "patient": str(row["patient"])}
    flags = (row.get(SLICE_LABELS) or {}).get(finding)
    if flags is None:
        yield {**case, "truth": _label(row, finding), "told": told(row)}
        return
    for number, flag in enumerate(flags):
        # Most findings are seldom at the ends of a stack.
        place = number / max(1, len(flags) - 1)
        about = {**told(row), "place": place, "from_middle": abs(2 * place - 1)}
        yield {**case, "case": slice_id(str(row["image"]), number), "truth": float(flag), "told": about}


def _features(datalist: Path, keys: Sequence[str], cases: Sequence[Mapping[str, Any]]) -> np.ndarray:
    about = [case["told"] for case in cases]
    for key in keys:
        if not any(key in each for each in about):
            raise ArchiveError(f"{datalist}: no image has the metadata '{key}'; it has {', '.join(about[0])}")
    asked = [*keys, *(key for key in PLACES if any(key in each for each in about))]
    return with_products(metadata_features([{key: _text(each.get(key)) for key in asked} for each in about], asked))


def _scored(
    finding: str, cases: tuple[list[dict[str, Any]], list[dict[str, Any]]], features: np.ndarray, seed: int
) -> list[Case]:
    learn, test = (np.array([case["truth"] for case in part]) for part in cases)
    people = np.array([case["patient"] for case in cases[0]])
    known, asked = np.isfinite(learn), np.isfinite(test)
    if not asked.any():
        return []
    train = Labelled(features[: len(learn)][known], learn[known] == 1, people[known])
    try:
        scores, _ = linear_scores(train, features[len(learn) :][asked], seed=seed)
    except ValueError as error:
        raise ArchiveError(f"metadata baseline of '{finding}': {error}") from error
    chosen = [case for case, there in zip(cases[1], asked, strict=True) if there]
    return [
        Case(finding, case["case"], patient_id(case["patient"]), case["truth"] == 1, float(score))
        for case, score in zip(chosen, scores, strict=True)
    ]


def _label(row: Row, finding: str) -> float:
    value = (row.get("labels") or {}).get(finding)
    return float("nan") if value is None else float(value)


def _text(value: object) -> str:
    return "" if value is None else str(value)
