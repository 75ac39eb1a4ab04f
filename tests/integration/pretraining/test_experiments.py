"""The small experiments of docs/experiments: their images are laid out, and each recipe trains, shrunk."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import run as run_bundle
from PIL import Image
from typer.testing import CliRunner

from bundles.common.metrics.cases import patient_id
from pretraining.experiments.datalists import read
from pretraining.experiments.layout import SHARES
from pretraining.experiments.prepare import app, nih_rows
from tests.integration.pretraining.runs import ROOT, losses, textures, volumes

RECIPES = ROOT / "pretraining" / "experiments"
SHRUNK: dict[str, Any] = {
    "epochs": 1,
    "batch_size": 4,
    "archive_workers": 0,
    "shares": [0.8, 0.1, 0.1],
    "split": "all",
    "device": "cpu",
    "plot_images": 4,
    "warm_up_epochs": 0,
}


def nih(folder: Path, own: int = 8, both: int = 12) -> Path:
    """Two sets as they lie in the folder of real images: 8 images, and 5 of which the first also has one."""
    for name, numbers in (("cxr_nih", range(own)), ("cxr_nih64", range(own - 1, both))):
        (folder / name / "images").mkdir(parents=True)
        with (folder / name / "labels.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["image", "patient_id", "view", "findings"])
            for number, pixels in zip(numbers, textures(len(numbers)), strict=True):
                finding = "Mass|Nodule" if number < own / 2 else "No Finding"
                writer.writerow([f"{number:02d}.png", number // 2, "AP" if number % 2 else "PA", finding])
                Image.fromarray(pixels).save(folder / name / "images" / f"{number:02d}.png")
    return folder


def run(recipes: list[Path], bundle: str, laid_out: Path, tmp: Path, **changes: Any) -> Path:
    """Train with a recipe, shrunk; the folder of outputs."""
    files = [ROOT / "bundles" / bundle / "configs" / "train.yaml", *recipes]
    run_bundle(
        config_file=[str(file) for file in files],
        bundle_root=str(ROOT / "bundles" / bundle),
        dataset_dir=str(laid_out / "images"),
        store_dir=str(tmp / "store"),
        output_dir=str(tmp / "out"),
        **SHRUNK,
        **changes,
    )
    return tmp / "out"


def test_two_sets_become_one_and_an_image_of_both_is_taken_once(tmp_path: Path) -> None:
    rows = nih_rows(nih(tmp_path))
    assert [row["path"].name for row in rows] == [f"{number:02d}.png" for number in range(12)]
    assert [row["small"] for row in rows] == [0] * 8 + [1] * 4
    assert [row["finding"] for row in rows] == [1] * 4 + [0] * 8
    assert [row["ap"] for row in rows[:3]] == [0, 1, 0]
    assert [row["patient"] for row in rows[:3]] == ["0", "0", "1"]


def test_what_is_missing_is_named_and_nothing_is_overwritten(tmp_path: Path) -> None:
    data = nih(tmp_path / "data")
    runner = CliRunner()
    nothing = runner.invoke(app, ["radiographs", str(tmp_path), str(tmp_path / "out")])
    assert (nothing.exit_code, "labels.csv: No such file" in nothing.output) == (1, True)
    (data / "cxr_nih" / "images" / "03.png").unlink()
    lost = runner.invoke(app, ["radiographs", str(data), str(tmp_path / "out")])
    assert (lost.exit_code, "1 of 12 images are missing, such as" in lost.output) == (1, True)
    (tmp_path / "out" / "images").mkdir(parents=True)
    (tmp_path / "out" / "images" / "00.png").write_text("mine")
    Image.fromarray(textures(1)[0]).save(data / "cxr_nih" / "images" / "03.png")
    taken = runner.invoke(app, ["radiographs", str(data), str(tmp_path / "out")])
    assert (taken.exit_code, "choose another folder" in taken.output) == (1, True)
    assert (tmp_path / "out" / "images" / "00.png").read_text() == "mine"


def test_no_image_of_a_tested_patient_is_added_without_labels(tmp_path: Path) -> None:
    laid_out = tmp_path / "laid_out"
    ended = CliRunner().invoke(app, ["expanded", str(nih(tmp_path / "data")), str(laid_out)])
    assert ended.exit_code == 0, ended.output
    split = {row["path"].resolve(): SHARES.split_of(patient_id(row["patient"])) for row in nih_rows(tmp_path / "data")}
    own, more = ([path.resolve() for path in (laid_out / name).iterdir()] for name in ("pretrain", "pretrain_more"))
    assert set(own) < set(more)
    assert {split[path] for path in more} == {"train"}
    assert set(more) == {path for path, part in split.items() if part == "train"}
    assert {path.parents[1].name for path in own} == {"cxr_nih"}
    assert len(list((laid_out / "images").iterdir())) == 8
    command = ["added", str(laid_out), str(tmp_path / "data" / "cxr_nih64"), str(tmp_path / "none")]
    nothing = CliRunner().invoke(app, command)
    assert (nothing.exit_code, "none is no folder of images" in nothing.output) == (1, True)
    done = CliRunner().invoke(app, command[:-1])
    assert (done.exit_code, done.output.split()[0]) == (0, str(len(own) + 5)), done.output


def test_attempts_see_no_image_of_the_patients_of_the_last_comparison(tmp_path: Path) -> None:
    data, seen = nih(tmp_path / "data", 80, 160), {}
    for name, options in (("attempts", []), ("last", ["--at-last"])):
        ended = CliRunner().invoke(app, ["attempts", str(data), str(tmp_path / name), *options])
        assert ended.exit_code == 0, ended.output
        seen[name] = read(tmp_path / name / "datalist.json")
    patients = {
        name: {part: {row["patient"] for row in found.rows(part)} for part in ("training", "test")}
        for name, found in seen.items()
    }
    last, attempted = patients["last"], patients["attempts"]
    assert last["training"] == attempted["training"] | attempted["test"]
    assert all(part for found in patients.values() for part in found.values())
    of = {row["path"].resolve(): row["patient"] for row in nih_rows(data)}
    shown = {
        name: {
            of[path.resolve()] for part in ("images", "pretrain_more") for path in (tmp_path / name / part).iterdir()
        }
        for name in patients
    }
    assert not shown["attempts"] & last["test"]
    for name, found in patients.items():
        unlabelled = {of[path.resolve()] for path in (tmp_path / name / "pretrain_more").iterdir()}
        assert found["training"] < unlabelled
        assert not unlabelled & found["test"]


@pytest.mark.parametrize("recipe", ["simclr", "moco", "swav"])
def test_each_recipe_for_radiographs_trains(tmp_path: Path, recipe: str) -> None:
    laid_out = tmp_path / "nih"
    for _ in range(2):  # laying out twice does no harm
        assert CliRunner().invoke(app, ["radiographs", str(nih_once(tmp_path)), str(laid_out)]).exit_code == 0
    folder = RECIPES / "cxr_nih"
    changes = {"image_size": 32, "queue_length": 8, "bn_splits": 2, "prototypes": 4}
    out = run([folder / "radiographs.yaml", folder / f"{recipe}.yaml"], "ssl_2d", laid_out, tmp_path, **changes)
    assert len(losses(out)) == 3
    assert json.loads((out / "encoder.json").read_text())["data"].startswith("NIH ChestX-ray14")


def nih_once(tmp: Path) -> Path:
    """The two sets, made on the first call."""
    return tmp / "data" if (tmp / "data").exists() else nih(tmp / "data")


def test_the_recipe_for_phantom_heads_trains(tmp_path: Path) -> None:
    phantoms = tmp_path / "phantoms"
    volumes(phantoms / "cases", 4, slices=10)
    cases = [
        {"image": f"cases/{path.name}", "mask": "", "seed": number, "label": number % 2}
        for number, path in enumerate(sorted((phantoms / "cases").iterdir()))
    ]
    (phantoms / "datalist.json").write_text(json.dumps({"training": cases[:3], "validation": [], "test": cases[3:]}))
    laid_out = tmp_path / "heads"
    assert CliRunner().invoke(app, ["heads", str(phantoms), str(laid_out)]).exit_code == 0
    assert (laid_out / "labels.csv").read_text().splitlines()[:3] == [
        "file,patient,hemorrhage",
        "volume00.nii.gz,0,0",
        "volume01.nii.gz,1,1",
    ]
    recipe = RECIPES / "phantom_heads" / "simclr.yaml"
    changes = {"image_size": [8, 64, 64], "patient_pattern": r"(\d+)", "windows": {"CT": [0, 1000]}}
    out = run([recipe], "ssl_3d", laid_out, tmp_path, **changes)
    assert len(losses(out)) == 1
    assert json.loads((out / "encoder.json").read_text())["data"].startswith("phantom")
