"""The full recipes build their networks at full size and run two steps, on a handful of small images."""

import csv
import json
import subprocess
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.demo.phantoms.mr.volume_set import write_case as write_mr
from app.demo.phantoms.training_set import write_case as write_ct
from bundles.common.checkpoints import read_validation
from pretraining.experiments.spec import Step, all_files, read_experiment
from pretraining.experiments.work import bundle_command
from tests.integration.pretraining.runs import ROOT, environment, losses, python, volumes

FINDINGS = (
    *(
        "lesion",
        "pneumothorax",
        "fracture",
        "atelectasis",
        "cardiomegaly",
        "consolidation",
        "edema",
        "pleural_effusion",
    ),
    *("infiltration", "pneumonia", "support_devices", "lung_opacity", "enlarged_cardiomediastinum"),
    *("lung_lesion", "pleural_other"),
)
COLUMNS = ("finding", "ap", "small", "age", "female", "hemorrhage", "wrist")
FULL = {name: read_experiment(path, "full") for name, path in all_files().items()}
# Small images and few of them; what makes a network's size stays.
FEW = {
    "epochs": 1,
    "warm_up_epochs": 0,
    "archive_workers": 0,
    "workers": 0,
    "device": "cpu",
    "plot_images": 2,
    "reference_images": 2,
}
SMALL_SETS = {"head_epochs": 0, "all_epochs": 1, "epochs": 1, "workers": 0, "device": "cpu", "bfloat16": False}
# Of volumes: a coarse grid, and of brain_metastasis the second of its two steps.
COARSE: dict[str, dict[str, object]] = {
    "head_ct_hemorrhage": {"box": [40, 64, 64]},
    "brain_metastasis": {"box": [96, 64], "spacing_mm": [6.0, 3.0, 3.0], "segmenter_epochs": 0, "classifier_epochs": 1},
}


def encoders() -> Iterator[tuple[str, str]]:
    """Every encoder that a full recipe trains; those of an experiment that comes after another are there already."""
    own = {name: one for name, one in FULL.items() if one.after is None}
    return ((name, encoder) for name, one in own.items() for encoder, spec in one.encoders.items() if spec.step)


def trainings() -> Iterator[tuple[str, str]]:
    """Every fine-tuning of a full recipe."""
    return ((name, task) for name, one in FULL.items() for task, spec in one.tasks.items() if spec.train)


def images(folder: Path, count: int) -> list[str]:
    """Noise, as PNG."""
    folder.mkdir(parents=True)
    for n in range(count):
        pixels = np.random.default_rng(n).integers(0, 256, (80, 72)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{n}.png")
    return [f"{n}.png" for n in range(count)]


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Rows of six small phantom heads for each bundle of volumes."""
    folder = tmp_path_factory.mktemp("heads")
    rows = {
        "head_ct_hemorrhage": [asdict(write_ct(folder, seed, 96)) for seed in range(500, 506)],
        "brain_metastasis": [write_mr(folder, 3.0, seed) for seed in range(500, 506)],
    }
    for row in (row for each in rows.values() for row in each):
        row |= {key: str(folder / row[key]) for key in ("image", "mask")}
    return rows


def changed(step: Step, **more: object) -> Step:
    """A step with those settings changed that its configurations have."""
    text = "".join((ROOT / config).read_text() for config in step.configs)
    return step.model_copy(
        update={"set": step.set | {key: value for key, value in more.items() if f"\n{key}:" in text}}
    )


def run(step: Step, tmp: Path) -> None:
    """In a process, as the runner does it."""
    places = {name: str(tmp / name) for name in ("cache", "run", "store", "work", "images", "folder", "data")}
    values = {**places, "pretrain": str(tmp / "images"), "labels": str(tmp / "labels.csv"), "seed": "0"}
    values |= {"datalist": str(tmp / "datalist.json")}
    command = [python(), *bundle_command(step, {**values, "encoder": None})]
    ended = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("name", "encoder"), encoders())
def test_an_encoder_takes_two_steps(tmp_path: Path, name: str, encoder: str) -> None:
    kinds = 3 if name == "modalities" else 1
    batch = max(2, kinds)
    step = FULL[name].encoders[encoder].step
    assert step is not None
    solid = any("ssl_3d" in config for config in step.configs)
    if solid:
        (tmp_path / "images").mkdir()
        names = [path.name for path in volumes(tmp_path / "images", 2 * batch, slices=12).iterdir()]
    else:
        names = images(tmp_path / "images", 2 * batch)
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "patient", "kind", *COLUMNS])
        writer.writerows([image, n, n % kinds, *[n % 2] * len(COLUMNS)] for n, image in enumerate(names))
    (tmp_path / "folder").mkdir()
    for other in ("bands", "pretrain_more"):
        (tmp_path / "folder" / other).symlink_to(tmp_path / "images")
    stages = [step for step in (FULL[name].encoders[encoder].first, FULL[name].encoders[encoder].step) if step]
    for step in stages:
        queue = 0 if "swav" in str(step.configs) else 8
        small = changed(step, **FEW, batch_size=batch, split="all", bn_splits=1, queue_length=queue)
        run(changed(small, image_size=[8, 64, 64]) if solid else small, tmp_path)
    assert len(losses(tmp_path / "run")) == 2


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("name", "task"), trainings())
def test_a_fine_tuning_takes_two_steps(
    tmp_path: Path, name: str, task: str, heads: dict[str, list[dict[str, Any]]]
) -> None:
    step = FULL[name].tasks[task].train
    assert step is not None
    bundle = Path(step.configs[0]).parts[1]
    rows = heads.get(bundle) or [
        {
            "image": image, "patient": f"P{n}", "boxes": [], "classes": [], "boxed": False,
            "labels": dict.fromkeys(FINDINGS, n % 2),
        }
        for n, image in enumerate(images(tmp_path / "images", 18 if FULL[name].tasks[task].classes else 8))
    ]  # fmt: skip
    learnt, classes = 4, FULL[name].data.findings
    if FULL[name].tasks[task].classes:
        learnt = len(classes)
        for n, row in enumerate(rows):
            row["labels"] = {finding: int(n % learnt == place) for place, finding in enumerate(classes)}
    half = (len(rows) - learnt) // 2
    sections = {"training": rows[:learnt], "validation": rows[learnt:-half], "test": rows[-half:]}
    (tmp_path / "datalist.json").write_text(json.dumps(sections))
    step = FULL[name].tasks[task].train
    assert step is not None
    run(changed(step, **{**SMALL_SETS, **COARSE.get(bundle, {}), "joint_epochs": 0}, batch_size=learnt // 2), tmp_path)
    (epoch,) = read_validation(tmp_path / "run" / "train")
    assert FULL[name].tasks[task].curve in epoch
