"""The verbs export and probe, run as people run them, on an archive made here."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from bundles.common.encoder_weights import read_encoder_manifest
from pretraining.backbones import make_encoder
from pretraining.cli import app
from pretraining.data.index import Settings, build_index
from pretraining.data.patients import Patients, Shares
from pretraining.data.plan import read_labels
from pretraining.data.shards import StoreSettings, build_store

PATIENTS = 60
RUN = {
    "objective": "SimCLR",
    "backbone": "resnet18",
    "image_size": [32, 32],
    "value_range": "percentiles 1 and 99",
    "data": "phantom: noise",
    "epochs": 2,
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures a patient; those with the finding hold a bright disc; view 1 is told by the label alone."""
    folder = tmp_path_factory.mktemp("archive")
    rng = np.random.default_rng(0)
    lines = ["image,sick,view,age"]
    rows, columns = np.mgrid[:32, :32]
    for patient in range(PATIENTS):
        sick = patient % 2
        for view in range(2):
            pixels = rng.integers(0, 120, (32, 32))
            if sick:
                pixels[(rows - 16) ** 2 + (columns - 16) ** 2 < 80] += 120
            name = f"p{patient:03d}_{view}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
            lines.append(f"{name},{sick if (patient, view) != (0, 0) else ''},{view},{40 + 20 * sick}")
    (folder / "labels.csv").write_text("\n".join(lines))
    work = tmp_path_factory.mktemp("work")
    settings = Settings(Patients(pattern=r"(p\d+)_"), Shares(0.5, 0.1, 0.4), modality="DX")
    build_index(folder, work / "index.parquet", settings)
    labels = read_labels(folder / "labels.csv", "image", ("sick", "view", "age"))
    build_store(folder, work / "index.parquet", work / "store", StoreSettings(labels=labels))
    return work / "store"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run")
    state = {f"encoder.{name}": tensor for name, tensor in make_encoder("resnet18").state_dict().items()}
    torch.save({"objective": state | {"queue": torch.zeros(3)}, "step": 40}, folder / "checkpoint.pt")
    (folder / "run.json").write_text(json.dumps(RUN))
    return folder / "checkpoint.pt"


def call(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def test_export_takes_what_the_run_says(checkpoint: Path, tmp_path: Path) -> None:
    code, output = call("export", checkpoint, tmp_path / "encoder.pt")
    assert (code, "resnet18, 512 features" in output) == (0, True), output
    manifest = read_encoder_manifest(tmp_path / "encoder.pt")
    assert (manifest.objective, manifest.epochs, manifest.steps) == ("SimCLR", 2, 40)


def test_options_go_before_the_run(checkpoint: Path, tmp_path: Path) -> None:
    code, output = call("export", checkpoint, tmp_path / "e.pt", "--epochs", 7, "--steps", 9, "--image-size", "64x48")
    assert code == 0, output
    manifest = read_encoder_manifest(tmp_path / "e.pt")
    assert (manifest.epochs, manifest.steps, manifest.image_size) == (7, 9, (64, 48))


def test_without_a_run_the_missing_facts_are_named(checkpoint: Path, tmp_path: Path) -> None:
    alone = tmp_path / "checkpoint.pt"
    alone.write_bytes(checkpoint.read_bytes())
    code, output = call("export", alone, tmp_path / "e.pt", "--backbone", "resnet18")
    assert code == 1
    assert "lacks objective, image_size, value_range, data, epochs" in " ".join(output.split())
    assert not (tmp_path / "e.pt").exists()


def test_a_bad_size_is_explained(checkpoint: Path, tmp_path: Path) -> None:
    code, output = call("export", checkpoint, tmp_path / "e.pt", "--image-size", "big")
    assert code == 2
    assert "224x224" in output


def test_probe_measures_the_encoder_beside_its_baselines(store: Path, checkpoint: Path, tmp_path: Path) -> None:
    assert call("export", checkpoint, tmp_path / "encoder.pt")[0] == 0
    code, output = call(
        "probe", store, "sick", tmp_path / "encoder.pt", "--metadata", "view", "--metadata", "age",
        "--within", "view", "--replicates", 50, "--output", tmp_path / "table.md",
    )  # fmt: skip
    assert code == 0, output
    table = (tmp_path / "table.md").read_text()
    assert table.strip() in output
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    found = {tuple(row[:3]): float(row[3]) for row in cells}
    names = ("SimCLR (encoder)", "random weights, resnet18, seed 0", "metadata")
    strata = ("all", "view = 0", "view = 1")
    assert set(found) == {(name, method, part) for name in names for method in ("kNN", "linear") for part in strata}
    assert found["metadata", "linear", "all"] == 1.0
    assert found["SimCLR (encoder)", "linear", "all"] > 0.9


def test_retrieve_tells_how_often_a_view_finds_its_own_other_half(
    store: Path, checkpoint: Path, tmp_path: Path
) -> None:
    assert call("export", checkpoint, tmp_path / "encoder.pt")[0] == 0
    code, output = call(
        "retrieve", store, tmp_path / "encoder.pt", "--area", 0.9, 1, "--rotation", 0, "--split", "train"
    )
    assert code == 0, output
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in output.splitlines()
        if line.startswith(("| S", "| r"))
    ]
    assert [row[0] for row in rows] == ["SimCLR (encoder)", "random weights, resnet18, seed 0"]
    assert rows[0][1:] == rows[1][1:]  # the encoder of this test has those very weights
    share, images = float(rows[0][1]), int(rows[0][4])
    assert float(rows[0][5]) == pytest.approx(1 / images, abs=1e-3)
    assert share > 10 / images
    small = call("retrieve", store, tmp_path / "encoder.pt", "--area", 0.05, 0.2, "--split", "train")
    found = next(line for line in small[1].splitlines() if line.startswith("| SimCLR"))
    assert float(found.split("|")[2]) < share
    code, output = call("retrieve", store, tmp_path / "encoder.pt", "--split", "tests")
    assert (code, "error: " in output) == (1, True)


def test_probe_names_the_labels_there_are(store: Path, checkpoint: Path, tmp_path: Path) -> None:
    assert call("export", checkpoint, tmp_path / "encoder.pt")[0] == 0
    code, output = call("probe", store, "ill", tmp_path / "encoder.pt")
    assert code == 1
    assert "no label 'ill'; there are: sick, view, age" in " ".join(output.split())


def test_probe_refuses_the_answer_as_metadata(store: Path, checkpoint: Path, tmp_path: Path) -> None:
    assert call("export", checkpoint, tmp_path / "encoder.pt")[0] == 0
    code, output = call("probe", store, "sick", tmp_path / "encoder.pt", "--metadata", "sick", "--replicates", 5)
    assert code == 1
    assert "cannot be the metadata as well" in output


def test_help_is_quick_because_nothing_heavy_is_loaded() -> None:
    script = (
        "import sys, pretraining.cli; print([name for name in ('torch', 'monai', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
