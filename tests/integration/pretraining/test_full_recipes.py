"""The full recipes build their networks at full size and run two steps, on a handful of small images."""

import csv
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundles.common.checkpoints import read_validation
from pretraining.experiments.spec import Step, all_files, read_experiment
from pretraining.experiments.work import bundle_command
from tests.integration.pretraining.runs import ROOT, environment, losses, python

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


def encoders() -> Iterator[tuple[str, str]]:
    """Every encoder that a full recipe trains."""
    return ((name, encoder) for name, one in FULL.items() for encoder, spec in one.encoders.items() if spec.step)


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
        run(changed(step, **FEW, batch_size=batch, split="all", bn_splits=1, queue_length=queue), tmp_path)
    assert len(losses(tmp_path / "run")) == 2


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("name", "task"), trainings())
def test_a_fine_tuning_takes_two_steps(tmp_path: Path, name: str, task: str) -> None:
    rows = [
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
    run(changed(step, **SMALL_SETS, batch_size=learnt // 2), tmp_path)
    (epoch,) = read_validation(tmp_path / "run" / "train")
    assert FULL[name].tasks[task].curve in epoch
