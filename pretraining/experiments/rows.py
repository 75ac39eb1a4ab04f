"""Rows of the table of results: what was asked, and what became of a run."""

import datetime as dt
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bundles.common.checkpoints import read_validation
from bundles.common.metrics.cases import FILE as CASES
from bundles.common.metrics.cases import read_cases
from bundles.common.metrics.writing import JSON as EVALUATION
from bundles.common.strict import ConfigurationError
from pretraining.experiments import statistics
from pretraining.experiments.datalists import share
from pretraining.experiments.identity import digest, machine
from pretraining.experiments.plan import Plan, Run
from pretraining.experiments.preparing import Prepared
from pretraining.experiments.spec import METADATA, Experiment, Variant
from pretraining.experiments.statistics.classes import accuracies
from pretraining.experiments.table import Row
from pretraining.experiments.work import Outcome, read_outcome
from pretraining.progress import CURVE, read_curve

# Options of a task to a point of the bundles' evaluations, and to its figures, as the table and as they name them.
POINTS = {
    "at_half": (
        "probability 0.5",
        {
            "half_accuracy": "accuracy",
            "half_recall": "sensitivity",
            "half_specificity": "specificity",
            "half_f1": "f1",
        },
    ),
    "at_sensitivity": (
        "sensitivity 80 %",
        {
            "sensitive_precision": "precision",
            "sensitive_accuracy": "accuracy",
            "sensitive_recall": "sensitivity",
            "sensitive_specificity": "specificity",
        },
    ),
}


def row_key(plan: Plan, run: Run) -> str:
    """By which a run is in the table once: itself, its experiment, and how it is measured."""
    experiment = plan.experiment
    how = [experiment.data.within, experiment.statistics.replicates, experiment.statistics.seed]
    task = experiment.tasks[run.task]
    # Named where they are set, so that rows of other tasks keep their keys.
    more = [name for name in ("at_half", "at_sensitivity", "classes") if getattr(task, name)]
    return digest(["row", experiment.name, plan.variant, run.key, how, task.curve, *([more] if more else [])])


@dataclass(frozen=True, slots=True)
class Rows:
    """Writes the rows of one experiment in one variant.

    Attributes:
        experiment, variant: What was asked.
        work: Folder of everything that is made on the way.
        prepared: Its images and labels.
        plan: Its runs.
        commit: Of this repository.
    """

    experiment: Experiment
    variant: Variant
    work: Path
    prepared: Prepared
    plan: Plan
    commit: str

    def described(self) -> Row:
        """What the page says of the experiment; once for each wording."""
        experiment = self.experiment
        tasks = {name: task.label for name, task in experiment.tasks.items()}
        starts = {name: encoder.label for name, encoder in experiment.encoders.items()}
        row: Row = {
            "kind": "experiment",
            "experiment": experiment.name,
            "variant": self.variant,
            "title": experiment.title,
            "question": experiment.question,
            "source": experiment.source,
            "data": experiment.data.name,
            "data_notes": experiment.data.notes,
            "near_duplicates": self.prepared.near,
            "metadata": list(experiment.data.metadata),
            "tasks": tasks,
            "starts": {"random": "random weights", "metadata": "metadata alone", **starts},
            "initialisations": list(experiment.initialisations),
            "reference": experiment.statistics.reference,
            "replicates": experiment.statistics.replicates,
            "runs": len(self.plan.runs),
            "fractions": list(experiment.fractions),
            "seeds": list(experiment.seeds),
            "also": [list(pair) for pair in experiment.statistics.also],
        }
        if curves := {name: task.curve for name, task in experiment.tasks.items() if task.train}:
            row["curves"] = curves
        changes = {name: task.change.model_dump() for name, task in experiment.tasks.items() if task.change}
        if changes:
            row["changes"] = changes
        return {**row, "key": digest(row)}

    def of(self, run: Run, outcome: Outcome, folder: Path) -> Row:
        """What became of a run, measured where it is done; `folder` holds what it made."""
        experiment = self.experiment
        row: Row = {
            "kind": "run",
            "key": row_key(self.plan, run),
            "experiment": experiment.name,
            "variant": self.variant,
            "task": run.task,
            "initialisation": run.initialisation,
            "fraction": run.fraction,
            "seed": run.seed,
            "state": outcome.state,
            "reason": outcome.reason.replace(str(self.work), "WORK"),
            "seconds": round(outcome.seconds, 1),
            "commit": self.commit,
            "code": run.code,
            "data_hash": self.prepared.data_hash,
            "machine": machine(),
            "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        }
        if outcome.state != "done":
            return row
        return {**row, **self._measured(run, folder)}

    def _measured(self, run: Run, folder: Path) -> Row:
        cases, how = read_cases(folder / CASES), self.experiment.statistics
        parts = statistics.strata(cases, self.prepared.datalist.metadata(), self.experiment.data.within)
        made = [*statistics.figures(cases, parts, replicates=how.replicates, seed=how.seed)]
        task = self.experiment.tasks[run.task]
        if task.classes:
            made += accuracies(cases, parts, replicates=how.replicates, seed=how.seed)
        asked = [option for option in POINTS if getattr(task, option) and run.initialisation != METADATA]
        points = [figure for option in asked for figure in _point_figures(folder, option)]
        curve = read_validation(folder / "train")
        return {
            "figures": [*(asdict(figure) for figure in made), *_box_figures(folder), *points],
            "taught": self._taught(run),
            "pretraining": self._pretraining(run),
            "curve": curve,
            "convergence_epoch": statistics.convergence(curve, task.curve),
        }

    def _pretraining(self, run: Run) -> Row | None:
        """How the encoder's training went, where it was trained here."""
        if run.encoder is None or run.encoder.spec.step is None:
            return None
        folder = self.work / "encoders" / run.encoder.key
        found, made = statistics.stability(read_curve(folder / CURVE)), read_outcome(folder)
        seconds = {"seconds": round(made.seconds, 1)} if made else {}
        return None if found is None else {"encoder": run.encoder.key, **seconds, **asdict(found)}

    def _taught(self, run: Run) -> Row:
        """How many images and patients the share of the labels is."""
        data = self.prepared.datalist
        rows = share(data.sections["training"], self.experiment.data.findings or data.findings, run.fraction, run.seed)
        return {"images": len(rows), "patients": len({str(row["patient"]) for row in rows})}


def _box_figures(folder: Path) -> list[dict[str, Any]]:
    """FROC and average precision of boxes, where the evaluation has them."""
    path = folder / EVALUATION
    if not path.is_file():
        return []
    found = json.loads(path.read_text(encoding="utf-8")).get("detection") or {}
    return [
        {"finding": name, "stratum": statistics.ALL, "metric": f"boxes_{metric}", **_interval(one.get(metric))}
        for name, one in found.items()
        for metric in ("froc_average", "average_precision")
    ]


def _point_figures(folder: Path, option: str) -> list[dict[str, Any]]:
    """Figures of the operating point that an option of a task asks for, from the bundle's own evaluation.

    Raises:
        ConfigurationError: The evaluation has no such point.
    """
    path = folder / EVALUATION
    point, metrics = POINTS[option]
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["classification"]
        points = {name: one["points"][point]["figures"] for name, one in found.items()}
        return [
            {"finding": name, "stratum": statistics.ALL, "metric": metric, **_interval(figures[key])}
            for name, figures in points.items()
            for metric, key in metrics.items()
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{path} has no figures at '{point}' ({type(error).__name__}: {error}); leave {option} out, or name a "
            "bundle that writes them"
        ) from error


def _interval(value: Any) -> dict[str, Any]:
    interval = value if isinstance(value, dict) else {}
    return {end: interval.get(end) for end in ("value", "low", "high")}
