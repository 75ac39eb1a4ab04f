"""What an encoder's features know: weighted nearest neighbours and a linear probe on a labelled list.

Both are read beside two baselines: the same network with random weights, and what the metadata alone give away (view
position and age separate many findings). Intervals resample patients, not images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from bundles.common.metrics import Auc, area_under_roc, bootstrap_auc
from pretraining.backbones import make_encoder
from pretraining.embedding import Embedded

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
FOLDS = 5
NEIGHBOURS = 20
TEMPERATURE = 0.07
Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Labelled:
    """Features with their truth.

    Attributes:
        features: (images, features).
        truth: (images,) bool.
        patients: (images,) str; images of one patient are never on both sides of a split.
    """

    features: Floats
    truth: NDArray[np.bool_]
    patients: NDArray[np.str_]

    def __post_init__(self) -> None:
        if not len(self.features) == len(self.truth) == len(self.patients):
            raise ValueError(
                f"{len(self.features)} features, {len(self.truth)} labels and {len(self.patients)} patients; "
                "expected one of each for every image"
            )

    def part(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Labelled:
        """Some of the images."""
        return Labelled(self.features[chosen], self.truth[chosen], self.patients[chosen])


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One line of a table.

    Attributes:
        features: What was probed: "SimCLR", "random weights", "metadata".
        method: "kNN" or "linear".
        stratum: The part of the test images; "all" for all of them.
        auc: Area under the ROC curve with its 95 % interval over patients.
        patients: In this part of the test images.
        strength: Inverse regularisation C that cross-validation chose; None for kNN.
        scores, truth, people: (images,) of this part: score, whether the finding is there, and whose image it is
            (a number for each patient); for comparisons of two results on the same images.
    """

    features: str
    method: str
    stratum: str
    auc: Auc
    patients: int
    strength: float | None = None
    scores: Floats = field(default_factory=lambda: np.zeros(0), repr=False, compare=False)
    truth: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool), repr=False, compare=False)
    people: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, dtype=np.intp), repr=False, compare=False)


def labelled(embedded: Embedded, label: str, patients: Mapping[str, str]) -> Labelled:
    """Images whose label is known (0 or 1), with their patients by key.

    Raises:
        ValueError: No such label, no image with it, a label that is neither 0, 1 nor NaN, or a key without a patient.
    """
    if label not in embedded.labels:
        raise ValueError(f"no label '{label}'; there are: {', '.join(embedded.labels) or 'none'}")
    values = embedded.labels[label].reshape(len(embedded.keys), -1)
    if values.shape[1] != 1 or not np.isin(values[~np.isnan(values)], (0, 1)).all():
        raise ValueError(f"label '{label}' has other values than 0 and 1; a probe asks a yes-or-no question")
    known = ~np.isnan(values[:, 0])
    if not known.any():
        raise ValueError(f"no image has a value for the label '{label}'")
    lost = [key for key, there in zip(embedded.keys, known, strict=True) if there and key not in patients]
    if lost:
        raise ValueError(f"{len(lost)} images have no patient, the first is {lost[0]}; a fair split needs patients")
    names = np.array([patients.get(key, "") for key in embedded.keys])
    return Labelled(embedded.features[known], values[known, 0] == 1, names[known])


def knn_scores(
    train: Labelled, features: Floats, *, neighbours: int = NEIGHBOURS, temperature: float = TEMPERATURE
) -> Floats:
    """Share of positives among the nearest training images by cosine, weighted by exp(cosine/T) (Wu et al. 2018, §3.4).

    Args:
        train: What is known.
        features: (images, features) to score.
        neighbours: k; all training images if there are fewer.
        temperature: T of the weights.

    Returns:
        (images,) from 0 to 1.

    Raises:
        ValueError: k or T is not positive.
    """
    if neighbours < 1 or temperature <= 0:
        raise ValueError(f"kNN needs neighbours and temperature above 0, got {neighbours} and {temperature}")
    cosine = _unit(features) @ _unit(train.features).T
    k = min(neighbours, cosine.shape[1])
    nearest = np.argsort(-cosine, axis=1, kind="stable")[:, :k]
    similar = np.take_along_axis(cosine, nearest, axis=1)
    weights = np.exp((similar - similar[:, :1]) / temperature)
    scores: Floats = (weights * train.truth[nearest]).sum(axis=1) / weights.sum(axis=1)
    return scores


def linear_scores(
    train: Labelled, features: Floats, *, strengths: Sequence[float] = STRENGTHS, folds: int = FOLDS, seed: int = 0
) -> tuple[Floats, float]:
    """Logistic regression on standardised features, its strength chosen by patient-wise cross-validation on `train`.

    Args:
        train: What is known.
        features: (images, features) to score.
        strengths: Values of C to try, smallest (most regularised) first; ties take the smaller.
        folds: Of the cross-validation; fewer where a class has fewer patients.
        seed: Of the folds.

    Returns:
        Scores (images,), higher is more suspicious, and the chosen C.

    Raises:
        ValueError: A class has fewer than two patients.
    """
    parts = patient_folds(train, folds, seed)
    areas = [np.nanmean([_area_of_fold(train, inside, outside, c) for inside, outside in parts]) for c in strengths]
    chosen = strengths[int(np.nanargmax(areas))]
    return _fitted(train, chosen, features), chosen


def patient_folds(train: Labelled, folds: int, seed: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Indices (to learn from, to measure on) for each fold; a patient's images stay together.

    Raises:
        ValueError: A class has fewer than two patients.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    splits = min(folds, *(len(np.unique(train.patients[train.truth == side])) for side in (True, False)))
    if splits < 2:
        raise ValueError("a linear probe needs at least two patients with and two without the finding to train on")
    folded = StratifiedGroupKFold(n_splits=splits, shuffle=True, random_state=seed)
    return list(folded.split(train.features, train.truth, train.patients))


def probe(
    name: str,
    train: Labelled,
    test: Labelled,
    *,
    strata: Mapping[str, NDArray[np.bool_]] | None = None,
    replicates: int = 1000,
    seed: int = 0,
) -> tuple[ProbeResult, ...]:
    """Nearest neighbours and a linear probe, on all test images and within each stratum.

    Args:
        name: Of the features, for the table.
        train: To learn from.
        test: To measure on; other patients than in `train`.
        strata: Name to (test images,) bool, such as the view positions; a stratum without both classes gives NaN.
        replicates: Of the bootstrap over patients.
        seed: Of folds and bootstrap.

    Raises:
        ValueError: A patient is on both sides, or a class has too few patients.
    """
    shared = np.intersect1d(train.patients, test.patients)
    if len(shared):
        raise ValueError(f"{len(shared)} patients are in training and test; split the list by patient")
    linear, strength = linear_scores(train, test.features, seed=seed)
    lines = (("kNN", knn_scores(train, test.features), None), ("linear", linear, strength))
    everything = {"all": np.ones(len(test.truth), dtype=bool)} | dict(strata or {})
    results = []
    for method, scores, chosen in lines:
        for stratum, inside in everything.items():
            ids = np.unique(test.patients[inside], return_inverse=True)[1]
            auc = (
                bootstrap_auc(scores[inside], test.truth[inside], ids, replicates, seed)
                if inside.any()
                else Auc(float("nan"), float("nan"), float("nan"), 0, 0)
            )
            patients = int(ids.max()) + 1 if len(ids) else 0
            part = (scores[inside], test.truth[inside], ids)
            results.append(ProbeResult(name, method, stratum, auc, patients, chosen, *part))
    return tuple(results)


def random_encoder(backbone: str, seed: int = 0) -> torch.nn.Module:
    """The baseline: the same network with the random weights of a seed; torch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make_encoder(backbone)


def metadata_features(rows: Sequence[Mapping[str, str]], columns: Sequence[str]) -> NDArray[np.float64]:
    """Metadata as features: numbers as they are (the mean where missing, which is flagged), words as one column each.

    Args:
        rows: Column name to text, one row an image.
        columns: Which to use.

    Returns:
        (images, features).

    Raises:
        ValueError: A column is missing.
    """
    parts = []
    for column in columns:
        if any(column not in row for row in rows):
            raise ValueError(f"no column '{column}' in the list; there are: {', '.join(rows[0]) if rows else 'none'}")
        texts = [row[column].strip() for row in rows]
        numbers = [_number(text) for text in texts]
        if all(number is not None for number, text in zip(numbers, texts, strict=True) if text) and any(texts):
            values = np.array([np.nan if number is None else number for number in numbers])
            missing = np.isnan(values)
            parts += [np.where(missing, np.nanmean(values), values), missing.astype(float)]
        else:
            parts += [np.array([text == level for text in texts], dtype=float) for level in sorted(set(texts))]
    return np.stack(parts, axis=1) if parts else np.zeros((len(rows), 0))


def _area_of_fold(train: Labelled, inside: NDArray[np.intp], outside: NDArray[np.intp], strength: float) -> float:
    if len(np.unique(train.truth[inside])) < 2:
        return float("nan")
    scores = _fitted(train.part(inside), strength, train.features[outside])
    return area_under_roc(scores, train.truth[outside])


def _fitted(train: Labelled, strength: float, features: Floats) -> Floats:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, solver="newton-cholesky", max_iter=500))
    model.fit(train.features.astype(np.float64), train.truth)
    scores: Floats = model.decision_function(features.astype(np.float64))
    return scores


def _unit(features: Floats) -> Floats:
    wide = features.astype(np.float64)
    length: Floats = np.linalg.norm(wide, axis=1, keepdims=True)
    unit: Floats = wide / np.maximum(length, 1e-12)
    return unit


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
