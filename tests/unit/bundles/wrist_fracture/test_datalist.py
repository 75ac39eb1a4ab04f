"""A datalist of wrists is checked as a whole: unknown labels are left out and counted, all that is wrong is named."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from structlog.testing import capture_logs

from bundles.wrist_fracture.scripts.datalist import load_wrists

GRAZ = {str(number): name for number, name in enumerate(("boneanomaly", "bonelesion", "foreignbody", "fracture"))}


def row(folder: Path, name: str = "a.png", fracture: int | None = 0, **changes: object) -> dict:
    """One sound image of 40 columns and 30 rows, and its row."""
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(folder / name)
    base = {"image": name, "boxes": [], "classes": [], "labels": {"fracture": fracture}, "patient": name}
    return {**base, **changes}


def datalist(folder: Path, **content: object) -> str:
    (folder / "datalist.json").write_text(json.dumps(content))
    return str(folder / "datalist.json")


def test_items_have_absolute_paths_and_one_label(tmp_path: Path) -> None:
    broken = row(tmp_path, fracture=1, boxes=[[1, 2, 5, 9.5]], classes=[0])
    first, second = load_wrists(datalist(tmp_path, training=[broken, row(tmp_path, "b.png")]), "training")
    assert (first["image"], first["name"], first["patient"]) == (str(tmp_path / "a.png"), "a.png", "a.png")
    assert (first["label"], first["boxes"]) == (1.0, [[1, 2, 5, 9.5]])
    assert (second["label"], second["boxes"]) == (0.0, [])


def test_boxes_of_other_objects_are_no_fracture(tmp_path: Path) -> None:
    rows = [
        row(tmp_path, boxes=[[1, 2, 5, 9]], classes=[1]),
        row(tmp_path, "b.png", 1, boxes=[[1, 2, 5, 9], [2, 2, 9, 9]], classes=[0, 3]),
    ]
    items = load_wrists(datalist(tmp_path, classes=GRAZ, training=rows), "training")
    assert [(item["label"], item["boxes"]) for item in items] == [(0.0, []), (1.0, [[2, 2, 9, 9]])]


def test_unknown_labels_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [row(tmp_path), row(tmp_path, "b.png", None), row(tmp_path, "c.png", labels={"abnormal": 1})]
    with capture_logs() as logs:
        items = load_wrists(datalist(tmp_path, training=rows), "training")
    assert [item["name"] for item in items] == ["a.png"]
    expected = {"event": "unlabelled_left_out", "section": "training", "images": 2, "of": 3, "log_level": "warning"}
    assert logs == [expected]


def test_another_label_can_be_learned(tmp_path: Path) -> None:
    rows = [row(tmp_path, fracture=None, labels={"abnormal": 1, "fracture": None})]
    path = datalist(tmp_path, classes=GRAZ, training=rows)
    assert load_wrists(path, "training", finding="abnormal")[0]["label"] == 1.0
    with pytest.raises(ValueError, match="nobody says of any image in 'training' whether it shows 'fracture'"):
        load_wrists(path, "training")


def test_missing_images_are_named_all_at_once_beside_everything_else(tmp_path: Path) -> None:
    gone = [{**row(tmp_path), "image": f"gone{number}.png", "patient": "x"} for number in range(12)]
    contradiction = row(tmp_path, "c.png", boxes=[[1, 2, 5, 9]], classes=[0])
    outside = row(tmp_path, "d.png", 1, boxes=[[1, 2, 50, 9]], classes=[0])
    flat = row(tmp_path, "e.png", 1, boxes=[[1, 2, 1, 9]], classes=[0])
    wrong = row(tmp_path, "f.png", labels={"fracture": [1]})
    rows = [*gone, contradiction, outside, flat, wrong, "g.png"]
    with pytest.raises(ValueError, match="17 problems") as raised:
        load_wrists(datalist(tmp_path, training=rows), "training")
    words = str(raised.value)
    assert all(f"gone{number}.png: no such image" in words for number in range(12))
    assert "c.png: has a box of fracture, and its label says that there is none" in words
    assert "d.png: box [1.0, 2.0, 50.0, 9.0] reaches out" in words
    assert "e.png: box [1.0, 2.0, 1.0, 9.0] has no area" in words
    assert "f.png: label of fracture is [1], expected 0, 1 or null" in words
    assert "entry 16 of 'training' is no item: 'g.png'" in words


def test_a_patient_in_two_parts_is_refused(tmp_path: Path) -> None:
    one, two = row(tmp_path, patient="p1"), row(tmp_path, "b.png", patient="p1")
    with pytest.raises(ValueError, match="patient 'p1' is in training and validation"):
        load_wrists(datalist(tmp_path, training=[one], validation=[two]), "training")


@pytest.mark.parametrize(
    ("text", "words"), [("[]", "expected the sections"), ("{", "no JSON"), ("{}", "no images in 'test'")]
)
def test_a_file_that_is_no_datalist_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "datalist.json").write_text(text)
    with pytest.raises(ValueError, match=words):
        load_wrists(str(tmp_path / "datalist.json"), "test")


def test_a_missing_datalist_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is missing; write one with bundles\.wrist_fracture\.scripts\.datasets"):
        load_wrists(str(tmp_path / "datalist.json"), "training")
