"""One call leaves everything behind, and nothing that is not there."""

import json
from pathlib import Path

import numpy as np
import pytest

from bundles.common.metrics import image_boxes
from bundles.common.metrics.card import card_section
from bundles.common.metrics.examples import Example
from bundles.common.metrics.writing import About, Cases, write_evaluation

ABOUT = About("chest_radiograph 0.1.0", "cd" * 32, "phantom: chests, seed 3", "2026-11-21", extra={"epochs": 3})


def test_everything_is_written(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    truth = generator.random(60) < 0.5
    probabilities = np.clip(generator.normal(0.4 + 0.2 * truth, 0.2), 0, 1)
    images = [
        image_boxes(f"p{index}", [[0, 0, 4, 4]], [generator.random()], [[0, 0, 4, 4]] if index % 2 else [])
        for index in range(10)
    ]
    evaluation = write_evaluation(
        tmp_path / "new",
        ABOUT,
        classification={"lesion": Cases(probabilities, truth, np.arange(60) // 2, {"service": 0.5})},
        detection={"lesion": images},
        examples=[Example(np.eye(8), "1", truth=[[0, 0, 4, 4]])],
        replicates=20,
    )
    names = {path.name for path in (tmp_path / "new").iterdir()}
    pictures = {"roc.png", "precision_recall.png", "reliability.png", "froc.png", "examples.png"}
    assert names == {"evaluation.json", "model_card_section.md", *pictures}
    kept = json.loads((tmp_path / "new" / "evaluation.json").read_text())
    assert kept["classification"]["lesion"]["patients"] == evaluation.classification["lesion"].patients == 30
    assert kept["extra"] == {"epochs": 3}
    card = (tmp_path / "new" / "model_card_section.md").read_text()
    assert card == card_section(tmp_path / "new" / "evaluation.json")


def test_curves_that_are_not_defined_are_left_out(tmp_path: Path) -> None:
    write_evaluation(
        tmp_path,
        ABOUT,
        classification={"pneumothorax": Cases([0.1, 0.2], [0, 0])},
        detection={"lesion": [image_boxes("p", [[0, 0, 1, 1]], [0.5], [])]},
        replicates=5,
    )
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"evaluation.json", "model_card_section.md", "reliability.png"}
    assert (
        json.loads((tmp_path / "evaluation.json").read_text())["detection"]["lesion"]["froc_average"]["value"] is None
    )


def test_nothing_to_evaluate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither"):
        write_evaluation(tmp_path / "none", ABOUT)
    assert not list(tmp_path.iterdir())
