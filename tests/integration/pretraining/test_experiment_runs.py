"""A whole experiment of a minute: killed, gone on with, compared, reported; and what stops one before it begins."""

import csv
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from pretraining.data.errors import ArchiveError
from pretraining.experiments import commands  # registers run and report
from pretraining.experiments.prepare import app
from pretraining.experiments.runner import Summary
from pretraining.experiments.table import ResultTable
from tests.integration.pretraining.runs import ROOT, environment, python

assert commands
PATIENTS = 60
STORE = {
    "store_dir": "{store}",
    "dataset_dir": "{images}",
    "output_dir": "{run}",
    "label_names": ["finding"],
    "labels": "{labels}",
    "patients": "{labels}",
    "shares": [0.6, 0.1, 0.3],
    "archive_workers": 0,
    "image_size": 32,
    "device": "cpu",
    "seed": "{seed}",
}


def radiographs(folder: Path) -> Path:
    """Two sets as the real ones lie; images with a finding are brighter in the middle."""
    for number, name in enumerate(("cxr_nih", "cxr_nih64")):
        (folder / name / "images").mkdir(parents=True)
        with (folder / name / "labels.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["image", "patient_id", "view", "findings", "age", "sex"])
            for n in range(number * PATIENTS // 2, (number + 1) * PATIENTS // 2):
                found = n % 3 == 0
                pixels = np.random.default_rng(n).integers(0, 120, (40, 40))
                pixels[10:30, 10:30] += 100 * found
                Image.fromarray(pixels.astype(np.uint8)).save(folder / name / "images" / f"{n:02d}.png")
                writer.writerow(
                    [f"{n:02d}.png", n, "AP" if n % 2 else "PA", "Mass" if found else "No Finding", 40, "F"]
                )
    return folder


def experiment(path: Path, **changes: Any) -> Path:
    """A file with one encoder and one probe."""
    pretrain = {**STORE, "epochs": 2, "batch_size": 8, "plot_images": 4, "warm_up_epochs": 0, "checkpoint_every": 1}
    probe = {**STORE, "datalist": "{datalist}", "weights": "{encoder}", "label": "finding"}
    configs = "bundles/ssl_2d/configs"
    small = {
        "encoders": {"simclr": {"label": "SimCLR", "step": {"configs": [f"{configs}/train.yaml"], "set": pretrain}}},
        "tasks": {
            "probe": {
                "label": "Probe",
                "evaluate": {
                    "configs": [f"{configs}/evaluate.yaml", "pretraining/experiments/probe.yaml"],
                    "set": probe,
                },
            }
        },
        "statistics": {"replicates": 20},
    }
    content = {
        "name": "tried",
        "title": "A try",
        "question": "Does it?",
        "source": "nobody.",
        "initialisations": ["random", "simclr", "metadata"],
        "data": {
            "name": "squares",
            "prepare": [["pretraining.experiments", "radiographs", "{data}", "{folder}"]],
            "findings": ["finding"],
            "metadata": ["view"],
            "within": ["view"],
        },
        **small,
        "variants": {"small": {}, "full": {}},
        **changes,
    }
    path.write_text(yaml.safe_dump(content))
    return path


def arguments(tmp: Path, file: Path) -> list[str]:
    """Of `run`."""
    folders = ["--work", str(tmp / "work"), "--table", str(tmp / "evidence"), "--data", str(tmp / "data")]
    return ["run", str(file), *folders]


@pytest.mark.timeout(1200)
def test_an_experiment_goes_on_after_kill_and_is_reported_alike(tmp_path: Path) -> None:
    radiographs(tmp_path / "data")
    file = experiment(tmp_path / "tried.yaml")
    command = [python(), "-m", "pretraining.experiments", *arguments(tmp_path, file)]
    runner = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 400
    while not list((tmp_path / "work").glob("encoders/*/history.csv")) and time.monotonic() < deadline:
        assert runner.poll() is None
        time.sleep(0.05)
    os.kill(runner.pid, signal.SIGKILL)
    runner.wait()
    table = ResultTable(tmp_path / "evidence")
    assert [row["kind"] for row in table.rows()] == ["experiment"]

    again = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "tried: 3 done, 0 diverged, 0 failed, 0 in the table before" in again.stdout
    rows = table.rows()
    runs = {row["initialisation"]: row for row in rows if row["kind"] == "run"}
    assert list(runs) == ["random", "simclr", "metadata"]
    strata = {figure["stratum"] for figure in runs["simclr"]["figures"]}
    assert strata == {"all", "view = AP", "view = PA"}
    pairs = {(row["first"], row["second"]) for row in rows if row["kind"] == "comparison"}
    assert pairs == {("simclr", "random"), ("metadata", "random")}
    # What tells a finding is easy to see, and the view says nothing of it.
    assert _area(runs["random"]) > 0.9 > _area(runs["metadata"])
    assert len(list((tmp_path / "work" / "encoders").iterdir())) == 1

    invoked = CliRunner().invoke(app, arguments(tmp_path, file))
    assert (invoked.exit_code, "0 done, 0 diverged, 0 failed, 3 in the table before" in invoked.output) == (0, True)
    assert table.rows() == rows
    pages = []
    for _ in range(2):
        report = ["report", "--table", str(tmp_path / "evidence"), "--page", str(tmp_path / "evidence.md")]
        assert CliRunner().invoke(app, report).exit_code == 0
        pages.append(
            [path.read_bytes() for path in sorted(tmp_path.glob("evidence*/*.svg"))]
            + [(tmp_path / "evidence.md").read_bytes()]
        )
    assert pages[0] == pages[1]
    assert b"| SimCLR | view = AP (*few*) |" in pages[0][-1]


def _area(row: dict[str, Any]) -> float:
    return next(
        figure["value"] for figure in row["figures"] if (figure["stratum"], figure["metric"]) == ("all", "auroc")
    )


@pytest.mark.timeout(1200)
def test_what_stops_an_experiment_before_it_begins_is_said(tmp_path: Path) -> None:
    radiographs(tmp_path / "data")
    runner = CliRunner()
    few = experiment(tmp_path / "few.yaml", fractions=[0.01])
    refused = runner.invoke(app, arguments(tmp_path, few))
    assert refused.exit_code == 2
    assert "leave a class empty: no image shows finding" in refused.output
    without = runner.invoke(app, ["run", str(few), "--work", str(tmp_path / "other"), "--table", str(tmp_path / "t")])
    assert (without.exit_code, "needs real images: --data FOLDER" in without.output) == (2, True)
    twice = runner.invoke(app, [*arguments(tmp_path, few), str(few)])
    assert (twice.exit_code, "tried is asked for twice" in twice.output) == (2, True)
    (tmp_path / "data" / "cxr_nih" / "images" / "03.png").unlink()
    lost = runner.invoke(app, ["run", str(few), "--data", str(tmp_path / "data"), "--work", str(tmp_path / "new")])
    assert lost.exit_code == 2
    assert "the images could not be laid out: prepare0 ended with 1" in lost.output


def test_a_dry_run_does_nothing(tmp_path: Path) -> None:
    file = experiment(tmp_path / "tried.yaml")
    told = CliRunner().invoke(app, [*arguments(tmp_path, file), "--dry-run"])
    assert (told.exit_code, told.output) == (0, "tried (small): images are not laid out; then 3 runs at most\n")
    assert [path.name for path in tmp_path.iterdir()] == ["tried.yaml"]


def test_an_experiment_that_cannot_be_run_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("first", "broken", "last")
    phantoms = {"name": "squares", "prepare": [["some.module", "{folder}"]], "metadata": ["view"]}
    files = [experiment(tmp_path / f"{name}.yaml", name=name, data=phantoms) for name in names]
    needing = experiment(tmp_path / "needing.yaml", name="needing")
    began = []

    class Made:
        def __init__(self, asked: Any, *_: Any) -> None:
            self.name = asked.name

        def run(self) -> Summary:
            began.append(self.name)
            if self.name == "broken":
                raise ArchiveError("the images could not be laid out")
            return Summary(done=1, reasons=("a run failed",) if self.name == "first" else ())

    monkeypatch.setattr("pretraining.experiments.runner.Runner", Made)
    asked = ["run", *map(str, (files[0], needing, *files[1:])), "--table", str(tmp_path / "t")]
    ended = CliRunner().invoke(app, asked)
    assert ended.exit_code == 2
    assert began == list(names)
    left_out = "needing: 'squares' needs real images: --data FOLDER, which holds them"
    lines = ended.output.splitlines()
    assert lines.index(f"left out: {left_out}") < lines.index(
        "first: 1 done, 0 diverged, 0 failed, 0 in the table before"
    )
    assert lines[-3:] == [
        "error: a run failed",
        f"error: {left_out}",
        "error: broken: the images could not be laid out",
    ]
    assert CliRunner().invoke(app, ["run", str(files[0])]).exit_code == 1
    elsewhere = CliRunner().invoke(app, ["run", str(needing), "--data", str(tmp_path / "none")])
    assert (elsewhere.exit_code, "none is no folder; 'squares' needs real images" in elsewhere.output) == (2, True)


def test_make_writes_the_page_and_tells_that_an_experiment_failed(tmp_path: Path) -> None:
    fake = tmp_path / "bin" / "python"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$3" >> {tmp_path}/asked\ntest "$3" != run\n')
    fake.chmod(0o755)
    environment_made = tmp_path / "made"
    environment_made.touch()
    options = [f"BIN={fake.parent}", f"ENV={environment_made}", "-o", str(environment_made)]
    ended = subprocess.run(["make", *options, "experiments"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (tmp_path / "asked").read_text().split() == ["run", "report"], ended.stderr
    assert ended.returncode != 0
