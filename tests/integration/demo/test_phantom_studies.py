"""Phantom studies before the judges: dciodvfy on every maker's series, the command line, sets in parallel processes."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from app.demo.phantoms import defects
from app.demo.phantoms.acquisition import sample_acquisition
from app.demo.phantoms.dicom_writer import SCANNERS, to_datasets, write_series
from app.demo.phantoms.phantom import Phantom, make_phantom
from app.demo.phantoms.training_set import baseline_auc, join_training_sets, write_training_set

ALLOWED = (
    # Siemens' own fourth value of ImageType; a defined term may be extended (PS3.3 C.8.2.1.1.1).
    "Warning - Unrecognized defined term <CT_SOM5 SEQ> for value 4 of attribute <Image Type>",
)


def complaints(path: Path) -> list[str]:
    """What dciodvfy says beyond the allow-list and the name of the IOD."""
    result = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, timeout=60, check=False)
    lines = [line for line in result.stderr.splitlines() if line and line != "CTImage"]
    return [line for line in lines if line not in ALLOWED]


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    acquisition = sample_acquisition(31, 64, 70.0)
    return make_phantom(31, kinds=("epidural",), acquisition=replace(acquisition, tilt_deg=-12.5))


@pytest.mark.debian
@pytest.mark.parametrize("scanner", sorted(SCANNERS))
def test_every_series_passes_dciodvfy(tmp_path: Path, phantom: Phantom, scanner: str) -> None:
    images = to_datasets(phantom, scanner=SCANNERS[scanner], token="run")
    for path in write_series(images, tmp_path):
        assert complaints(path) == []


@pytest.mark.debian
@pytest.mark.parametrize("script", sorted(defects.NAMES))
def test_names_in_other_scripts_are_valid_dicom(tmp_path: Path, phantom: Phantom, script: str) -> None:
    images = defects.named(to_datasets(phantom)[:1], script)
    assert complaints(write_series(images, tmp_path)[0]) == []


@pytest.mark.debian
def test_the_localizer_is_valid_dicom(tmp_path: Path, phantom: Phantom) -> None:
    scout = defects.with_localizer(to_datasets(phantom))[:1]
    assert complaints(write_series(scout, tmp_path)[0]) == []


def test_the_command_line_writes_studies_with_their_truth(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "app.demo.phantoms", "dicom", str(tmp_path), "--count", "2", "--size", "64"]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    truths = json.loads((tmp_path / "truth.json").read_text())
    assert [truth["presence"] for truth in truths] == [True, False]
    for truth in truths:
        files = sorted((tmp_path / truth["folder"]).iterdir())
        headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
        assert [h.SOPInstanceUID for h in headers] == truth["sop_instance_uids"]
        assert {h.StudyInstanceUID for h in headers} == {truth["study_uid"]}
        assert len(truth["slices"]) == len(files) == truth["images"]


def test_a_training_set_is_written_in_parallel_and_grows(tmp_path: Path) -> None:
    write_training_set(tmp_path, 4, seed=5, workers=2, size=48)
    first = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cases").iterdir()}
    datalist = write_training_set(tmp_path, 6, seed=5, workers=2, size=48, withheld=1.0)
    assert first.items() <= {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cases").iterdir()}.items()
    lists = json.loads(datalist.read_text())
    assert [len(lists[name]) for name in ("training", "validation", "test")] == [5, 0, 1]
    assert all(line["types"] is None and line["slices"] is None for line in lists["training"])
    assert lists["test"][0]["types"] is not None
    for line in (*lists["training"], *lists["test"]):
        assert nibabel.load(tmp_path / line["image"]).shape == nibabel.load(tmp_path / line["mask"]).shape


def test_a_held_out_set_has_test_cases_alone(tmp_path: Path) -> None:
    lists = json.loads(write_training_set(tmp_path, 3, seed=6, workers=1, size=48, held_out=True).read_text())
    assert {name: len(lines) for name, lines in lists.items()} == {"training": 0, "validation": 0, "test": 3}


def test_sets_are_joined_list_by_list(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write_training_set(one, 2, seed=7, workers=1, size=48)
    write_training_set(two, 1, seed=8, workers=1, size=48, held_out=True)
    lists = json.loads(join_training_sets(tmp_path / "both", [one, two]).read_text())
    assert {name: len(lines) for name, lines in lists.items()} == {"training": 2, "validation": 0, "test": 1}
    assert all(Path(line["image"]).is_file() for lines in lists.values() for line in lines)
    with pytest.raises(ValueError, match="repeats the case"):
        join_training_sets(tmp_path / "twice", [one, one])


def test_the_baseline_reads_a_training_set(tmp_path: Path) -> None:
    lines = []
    for index, bright in enumerate((0, 30, 0, 30)):
        volume = np.full((40, 40, 2), 30, dtype=np.int16)
        volume[[0, 1, -1, -2]] = volume[:, [0, 1, -1, -2]] = 1000
        volume[15:25, 15:25] += np.int16(bright)
        nibabel.save(nibabel.Nifti1Image(volume, np.diag([1.0, 1.0, 5.0, 1.0])), tmp_path / f"{index}.nii.gz")
        lines.append({"image": f"{index}.nii.gz", "label": int(bright > 0)})
    (tmp_path / "datalist.json").write_text(json.dumps({"test": lines}))
    scores = baseline_auc(tmp_path / "datalist.json")
    assert (scores.raw, scores.smoothed, scores.cases) == (1.0, 1.0, 4)
