"""A datalist is checked as a whole before training: what is wrong is named, all of it."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from structlog.testing import capture_logs

from bundles.chest_radiograph.scripts.datalist import load_radiographs

KNOWN = {"lesion": 0, "pneumothorax": None}


def write(folder: Path, *, name: str = "a.png", section: str = "training", **changes: object) -> dict:
    """One sound image of 40 columns and 30 rows, and its row."""
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(folder / name)
    return {"image": name, "boxes": [], "classes": [], "labels": KNOWN, "patient": name, **changes}


def datalist(folder: Path, **sections: list[dict]) -> str:
    (folder / "datalist.json").write_text(json.dumps(sections))
    return str(folder / "datalist.json")


def test_items_have_absolute_paths_and_labels_in_the_order_of_the_classes(tmp_path: Path) -> None:
    rows = [write(tmp_path, boxes=[[1, 2, 5, 9.5]], classes=[1]), write(tmp_path, name="b.png", boxed=False)]
    boxed, empty = load_radiographs(datalist(tmp_path, training=rows), "training")
    assert (boxed["image"], boxed["name"]) == (str(tmp_path / "a.png"), "a.png")
    assert (boxed["boxes"], boxed["classes"], boxed["labels"]) == ([[1, 2, 5, 9.5]], [1], [0, 1])
    assert (empty["boxes"], empty["boxed"]) == ([], False)
    assert empty["labels"][0] == 0
    assert math.isnan(empty["labels"][1])


def test_images_may_lie_elsewhere(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    path = datalist(tmp_path, training=[write(images)])
    assert load_radiographs(path, "training", image_dir=str(images))[0]["image"] == str(images / "a.png")
    with pytest.raises(ValueError, match=r"a\.png: no such image"):
        load_radiographs(path, "training")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"boxes": [[5, 5, 5, 9]], "classes": [0], "labels": {}}, "has no area"),
        (
            {"boxes": [[5, 5, 60, 9]], "classes": [0], "labels": {}},
            "reaches out of the image of 40 columns and 30 rows",
        ),
        ({"boxes": [[5, 5, 9, 9]], "classes": [], "labels": {}}, "1 boxes with classes"),
        ({"boxes": [[5, 5, 9, 9]], "classes": [2], "labels": {}}, "expected one of 0 to 1"),
        ({"boxes": [[5, 5, 9, 9]], "classes": [0]}, "has a box of lesion, and its label says that there is none"),
        ({"labels": {"lesion": 2}}, "expected 0, 1 or null"),
    ],
)
def test_a_wrong_row_is_refused_by_the_file_s_name(tmp_path: Path, changes: dict, words: str) -> None:
    path = datalist(tmp_path, training=[write(tmp_path, name="chest7.png", **changes)])
    with pytest.raises(ValueError, match=rf"chest7\.png: .*{words}"):
        load_radiographs(path, "training")


def test_everything_wrong_is_named_at_once(tmp_path: Path) -> None:
    rows = [
        {"image": f"gone{number}.png", "boxes": [], "classes": [], "labels": KNOWN, "patient": "x"}
        for number in range(30)
    ]
    rows += [{"image": "keyless.png"}]
    with pytest.raises(ValueError, match="31 problems") as raised:
        load_radiographs(datalist(tmp_path, training=rows), "training")
    words = str(raised.value)
    assert all(f"gone{number}.png" in words for number in range(20))
    assert "and 11 more" in words


def test_a_row_without_a_key_says_which(tmp_path: Path) -> None:
    row = write(tmp_path)
    del row["classes"]
    with pytest.raises(ValueError, match=r"a\.png: lacks 'classes'"):
        load_radiographs(datalist(tmp_path, training=[row]), "training")


def test_a_patient_in_two_sections_is_refused(tmp_path: Path) -> None:
    one, two = write(tmp_path, patient="p1"), write(tmp_path, name="b.png", patient="p1")
    with pytest.raises(ValueError, match="patient 'p1' is in test and training"):
        load_radiographs(datalist(tmp_path, training=[one], test=[two]), "training")


def test_unlabelled_images_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [write(tmp_path), write(tmp_path, name="b.png", labels={})]
    with capture_logs() as logs:
        assert len(load_radiographs(datalist(tmp_path, training=rows), "training")) == 1
    assert logs == [
        {"event": "unlabelled_left_out", "section": "training", "images": 1, "of": 2, "log_level": "warning"}
    ]


def test_an_empty_section_and_a_missing_file_are_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no images in 'test'"):
        load_radiographs(datalist(tmp_path, training=[write(tmp_path)]), "test")
    with pytest.raises(ValueError, match="is missing"):
        load_radiographs(str(tmp_path / "other.json"), "training")
