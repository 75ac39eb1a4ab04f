"""The small experiments on phantoms: their images are drawn, and have what the recipe asks of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pretraining.experiments.preparing import prepare
from pretraining.experiments.spec import Experiment, all_files, read_experiment

FEW = {"volumes": "8", "radiographs": "48"}


def drawn() -> list[str]:
    """Names of the experiments that draw their images."""
    read = {name: read_experiment(path, "small") for name, path in all_files().items()}
    return [name for name, one in read.items() if one.data.name.startswith("phantom") and one.after is None]


def with_few(experiment: Experiment) -> Any:
    """Its data, of which only a few are drawn; all where each section needs each class."""
    commands = []
    if any("one-class" in command for command in experiment.data.prepare):
        return experiment.data
    for command in experiment.data.prepare:
        few = FEW["radiographs" if "radiographs" in command else "volumes"]
        places = {place + 1 for place, part in enumerate(command) if part == "--count"}
        commands.append(tuple(few if place in places else part for place, part in enumerate(command)))
    return experiment.data.model_copy(update={"prepare": tuple(commands)})


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", drawn())
def test_phantoms_of_a_small_experiment_have_its_findings_classes_and_metadata(tmp_path: Path, name: str) -> None:
    experiment = read_experiment(all_files()[name], "small")
    # It refuses findings and metadata that no image tells.
    made = prepare(with_few(experiment), tmp_path, None, lambda _: None)
    told = set(made.datalist.findings) | {"normal"}
    for task in experiment.tasks.values():
        for step in (task.train, task.evaluate):
            classes = step.set.get("classes", ()) if step else ()
            assert set(classes) <= told, f"{name}: {classes} of {sorted(told)}"
