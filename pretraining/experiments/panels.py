"""Pages on which the trained networks of all starts are looked at beside each other (seed 004, Fig. 3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bundles.common.checkpoints import BEST
from pretraining.experiments.identity import digest
from pretraining.experiments.plan import Plan, Run
from pretraining.experiments.spec import METADATA, RANDOM, Step
from pretraining.experiments.table import Row
from pretraining.experiments.work import Job, bundle_command

FOLDER = "panels"
PAGE, PICTURE = "grad_cam.md", "grad_cam.png"


@dataclass(frozen=True, slots=True)
class Panels:
    """One page.

    Attributes:
        key: Of all that it shows; the name of its folder.
        experiment, variant, task, fraction, seed: Whose networks.
        step: That draws it.
        models: Start to the file of its weights.
        labels: Start to its name for people.
        of: Keys of the runs.
    """

    key: str
    experiment: str
    variant: str
    task: str
    fraction: float
    seed: int
    step: Step
    models: Mapping[str, Path]
    labels: Mapping[str, str]
    of: tuple[str, ...]

    def row(self) -> Row:
        """For the table: where the page lies, below the folder of the work. Pictures of patients stay there."""
        named = ("key", "experiment", "variant", "task", "fraction", "seed")
        place = {"page": f"{FOLDER}/{self.key}/{PAGE}", "starts": list(self.models), "of": list(self.of)}
        return {"kind": "panels", **{name: getattr(self, name) for name in named}, **place}


def asked(plan: Plan, here: Mapping[Run, Path], keys: Mapping[Run, str]) -> Iterator[Panels]:
    """The pages that the finished runs allow: one for each share, of the first seed, with all starts that are there.

    Args:
        plan: Of the experiment.
        here: Finished runs with their `cases.csv`, beside which `train` lies.
        keys: Of the rows of all runs.
    """
    experiment = plan.experiment
    labels = {RANDOM: "random weights", **{name: one.label for name, one in experiment.encoders.items()}}
    seed = experiment.seeds[0]
    for name, task in experiment.tasks.items():
        for fraction in experiment.fractions:
            runs = [
                run
                for run in plan.runs
                if (run.task, run.fraction, run.seed) == (name, fraction, seed) and run.initialisation != METADATA
            ]
            models = {run.initialisation: here[run].parent / "train" / BEST for run in runs if run in here}
            if task.panels is None or not models:
                continue
            of = tuple(keys[run] for run in runs if run in here)
            key = digest(["panels", list(of), task.panels.model_dump(mode="json")])
            place = (experiment.name, plan.variant, name, fraction, seed)
            yield Panels(key, *place, task.panels, models, {start: labels[start] for start in models}, of)


def job(panels: Panels, folder: Path, values: Mapping[str, str | None], threads: int) -> Job:
    """The work that draws a page.

    Args:
        panels: Which.
        folder: Of the page.
        values: Of the placeholders.
        threads: Of the process.
    """
    models = {panels.labels[start]: str(path) for start, path in panels.models.items()}
    step = panels.step.model_copy(update={"set": {**panels.step.set, "models": models}})
    title = f"panels of {panels.task}, {panels.fraction:.0%} of labels"
    return Job(title, folder, (("panels", bundle_command(step, values)),), (PAGE, PICTURE), threads)
