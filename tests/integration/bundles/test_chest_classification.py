"""The chest configurations run with plain `python -m monai.bundle run`, on phantoms as their generator writes them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from app.demo.phantoms.radiographs.image_set import write_image_set
from app.infer.catalogue import Catalogue
from app.settings import Bundles
from bundles.chest_classification.scripts.datalist import load_chests
from bundles.chest_classification.scripts.findings import CHESS_SIX, PHANTOM_FIVE
from bundles.common.contract import load_service
from pretraining.backbones import make_encoder
from pretraining.export import Training, export_encoder

CONFIGS = "bundles/chest_classification/configs"
SMALL = ("--size", "64", "--batch_size", "8", "--bfloat16", "false", "--epochs", 1)
TWO = "['consolidation','pleural_effusion']"
Run = Callable[..., str]


@pytest.fixture(scope="module")
def chests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a set of phantom chests, large enough for all three parts, and two of them in DICOM."""
    folder = tmp_path_factory.mktemp("chests")
    write_image_set(folder, "chest-opacities", 90, seed=3, workers=1, size=96)
    write_image_set(folder / "dicom", "chest-opacities", 2, seed=4, workers=1, size=128, form="dicom", held_out=True)
    return folder


def test_the_datalist_of_phantoms_loads_as_it_is(chests: Path) -> None:
    content = json.loads((chests / "datalist.json").read_text())
    for section in ("training", "validation", "test"):
        items = load_chests(str(chests / "datalist.json"), section, PHANTOM_FIVE, "multi_label")
        assert [item["labels"] for item in items] == [
            [float(row["labels"][name]) for name in PHANTOM_FIVE] for row in content[section]
        ]
    one = load_chests(str(chests / "datalist.json"), "training", CHESS_SIX, "multi_class")
    assert {sum(item["labels"]) for item in one} == {1.0}


def test_an_exported_encoder_trains_then_weights_are_measured_and_used(
    chests: Path, tmp_path: Path, run_bundle: Run
) -> None:
    torch.manual_seed(3)
    encoder = tmp_path / "encoder.pt"
    described = Training("SimCLR", "resnet18", (64, 64), "0 to 1", "phantom: none", epochs=1, steps=1, commit="test")
    export_encoder(make_encoder("resnet18"), encoder, described)
    where = ("--dataset_dir", chests, "--output_dir", tmp_path / "run", "--classes", TWO)
    printed = run_bundle(f"{CONFIGS}/train.yaml", *where, *SMALL, "--encoder_weights", encoder, "--fraction", 0.5)
    assert "backbone_loaded" in printed
    weights = tmp_path / "weights.pt"
    torch.save(torch.load(tmp_path / "run/checkpoint.pt", weights_only=True)["network"], weights)

    same = ("--size", 64, "--weights", weights, "--classes", TWO)
    out = tmp_path / "evaluation"
    run_bundle(
        f"{CONFIGS}/evaluate.yaml", "--dataset_dir", chests, "--output_dir", out, *same, "--section", "training",
        "--replicates", 10,
    )  # fmt: skip
    written = json.loads((out / "evaluation.json").read_text())
    assert written["data"].startswith("phantom")
    assert set(written["classification"]) == {"consolidation", "pleural_effusion"}
    assert "**Measured on phantoms:**" in (out / "model_card_section.md").read_text()

    out = tmp_path / "results"
    run_bundle(f"{CONFIGS}/inference.yaml", "--input", chests / "dicom", "--output_dir", out, *same)
    results = [json.loads(path.read_text()) for path in sorted(out.rglob("*.json"))]
    assert [sorted(result.keys() - {"notes"}) for result in results] == [["image", "probabilities", "regions"]] * 2


def test_a_part_of_the_labels_that_leaves_a_class_empty_stops_the_training(
    chests: Path, tmp_path: Path, run_bundle: Run
) -> None:
    with pytest.raises(AssertionError, match="leave a class empty"):
        run_bundle(
            f"{CONFIGS}/train.yaml", "--dataset_dir", chests, "--output_dir", tmp_path, *SMALL, "--fraction", 0.01
        )


def test_it_waits_to_be_asked_for_and_then_takes_what_its_sister_takes(root: Path) -> None:
    by_default = Catalogue.load(Bundles(folder=root / "bundles"))
    assert "chest_classification" not in by_default.bundles
    assert "chest_classification" in {each.name for each in by_default.not_served}
    asked = Catalogue.load(Bundles(folder=root / "bundles", enabled=("chest_classification",)))
    assert (list(asked.bundles), asked.refused) == (["chest_classification"], ())
    ours, sisters = (load_service(root / "bundles" / name) for name in ("chest_classification", "chest_radiograph"))
    assert (ours.accepts, ours.view, ours.reads) == (sisters.accepts, sisters.view, sisters.reads)
    assert [output.index for output in ours.findings] == [1, 2, 3, 4]
