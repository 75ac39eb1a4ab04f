"""Every preset, shrunk, completes two epochs on a folder of DICOM, of NIfTI and of PNG, and leaves what it promises."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import run as run_bundle

from bundles.common.encoder_weights import load_encoder
from pretraining.backbones import make_encoder
from pretraining.data.store import ImageStore
from pretraining.embedding import embed
from pretraining.evaluation import batches
from tests.integration.pretraining.runs import ROOT, losses, pictures, radiographs, series, train, volumes

LEFT = {
    "checkpoint.pt",
    "embedding.png",
    "encoder.json",
    "encoder.pt",
    "history.csv",
    "loss.png",
    "run.json",
    "summary.json",
    "tensorboard",
    "views.png",
}
FORMATS_2D: dict[str, Callable[[Path], Path]] = {"dicom": radiographs, "nifti": volumes, "png": pictures}
PRESETS_2D = ("wrist_simclr", "ghesu_swav_2d", "ghesu_hybrid", "thesis_moco", "thesis_simclr", "chess_moco")


def labels_csv(path: Path, folder: Path, *, unknown: int = 3) -> Path:
    """Labels of most files, 0 and 1 in turn."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "finding"])
        for number, found in enumerate(files):
            writer.writerow([found.name, "" if number % unknown == unknown - 1 else number % 2])
    return path


@pytest.mark.parametrize("kind", FORMATS_2D)
@pytest.mark.parametrize("preset", PRESETS_2D)
def test_a_preset_completes_two_epochs(tmp_path: Path, preset: str, kind: str) -> None:
    folder = FORMATS_2D[kind](tmp_path / "archive")
    changes = {"labels": str(labels_csv(tmp_path / "labels.csv", folder)), "label_names": ["finding"]}
    out = train("ssl_2d", (preset,), folder, tmp_path, **(changes if preset == "ghesu_hybrid" else {}))
    curve = losses(out)
    assert len(curve) == 4
    assert np.isfinite(curve).all()
    energy = {"energy.json"} if preset.startswith("ghesu") else set()
    assert {path.name for path in out.iterdir()} == LEFT | energy
    assert load_encoder(make_encoder("resnet18"), out / "encoder.pt").complete
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["step"], summary["epoch"]) == (4, 2)


@pytest.mark.parametrize(
    ("overlays", "kind"),
    [((), series), (("ghesu_swav_3d",), series), (("ghesu_swav_3d",), volumes), (("moco_3d",), volumes)],
)
def test_a_preset_trains_on_volumes(tmp_path: Path, overlays: tuple[str, ...], kind: Callable[..., Path]) -> None:
    folder = kind(tmp_path / "archive", count=4, slices=10)
    out = train("ssl_3d", overlays, folder, tmp_path, batch_size=4)
    assert len(losses(out)) == 2
    assert load_encoder(make_encoder("dense3d"), out / "encoder.pt").complete


def test_modalities_have_prototypes_of_their_own(tmp_path: Path) -> None:
    radiographs(tmp_path / "archive" / "dx", 6, "DX")
    radiographs(tmp_path / "archive" / "us", 6, "US")
    out = train("ssl_2d", ("ghesu_swav_2d",), tmp_path / "archive", tmp_path)
    state = torch.load(out / "checkpoint.pt", weights_only=True)["objective"]
    assert state["prototypes.vectors"].shape == (2 * 6, 128)
    assert len(losses(out)) == 6


def test_the_probe_is_told_while_training_runs(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "archive", 40)
    labels = labels_csv(tmp_path / "labels.csv", folder)
    changes = {"labels": str(labels), "label_names": ["finding"], "probe_label": "finding"}
    shares = {"split": "train", "shares": [0.6, 0.4, 0.0]}
    out = train("ssl_2d", ("thesis_simclr",), folder, tmp_path, **changes, **shares)
    probe = json.loads((out / "summary.json").read_text())["probe"]
    assert probe["epoch"] == 2
    assert 0 <= probe["kNN"]["low"] <= probe["kNN"]["value"] <= probe["kNN"]["high"] <= 1
    assert set(probe) == {"epoch", "kNN", "linear"}


def test_an_encoder_begins_the_next_training(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "archive")
    first = train("ssl_2d", ("thesis_simclr",), folder, tmp_path)
    changes = {"initial_encoder": str(first / "encoder.pt"), "output_dir": str(tmp_path / "next"), "learning_rate": 0.0}
    second = train("ssl_2d", ("thesis_moco",), folder, tmp_path, **changes)
    old, new = (torch.load(out / "encoder.pt", weights_only=True) for out in (first, second))
    # The running statistics move; at a learning rate of 0 nothing else may.
    trained = [name for name in old if "running" not in name and "num_batches" not in name]
    assert all(torch.equal(old[name], new[name]) for name in trained)


@pytest.mark.parametrize("ending", ["npz", "parquet"])
def test_an_exported_encoder_embeds_a_folder_without_pretraining(tmp_path: Path, ending: str) -> None:
    folder = pictures(tmp_path / "archive")
    out = train("ssl_2d", ("thesis_simclr",), folder, tmp_path)
    config = ROOT / "bundles/ssl_2d/configs/inference.yaml"
    assert "pretraining." not in "".join(line for line in config.read_text().splitlines() if not line.startswith("#"))
    target = tmp_path / f"vectors.{ending}"
    settings = {"input": str(folder), "weights": str(out / "encoder.pt"), "output": str(target), "device": "cpu"}
    run_bundle(config_file=str(config), image_size=[32, 32], **settings)
    names, features = read_vectors(target)
    assert names == [f"image{number:02d}.png" for number in range(8)]

    encoder = make_encoder("resnet18")
    load_encoder(encoder, out / "encoder.pt")
    expected = embed(encoder, batches(ImageStore(tmp_path / "store")), (32, 32)).features
    # Two ways to shrink an image: near, not equal.
    cosine = torch.nn.functional.cosine_similarity(torch.from_numpy(features), torch.from_numpy(expected))
    assert float(cosine.min()) > 0.99


def read_vectors(path: Path) -> tuple[list[str], np.ndarray]:
    if path.suffix == ".npz":
        found = np.load(path)
        return list(found["names"]), found["features"]
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    return table["name"].to_pylist(), np.array(table["features"].to_pylist(), dtype=np.float32)


def test_volumes_are_embedded_by_series(tmp_path: Path) -> None:
    folder = series(tmp_path / "archive")
    out = train("ssl_3d", (), folder, tmp_path, batch_size=4)
    target = tmp_path / "vectors.npz"
    settings = {"input": str(folder), "weights": str(out / "encoder.pt"), "output": str(target), "device": "cpu"}
    config = ROOT / "bundles/ssl_3d/configs/inference.yaml"
    run_bundle(config_file=str(config), image_size=[8, 64, 64], **settings)
    names, features = read_vectors(target)
    assert names == [f"series{number}" for number in range(4)]
    assert features.shape == (4, 1024)


def test_an_encoder_is_measured_beside_random_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pictures(tmp_path / "archive", 40)
    labels = labels_csv(tmp_path / "labels.csv", folder)
    table = {"labels": str(labels), "label_names": ["finding"], "shares": [0.5, 0.0, 0.5]}
    out = train("ssl_2d", ("thesis_simclr",), folder, tmp_path, **table)
    config = ROOT / "bundles/ssl_2d/configs/evaluate.yaml"
    where = {
        "dataset_dir": str(folder),
        "store_dir": str(tmp_path / "store"),
        "output_dir": str(tmp_path / "evaluated"),
    }
    settings = {"weights": str(out / "encoder.pt"), "image_size": 32, "replicates": 50, "device": "cpu"}
    run_bundle(config_file=str(config), **where, **settings, **table)
    written = (tmp_path / "evaluated" / "evaluation.md").read_text()
    assert written in capsys.readouterr().out
    assert [line.split("|")[1:3] for line in written.splitlines()[2:]] == [
        [" encoder ", " kNN "],
        [" encoder ", " linear "],
        [" random weights ", " kNN "],
        [" random weights ", " linear "],
    ]
