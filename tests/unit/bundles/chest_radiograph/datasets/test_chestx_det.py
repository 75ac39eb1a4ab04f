"""ChestX-Det's JSON."""

import json
from pathlib import Path

import pytest

from bundles.chest_radiograph.scripts.datasets import chestx_det
from bundles.chest_radiograph.scripts.datasets.targets import targets
from bundles.common.datalist.images import ImageFolder
from bundles.common.datalist.problems import Problems
from bundles.common.datalist.records import Reading
from tests.unit.bundles.common.datalist.sets import datalist, picture, records, refusal

TARGETS = targets(["Nodule", "Mass"], ["Pneumothorax"], chestx_det.FINDINGS)
NODULE = {"file_name": "00000042_006.png", "syms": ["Nodule", "Fibrosis"], "boxes": [[10, 20, 30, 40], [0, 0, 100, 90]]}
EMPTY = {"file_name": "00000043_000.png", "syms": [], "boxes": []}


def reader(folder: Path, *, train: list | str | None = None, test: list | None = None, own_split: bool = True):
    paths = {}
    for name, content in (("train", train), ("test", test)):
        paths[name] = None if content is None else folder / f"{name}.json"
        if content is not None:
            text = content if isinstance(content, str) else "[\n" + ",\n".join(json.dumps(e) for e in content) + "\n]\n"
            paths[name].write_text(text, encoding="utf-8")

    def read(problems: Problems) -> Reading:
        images = ImageFolder(folder / "images")
        return chestx_det.read(paths["train"], paths["test"], images, TARGETS, problems, own_split=own_split)

    return read


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("00000042_006.png", "00000043_000.png", "00000042_007.png"):
        picture(tmp_path / "images" / name, 100, 90)
    return tmp_path


def test_boxes_polygons_and_images_without_findings(folder: Path) -> None:
    outline = {"file_name": "00000042_007.png", "syms": ["Pneumothorax"], "polygons": [[[1, 2], [9, 4], [5, 30]]]}
    found = records(reader(folder, train=[NODULE, EMPTY, outline]))
    nodule, empty, air = (found[name] for name in ("00000042_006.png", "00000043_000.png", "00000042_007.png"))
    assert (nodule.boxes, nodule.classes, nodule.patient) == (((10, 20, 30, 40),), (0,), "42")
    assert nodule.more == {"findings": ["Nodule", "Fibrosis"]}
    assert (empty.labels, empty.boxed) == ({"lesion": 0, "pneumothorax": 0}, True)
    assert (air.boxes, air.labels) == (((1, 2, 9, 30),), {"lesion": 0, "pneumothorax": 1})


def test_diffuse_nodules_are_lesions_without_known_boxes(folder: Path) -> None:
    diffuse = {**NODULE, "syms": ["Diffuse Nodule", "Fibrosis"]}
    found = records(reader(folder, train=[diffuse]))["00000042_006.png"]
    assert (found.labels["lesion"], found.boxes, found.boxed) == (1, (), False)


def test_own_split(folder: Path) -> None:
    made = datalist(reader(folder, train=[NODULE], test=[EMPTY]))
    assert [record.key for record in made.splits["test"]] == ["00000043_000.png"]
    again = {**NODULE, "file_name": "00000042_007.png"}
    message = refusal(reader(folder, train=[NODULE], test=[again]))
    assert "patient '42' is in" in message
    assert len(records(reader(folder, train=[NODULE], test=[again], own_split=False))) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"boxes": [[10, 20, 30, 40]]}, "2 findings and 1 boxes"),
        ({"boxes": [[10, 20, 30, 40], [0, 0, 101, 90]]}, "outside of its image of 100×90"),
        ({"boxes": [[10, 20, 30, 40], [5, 5, 5, 9]]}, "has no area"),
        ({"boxes": [[10, 20, 30, 40], [5, 5, 9]]}, "expected four numbers"),
        ({"boxes": [[10, 20, 30, 40], [5, 5, 9, "9"]]}, "expected four numbers"),
        ({"boxes": 3}, "without the list 'boxes'"),
        ({"syms": ["Nodule", "Nodul"]}, "unknown finding 'Nodul', did you mean 'Nodule'?"),
        ({"syms": "Nodule"}, "without the list 'syms'"),
        ({"file_name": 3}, "without 'file_name'"),
        ({"file_name": "00000099_000.png"}, "is not below"),
        ({"file_name": "00000043_000.png"}, "again, with other labels"),
    ],
)
def test_a_damaged_entry_is_refused_with_its_line(folder: Path, change: dict, words: str) -> None:
    message = refusal(reader(folder, train=[EMPTY, {**NODULE, **change}]))
    assert f"{folder / 'train.json'}:3: " in message
    assert words in message


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('[\n{"file_name": "a"\n', 3, "is the file cut off?"),
        ('[\n{"file_name": "a"}\n', 3, "the array is not closed"),
        ('[\n{"file_name": "a"},\n', 3, "is the file cut off?"),
        ('{"a": 1}', 1, "expected a JSON array"),
        ("", 1, "expected a JSON array"),
    ],
)
def test_a_file_cut_off(folder: Path, text: str, line: int, words: str) -> None:
    message = refusal(reader(folder, train=text))
    assert f"train.json:{line}: " in message
    assert words in message
