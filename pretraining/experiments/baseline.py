"""What the metadata alone give away: a linear model on view, age and the like, written as the networks' cases are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bundles.common.metrics.cases import Case, case_id, patient_id, write_cases
from pretraining.data.errors import ArchiveError
from pretraining.evaluation import with_products
from pretraining.experiments.datalists import Row, read, told
from pretraining.probe import Labelled, linear_scores, metadata_features


def write_baseline(
    datalist: Path, keys: Sequence[str], output: Path, findings: Sequence[str] = (), seed: int = 0
) -> int:
    """Learn each finding from training and validation, score the test images.

    Args:
        datalist: File.
        keys: Of rows or of their metadata.
        output: `cases.csv`.
        findings: Labels; all where none is named.
        seed: Of the cross-validation that chooses the strength.

    Returns:
        Cases written.

    Raises:
        ArchiveError: No image has a key, or a finding lacks a class among too few patients.
    """
    content = read(datalist)
    learn, test = list(content.rows("training", "validation")), list(content.rows("test"))
    told_of = [told(row) for row in (*learn, *test)]
    for key in keys:
        if not any(key in each for each in told_of):
            raise ArchiveError(f"{datalist}: no image has the metadata '{key}'; it has {', '.join(told_of[0])}")
    texts = [{key: _text(each.get(key)) for key in keys} for each in told_of]
    features = with_products(metadata_features(texts, keys))
    cases: list[Case] = []
    for finding in findings or content.findings:
        cases += _scored(finding, (learn, test), features, seed)
    write_cases(output, cases)
    return len(cases)


def _scored(finding: str, rows: tuple[list[Row], list[Row]], features: np.ndarray, seed: int) -> list[Case]:
    learn, test = (np.array([_label(row, finding) for row in part]) for part in rows)
    people = [np.array([str(row["patient"]) for row in part]) for part in rows]
    known, asked = np.isfinite(learn), np.isfinite(test)
    if not asked.any():
        return []
    train = Labelled(features[: len(learn)][known], learn[known] == 1, people[0][known])
    try:
        scores, _ = linear_scores(train, features[len(learn) :][asked], seed=seed)
    except ValueError as error:
        raise ArchiveError(f"metadata baseline of '{finding}': {error}") from error
    chosen = [row for row, there in zip(rows[1], asked, strict=True) if there]
    return [
        Case(
            finding,
            case_id(str(row["image"])),
            patient_id(str(row["patient"])),
            row["labels"][finding] == 1,
            float(score),
        )
        for row, score in zip(chosen, scores, strict=True)
    ]


def _label(row: Row, finding: str) -> float:
    value = (row.get("labels") or {}).get(finding)
    return float("nan") if value is None else float(value)


def _text(value: object) -> str:
    return "" if value is None else str(value)
