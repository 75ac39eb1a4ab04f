"""Regions of radiographs: what they show, where they lie, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pretraining.data.errors import ArchiveError
from pretraining.experiments.datalists import SECTIONS
from pretraining.experiments.regions import Cut, cut_regions
from tests.unit.pretraining.experiments.made import datalist

ROWS, COLUMNS, SIDE = 120, 100, 64
BOX = [40.0, 50.0, 56.0, 66.0]
sides = st.integers(64, 90)
places = st.floats(-50, 200)


@given(places, places, sides)
def test_a_region_lies_in_its_image_and_holds_its_middle_where_it_can(x: float, y: float, side: int) -> None:
    cut = Cut.around((x, y), side, (ROWS, COLUMNS))
    assert 0 <= cut.column <= COLUMNS - side
    assert 0 <= cut.row <= ROWS - side
    assert cut.of(np.zeros((ROWS, COLUMNS), dtype=np.float32)).shape == (side, side)
    if side / 2 <= x <= COLUMNS - side / 2:
        assert abs(cut.column + side / 2 - x) <= 0.5


@given(places, places, sides)
def test_a_box_in_the_region_covers_the_same_pixels(x: float, y: float, side: int) -> None:
    image = np.zeros((ROWS, COLUMNS), dtype=np.float32)
    x0, y0, x1, y1 = (int(edge) for edge in BOX)
    image[y0:y1, x0:x1] = 1
    cut = Cut.around((x, y), side, (ROWS, COLUMNS))
    region, (left, top, right, bottom) = cut.of(image), (int(edge) for edge in cut.box(BOX))
    assert region.sum() == region[top:bottom, left:right].sum() == (bottom - top) * (right - left)
    assert cut.share(BOX) == pytest.approx(region.sum() / image.sum())


def laid_out(folder: Path, **changes: Any) -> Path:
    """Six images, every other one with a bright square in its box; their names tell nothing."""
    sections: dict[str, Any] = {name: [] for name in SECTIONS}
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(6):
        pixels = np.full((ROWS, COLUMNS), 1000 + number, dtype=np.uint16)
        broken = number % 2
        if broken:
            pixels[50:66, 40:56] = 50000
        Image.fromarray(pixels).save(folder / f"{number}.png")
        row = {"image": f"{number}.png", "patient": f"P{number}", "view": "PA", "rows": ROWS, "columns": COLUMNS}
        row |= {"labels": {"fracture": broken}, "boxes": [BOX] * broken, "classes": [0] * broken}
        sections[SECTIONS[number // 2]].append(row | changes)
    return datalist(folder, **sections)


def test_regions_have_the_pixels_labels_boxes_and_places_of_their_images(tmp_path: Path) -> None:
    path = laid_out(tmp_path / "set")
    assert cut_regions(path.parent, "fracture", SIDE, 3) == 18
    content = json.loads(path.read_text())
    for row in (row for name in SECTIONS for row in content[name]):
        pixels = np.asarray(Image.open(path.parent / row["image"]))
        assert pixels.shape == (SIDE, SIDE) == (row["rows"], row["columns"])
        assert len(row["boxes"]) == len(row["classes"]) == row["labels"]["fracture"]
        assert row["labels"]["fracture"] == (row["patient"] in {"P1", "P3", "P5"})
        for box in row["boxes"]:
            x0, y0, x1, y1 = (int(edge) for edge in box)
            assert (pixels[y0:y1, x0:x1] == 50000).all()
        assert int((pixels == 50000).sum()) == 256 * row["labels"]["fracture"]
        # All lie where the one box of the training section was, moved by a quarter of the side at most.
        assert abs(row["metadata"]["across"] * COLUMNS - 48) <= SIDE / 4 + 1
        assert abs(row["metadata"]["down"] * ROWS - 58) <= SIDE / 4 + 1


def test_cutting_twice_gives_the_same_and_other_regions_come_from_the_whole_images(tmp_path: Path) -> None:
    path = laid_out(tmp_path / "set")
    cut_regions(path.parent, "fracture", SIDE, 2)
    first = path.read_text()
    pixels = {file.name: file.read_bytes() for file in (path.parent / "regions").iterdir()}
    cut_regions(path.parent, "fracture", SIDE, 2)
    assert path.read_text() == first
    assert {file.name: file.read_bytes() for file in (path.parent / "regions").iterdir()} == pixels
    assert cut_regions(path.parent, "fracture", 80, 1) == 6
    assert {row["rows"] for row in json.loads(path.read_text())["test"]} == {80}


@pytest.mark.parametrize(
    ("changes", "side", "told"),
    [
        ({"boxes": [], "classes": [], "labels": {"fracture": 0}}, SIDE, "no box in the training section"),
        ({}, 110, "has 120 × 100 pixels; regions of 110 need more"),
        ({"boxes": [[0.0, 0.0, 100.0, 120.0]], "classes": [0], "labels": {"fracture": 1}}, SIDE, "make them larger"),
        ({"image": "none.png"}, SIDE, "cannot be read|twice"),
    ],
)
def test_what_cannot_be_cut_is_refused(tmp_path: Path, changes: dict[str, Any], side: int, told: str) -> None:
    path = laid_out(tmp_path / "set", **changes)
    before = path.read_text()
    with pytest.raises(ArchiveError, match=told):
        cut_regions(path.parent, "fracture", side, 1)
    assert path.read_text() == before


def test_an_image_with_the_finding_and_without_a_box_is_refused(tmp_path: Path) -> None:
    path = laid_out(tmp_path / "set")
    content = json.loads(path.read_text())
    content["test"][0]["labels"]["fracture"] = 1
    path.write_text(json.dumps(content))
    with pytest.raises(ArchiveError, match="has fracture and no box"):
        cut_regions(path.parent, "fracture", SIDE, 1)
