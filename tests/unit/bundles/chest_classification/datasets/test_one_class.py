"""A datalist of findings becomes one of classes that exclude each other."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from bundles.chest_classification.scripts.datasets.__main__ import app
from bundles.chest_classification.scripts.datasets.one_class import of_one_class

CLASSES = ("normal", "lung_lesion", "pneumothorax")
FINDINGS = ("lung_lesion", "pneumothorax", "edema")


def row(number: int, *shown: str, unknown: tuple[str, ...] = ()) -> dict[str, Any]:
    """A radiograph of a patient of its own."""
    labels = {name: None if name in unknown else int(name in shown) for name in FINDINGS}
    return {"image": f"{number}.png", "patient": f"P{number}", "labels": labels, "view": "PA"}


def content(each: int = 2) -> dict[str, Any]:
    """Three sections with as many of each class, and one of several findings, one of another, one unknown."""
    sections: dict[str, Any] = {"name": "phantoms"}
    for place, section in enumerate(("training", "validation", "test")):
        first = 100 * place
        rows = [row(first + 10 * kind + n, *shown) for kind, shown in enumerate(((), *((f,) for f in FINDINGS[:2])))
                for n in range(each)]  # fmt: skip
        strange = [
            row(first + 90, "lung_lesion", "pneumothorax"),
            row(first + 91, "edema"),
            row(first + 92, unknown=("edema",)),
        ]
        sections[section] = [*rows, *strange]
    return sections


def test_images_of_one_class_are_kept_and_named() -> None:
    made, left_out = of_one_class(content(), CLASSES)
    assert left_out == {"several": 3, "other": 3, "unknown": 3}
    assert made["name"] == "phantoms"
    assert [list(one["labels"].values()) for one in made["test"]] == [[1, 0, 0]] * 2 + [[0, 1, 0]] * 2 + [[0, 0, 1]] * 2
    assert list(made["test"][0]["labels"]) == list(CLASSES)
    assert made["test"][0]["view"] == "PA"


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(0, 1000))
def test_a_list_of_one_class_stays_as_it_is(per_class: int, seed: int) -> None:
    made, _ = of_one_class(content(4), CLASSES, per_class=per_class, seed=seed)
    assert of_one_class(made, CLASSES, per_class=per_class, seed=seed) == (made, {})
    assert [len(made[section]) for section in ("training", "validation", "test")] == [12, 3 * per_class, 3 * per_class]


def test_a_class_that_a_section_lacks_is_named() -> None:
    with pytest.raises(ValueError, match="no image of 'training' shows normal, pneumonia alone"):
        of_one_class(content(), ("normal", "pneumonia"))
    with pytest.raises(ValueError, match="9 images of each class are wanted"):
        of_one_class(content(), CLASSES, per_class=9)


def test_the_command_writes_in_place_and_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "datalist.json"
    path.write_text(json.dumps(content()))
    command = ["one-class", str(path), "--out", str(path), *(part for name in CLASSES for part in ("--class", name))]
    done = CliRunner().invoke(app, command)
    assert (done.exit_code, "left out: 3 several, 3 other, 3 unknown" in done.output) == (0, True), done.output
    assert len(json.loads(path.read_text())["test"]) == 6
    again = CliRunner().invoke(app, command)
    assert (again.exit_code, "left out: nothing" in again.output) == (0, True)
    wrong = CliRunner().invoke(app, [*command, "--class", "pneumothorx"])
    assert (wrong.exit_code, "did you mean 'pneumothorax'" in wrong.output) == (1, True)
    path.write_text(json.dumps({"training": [{"image": "a"}], "validation": [], "test": []}))
    assert "a row lacks 'labels'" in CliRunner().invoke(app, command).output
