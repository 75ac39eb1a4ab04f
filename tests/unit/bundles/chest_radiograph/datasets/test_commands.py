"""Every set has a command that writes a datalist, or stops with the line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bundles.chest_radiograph.scripts.datasets.__main__ import app
from tests.unit.bundles.chest_radiograph.datasets.test_any_bytes import IMAGE, JPEG, SETS
from tests.unit.bundles.common.datalist.sets import picture, radiograph

ARGUMENTS = {
    "vinbigdata": ["--csv", "vinbigdata"],
    "siim": ["--csv", "siim"],
    "nih": ["--entries", "nih", "--boxes", "boxes of nih"],
    "nih-joined": ["--labels", "nih joined"],
    "chexpert": ["--csv", "chexpert", "--blank", "absent", "--view", "ap"],
    "chestx-det": ["--train", "chestx-det"],
    "lidc": ["--xml", "."],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, (text, _) in SETS.items():
        Path("lidc.xml" if name == "lidc" else name).write_text(text, encoding="utf-8")
    for name in ("a.png", "b.png", IMAGE, JPEG):
        picture(tmp_path / "images" / name, 100, 100)
    radiograph(tmp_path / "images" / "x.dcm", 100, 100, SOPInstanceUID="1.2.3", SeriesInstanceUID="1.9", Modality="DX")
    return tmp_path


@pytest.mark.parametrize("command", ARGUMENTS)
def test_writes_a_datalist(folder: Path, command: str) -> None:
    arguments = [command, *ARGUMENTS[command], "--images", "images", "--out", "out/datalist.json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    content = json.loads((folder / "out" / "datalist.json").read_text(encoding="utf-8"))
    assert content["classes"] == {"0": "lesion", "1": "pneumothorax"}
    assert sum(len(content[split]) for split in ("training", "validation", "test")) > 0
    assert "patients" in result.output


def test_stops_with_the_line(folder: Path) -> None:
    path = folder / "siim"
    path.write_text(path.read_text(encoding="utf-8").replace("3 4 50 6", "3 4 50"), encoding="utf-8")
    arguments = ["siim", "--csv", "siim", "--images", "images", "--out", "datalist.json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "siim:2: 3 numbers of run lengths, expected pairs" in result.output
    assert not (folder / "datalist.json").exists()
    assert CliRunner().invoke(app, [*arguments, "--leave-out"]).exit_code == 0


def test_no_file_at_all(folder: Path) -> None:
    result = CliRunner().invoke(app, ["chestx-det", "--images", "images", "--out", "datalist.json"])
    assert result.exit_code == 2
    assert "give --train, --test, or both" in result.output
    result = CliRunner().invoke(app, ["siim", "--csv", "none.csv", "--images", "images", "--out", "datalist.json"])
    assert (result.exit_code, "none.csv: No such file" in result.output) == (1, True)
    assert not (folder / "datalist.json").exists()
