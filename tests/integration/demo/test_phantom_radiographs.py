"""Phantom radiographs before the judges: dciodvfy for every kind and maker, the command line, sets in processes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from app.demo.phantoms.radiographs.image_set import write_image, write_image_set
from app.demo.phantoms.radiographs.kinds import KINDS, make_radiograph
from app.demo.phantoms.radiographs.studies import write_radiographs
from app.demo.phantoms.radiographs.writer import SYSTEMS, to_dataset
from app.demo.phantoms.training_set import join_training_sets
from bundles.common.reader import read_stack

# What a silent header means: the system does not know what it has taken.
ALLOWED = (
    (
        "Warning - is only permitted to be empty when actually unknown; should be absent (not empty) if an unpaired "
        "body part, and have a value if a paired body part - attribute <Laterality>"
    ),
)


def complaints(path: Path) -> list[str]:
    """What dciodvfy says beyond the allow-list and the name of the IOD."""
    result = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, timeout=60, check=False)
    lines = [line for line in result.stderr.splitlines() if line not in {"", "CRImage", "DXImageForPresentation"}]
    return [line for line in lines if line not in ALLOWED]


@pytest.mark.debian
@pytest.mark.parametrize("kind", KINDS)
def test_every_radiograph_passes_dciodvfy(tmp_path: Path, kind: str) -> None:
    radiograph = make_radiograph(kind, 5, 64)
    for name, system in SYSTEMS.items():
        path = tmp_path / f"{name}.dcm"
        to_dataset(radiograph, system=system, token="run").save_as(path, enforce_file_format=True)
        assert complaints(path) == []


def test_the_command_line_writes_studies_with_their_truth(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app.demo.phantoms", "radiographs", "dicom", "wrist", str(tmp_path)]
    subprocess.run([*command, "--count", "2", "--size", "128"], check=True, timeout=240, capture_output=True)
    truths = json.loads((tmp_path / "truth.json").read_text())
    assert [truth["labels"] for truth in truths] == [{"fracture": 1}, {"fracture": 0}]
    for truth in truths:
        files = sorted((tmp_path / truth["folder"]).iterdir())
        headers = [dcmread(path, stop_before_pixels=True) for path in files]
        assert [h.SOPInstanceUID for h in headers] == [image["sop_instance_uid"] for image in truth["images"]]
        assert {h.StudyInstanceUID for h in headers} == {truth["study_uid"]}
        assert [image["view"] for image in truth["images"]] == ["PA", "LATERAL"]


def test_chest_studies_take_turns(tmp_path: Path) -> None:
    studies = write_radiographs(tmp_path, "chest", 4, seed=3, size=96)
    assert [(study.labels["lesion"], study.labels["pneumothorax"]) for study in studies] == [
        (1, 0),
        (0, 0),
        (0, 1),
        (0, 0),
    ]


def test_the_services_reader_sees_bone_bright_in_every_format(tmp_path: Path) -> None:
    radiograph = make_radiograph("wrist", 8, 96)
    for name, system in SYSTEMS.items():
        path = tmp_path / f"{name}.dcm"
        to_dataset(radiograph, system=system).save_as(path, enforce_file_format=True)
        seen = read_stack([path]).array[0]
        assert np.corrcoef(seen.ravel(), radiograph.picture.ravel())[0, 1] > 0.99


def test_a_set_is_written_in_processes_and_grows(tmp_path: Path) -> None:
    write_image_set(tmp_path, "views", 4, seed=5, workers=2, size=64)
    first = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cases").iterdir()}
    lists = json.loads(write_image_set(tmp_path, "views", 6, seed=5, workers=1, size=64).read_text())
    assert first.items() <= {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cases").iterdir()}.items()
    assert [len(lists[name]) for name in ("training", "validation", "test")] == [5, 0, 1]
    for line in (*lists["training"], *lists["test"]):
        with Image.open(tmp_path / line["image"]) as picture:
            assert picture.size == (line["columns"], line["rows"])
            assert int(np.asarray(picture).max()) > 255
        assert len(line["boxes"]) == len(line["classes"])
    with pytest.raises(ValueError, match="another folder"):
        write_image(tmp_path, "chest", 5_000_000, 96, "png")


def test_sets_of_different_kinds_are_joined(tmp_path: Path) -> None:
    one = write_image_set(tmp_path / "one", "wrist", 2, seed=1, workers=1, size=64, form="dicom", held_out=True)
    two = write_image_set(tmp_path / "two", "hand", 1, seed=1, workers=1, size=64)
    lists = json.loads(join_training_sets(tmp_path / "both", [one.parent, two.parent]).read_text())
    assert {name: len(lines) for name, lines in lists.items()} == {"training": 1, "validation": 0, "test": 2}
    assert all(Path(line["image"]).is_file() for lines in lists.values() for line in lines)
    with pytest.raises(ValueError, match="repeats the case"):
        join_training_sets(tmp_path / "twice", [one.parent, one.parent])
