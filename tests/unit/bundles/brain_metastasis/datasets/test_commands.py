"""Every set has a command, and the bundle reads what it writes."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bundles.brain_metastasis.scripts.datalist import load_heads
from bundles.brain_metastasis.scripts.datasets.__main__ import app
from bundles.common.masks.grid import source_grid
from tests.unit.bundles.brain_metastasis.datasets import test_brainmetshare, test_brats, test_pairs

SETS = {
    "brats-mets": lambda folder: test_brats.make(folder, test_brats.CASE, test_brats.PARTS),
    "brainmetshare": lambda folder: test_brainmetshare.make(folder, "Mets_005"),
    "pairs": lambda folder: test_pairs.drawn(folder, source_grid(test_pairs.head(folder)[1])),
}


@pytest.mark.parametrize("name", SETS)
def test_the_bundle_reads_what_the_command_writes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SETS[name](tmp_path)
    monkeypatch.chdir(tmp_path)
    arguments = [name, "--images", "set", "--out", "out/datalist.json", "--shares", "1,0,0"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    (item,) = load_heads("out/datalist.json", "training")
    assert item["label"] == 1
    assert Path(item["mask"]).parent == tmp_path / "out" / "made"
    assert Path(item["image"]).exists()


def test_made_files_do_not_go_among_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SETS["brats-mets"](tmp_path)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["brats-mets", "--images", ".", "--out", "out/d.json"])
    assert (result.exit_code, "is below the images" in result.output) == (2, True)
