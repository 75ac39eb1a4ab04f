"""Handlers give what the functions give over all cases, on one process and on two, in ignite's and MONAI's engines."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from sklearn import metrics as sklearn_metrics
from torch import multiprocessing, nn

from bundles.common.metrics import image_boxes, mean_average_precision, measure_froc
from bundles.common.metrics.handlers import ClassificationFigure, DetectionFigure
from tests.unit.bundles.common.metrics.processes import FIGURES, cases, measure, run


def expected() -> dict[str, float]:
    scores = np.array([case["pred"].item() for case in cases()])
    truth = np.array([case["label"].item() for case in cases()]) == 1
    called = scores >= 0.5
    images = [
        image_boxes("", case["found"]["box"], case["found"]["label_scores"], case["truth"]["box"]) for case in cases()
    ]
    return {
        "auroc": sklearn_metrics.roc_auc_score(truth, scores),
        "average_precision": sklearn_metrics.average_precision_score(truth, scores),
        "accuracy": sklearn_metrics.accuracy_score(truth, called),
        "sensitivity": sklearn_metrics.recall_score(truth, called),
        "specificity": sklearn_metrics.recall_score(~truth, ~called),
        "precision": sklearn_metrics.precision_score(truth, called),
        "recall": sklearn_metrics.recall_score(truth, called),
        "f1": sklearn_metrics.f1_score(truth, called),
        "froc": measure_froc(images, replicates=0).average.value,
        "map": mean_average_precision({"lesion": images}, replicates=0).mean.value,
    }


def test_one_process_gives_the_figures_over_all_cases() -> None:
    found = measure(cases())
    assert {name: found[name] for name in expected()} == pytest.approx(expected())
    assert 0.1 < found["froc"] < 0.95


def test_two_processes_agree_and_count_a_repeated_case_once(tmp_path: Path) -> None:
    multiprocessing.spawn(run, args=(2, str(tmp_path)), nprocs=2)
    for rank in range(2):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert {name: found[name] for name in expected()} == pytest.approx(expected())


def test_an_evaluator_of_monai_takes_one_as_its_key_metric() -> None:
    generator = np.random.default_rng(1)
    items = [
        {"image": torch.tensor([value], dtype=torch.float32), "label": torch.tensor([float(value > 0.3)])}
        for value in generator.random(20)
    ]
    for decollate in (True, False):
        evaluator = SupervisedEvaluator(
            device=torch.device("cpu"),
            val_data_loader=DataLoader(Dataset(items), batch_size=3),
            network=nn.Identity(),
            key_val_metric={"auroc": ClassificationFigure()},
            additional_metrics={"accuracy": ClassificationFigure("accuracy", threshold=0.3)},
            decollate=decollate,
        )
        evaluator.run()
        assert evaluator.state.metrics == {"auroc": 1.0, "accuracy": 1.0}
        assert evaluator.state.best_metric == 1.0


def test_several_outputs_are_averaged_where_defined_and_unknown_labels_left_out() -> None:
    scores = torch.tensor([[0.1, 0.9, 0.5], [0.9, 0.1, 0.5], [0.4, 0.5, 0.5]])
    labels = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 0.0], [torch.nan, torch.nan, 0.0]])
    mean, second = ClassificationFigure(), ClassificationFigure(output=1)
    for figure in (mean, second):
        figure.update((scores, labels))
    assert mean.compute() == 0.5
    assert second.compute() == 0


def test_a_diverged_network_gives_no_number() -> None:
    for name in FIGURES:
        figure = ClassificationFigure(name)
        figure.update((torch.tensor([[0.1, torch.nan], [0.2, 0.3]]), torch.tensor([[0.0, 1.0], [1.0, 0.0]])))
        assert np.isnan(figure.compute())


def test_an_empty_epoch_gives_no_number() -> None:
    assert np.isnan(ClassificationFigure().compute())
    assert np.isnan(DetectionFigure().compute())


def test_an_epoch_forgets_the_one_before() -> None:
    figure = ClassificationFigure()
    figure.update((torch.tensor([0.9, 0.1]), torch.tensor([0, 1])))
    figure.reset()
    figure.update((torch.tensor([0.1, 0.9]), torch.tensor([0, 1])))
    assert figure.compute() == 1


def test_other_classes_are_not_counted() -> None:
    prediction = {
        "box": torch.tensor([[0, 0, 4, 4], [5, 5, 9, 9]]),
        "label": torch.tensor([1, 0]),
        "label_scores": torch.tensor([0.9, 0.8]),
    }
    truth = {"box": torch.tensor([[0, 0, 4, 4], [5, 5, 9, 9]]), "label": torch.tensor([1, 1])}
    averages = []
    for label in (0, 1):
        figure = DetectionFigure(label)
        figure.update(([prediction], [truth]))
        averages.append(figure.compute())
    assert np.isnan(averages[0])
    assert averages[1] == 0.5


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="'auc' is no figure"):
        ClassificationFigure("auc")
    with pytest.raises(ValueError, match="'auc' is no figure of boxes"):
        DetectionFigure(figure="auc")
    with pytest.raises(ValueError, match="one label an output"):
        ClassificationFigure().update((torch.zeros(2, 3), torch.zeros(2)))
