"""What of a datalist is taken: labels, one class of several, parts, settings; and what is refused."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bundles.chest_classification.scripts.datalist import class_of, load_chests

SIX = ("normal", "lung_lesion", "consolidation", "interstitial_opacity", "pleural_effusion", "pneumothorax")
ABSENT: dict[str, int | None] = dict.fromkeys(SIX[1:], 0)


def write(folder: Path, rows: list[dict[str, Any]], section: str = "training") -> str:
    for row in rows:
        Image.new("L", (8, 8)).save(folder / row["image"])
    path = folder / "datalist.json"
    path.write_text(json.dumps({section: rows}))
    return str(path)


def row(number: int, patient: str = "", **labels: int | None) -> dict[str, Any]:
    return {"image": f"{number}.png", "patient": patient or f"P{number}", "labels": labels}


def test_labels_come_in_the_order_of_the_classes_and_unknown_ones_are_nan(tmp_path: Path) -> None:
    rows = [row(0, edema=1, pneumothorax=0), row(1, edema=None, pneumothorax=1), row(2, edema=0), row(3, hernia=1)]
    items = load_chests(write(tmp_path, rows), "training", ["pneumothorax", "edema"], "multi_label")
    assert [item["name"] for item in items] == ["0.png", "1.png", "2.png"]
    assert [item["labels"][0] for item in items[:2]] == [0.0, 1.0]
    assert (items[0]["labels"][1], math.isnan(items[1]["labels"][1]), math.isnan(items[2]["labels"][0])) == (
        1.0,
        True,
        True,
    )


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (ABSENT, 0),
        ({**ABSENT, "pneumothorax": 1}, 5),
        ({**ABSENT, "pneumothorax": 1, "cardiomegaly": 1}, 5),
        ({**ABSENT, "pneumothorax": 1, "consolidation": 1}, "several"),
        ({**ABSENT, "pneumothorax": 1, "normal": 1}, "several"),
        ({**ABSENT, "pneumothorax": 1, "consolidation": None}, "unknown"),
        ({**ABSENT, "cardiomegaly": 1}, "other"),
        ({**ABSENT, "cardiomegaly": None}, "unknown"),
        ({**ABSENT, "normal": 0}, "other"),
        ({"normal": 1}, 0),
        ({}, "unknown"),
    ],
)
def test_an_image_is_of_one_class_only_where_that_is_sure(labels: dict[str, int | None], expected: int | str) -> None:
    assert class_of(labels, SIX) == expected


def test_without_normal_among_the_classes_an_empty_chest_is_of_none() -> None:
    assert class_of(ABSENT, SIX[1:]) == "other"


def test_a_part_of_the_labels_is_of_training_alone(tmp_path: Path) -> None:
    rows = [row(number, edema=number % 2) for number in range(40)]
    path = write(tmp_path, rows)
    half = load_chests(path, "training", ["edema"], "multi_label", choice={"fraction": 0.5, "seed": 1})
    assert (len(half), sum(item["labels"][0] for item in half)) == (20, 10)
    (tmp_path / "validation").mkdir()
    held = write(tmp_path / "validation", rows, "validation")
    assert len(load_chests(held, "validation", ["edema"], "multi_label", choice={"fraction": 0.5})) == 40
    with pytest.raises(ValueError, match=r"1 % of the labels .* leave a class empty"):
        load_chests(path, "training", ["edema"], "multi_label", choice={"fraction": 0.01})


def test_settings_count_images_of_one_class(tmp_path: Path) -> None:
    rows = [row(number, **{**ABSENT, SIX[1 + number % 2]: 1}) for number in range(9)]
    two = ["lung_lesion", "consolidation"]
    path = write(tmp_path, rows)
    under = load_chests(path, "training", two, "multi_class", choice={"setting": "undersampled"})
    assert [sum(item["labels"][place] for item in under) for place in (0, 1)] == [4, 4]
    with pytest.raises(ValueError, match="they need task multi_class"):
        load_chests(path, "training", two, "multi_label", choice={"setting": "undersampled"})


def test_a_class_that_the_source_does_not_have_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, [row(0, edema=1, hernia=None), row(1, edema=0)])
    with pytest.raises(ValueError, match=r"nothing in 'training' is told of hernia; its labels are of edema"):
        load_chests(path, "training", ["edema", "hernia"], "multi_label")


def test_other_trouble_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, [row(0, edema=2), row(1, edema=0)])
    (tmp_path / "1.png").unlink()
    with pytest.raises(ValueError, match=r"(?s)2 problems.*label of edema is 2.*1.png: no such image"):
        load_chests(path, "training", ["edema"], "multi_label")
    with pytest.raises(ValueError, match=r"bundles\.chest_classification\.scripts\.datasets"):
        load_chests(str(tmp_path / "none.json"), "training", ["edema"], "multi_label")
    with pytest.raises(TypeError, match="fractions"):
        load_chests(path, "training", ["edema"], "multi_label", choice={"fractions": 1})


def test_where_nothing_is_known_of_any_image_it_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, [row(0, **{**ABSENT, "lung_lesion": 1, "pneumothorax": 1})])
    with pytest.raises(ValueError, match="of no image in 'training' is it known"):
        load_chests(path, "training", ["lung_lesion", "pneumothorax"], "multi_class")
