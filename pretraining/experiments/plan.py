"""From an experiment to the work that it is: encoders first, then a run for each task, start, fraction and seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bundles.common.encoder_weights import read_encoder_manifest
from bundles.common.strict import ConfigurationError, nearest
from pretraining.experiments.identity import code_digest, digest, files_digest
from pretraining.experiments.spec import METADATA, RANDOM, ROOT, Encoder, Experiment, Step, Task, Variant, base_of

SEPARATOR = "::"
# What a metadata baseline runs of ours.
BASELINE = ("pretraining/experiments/baseline.py", "pretraining/probe.py", "pretraining/evaluation.py")
# Of a task, what does not change what its commands write.
TOLD_APART = {
    "label", "classes", "panels", "curve", "at_half", "at_sensitivity", "findings", "trained", "change"
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class EncoderJob:
    """One encoder to train, or to take from a file.

    Attributes:
        name: In the experiment.
        seed: None where one serves all seeds.
        key: Of everything that it depends on.
        spec: As written.
    """

    name: str
    seed: int | None
    key: str
    spec: Encoder


@dataclass(frozen=True, slots=True)
class Run:
    """One training and evaluation, or one evaluation of features.

    Attributes:
        key: Of everything that its figures depend on.
        code: Hash of the code.
        task: Name.
        initialisation: `random`, `metadata` or the name of an encoder.
        fraction, seed: Of the labels and of all draws.
        encoder: That it begins with; None for random weights and for the metadata.
        base: Run of another experiment whose network is measured.
    """

    key: str
    code: str
    task: str
    initialisation: str
    fraction: float
    seed: int
    # Part of the key; its specification holds mappings, which have no hash.
    encoder: EncoderJob | None = field(default=None, hash=False)
    base: Run | None = None

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.task}, {self.initialisation}, {self.fraction:.0%} of labels, seed {self.seed}"


@dataclass(frozen=True, slots=True)
class Plan:
    """All work of one experiment.

    Attributes:
        experiment, variant: Which.
        data_hash: Of the prepared images.
        encoders: Each once.
        runs: In the order of the tables.
    """

    experiment: Experiment
    variant: Variant
    data_hash: str
    encoders: tuple[EncoderJob, ...]
    runs: tuple[Run, ...] = field(default=())


def make_plan(experiment: Experiment, variant: Variant, data_hash: str, root: Path = ROOT) -> Plan:
    """Lay out the work.

    Raises:
        ConfigurationError: A configuration is missing, an override has no key in it, or an encoder's file has no
            manifest.
    """
    encoders: dict[tuple[str, int | None], EncoderJob] = {}
    bases = _bases(experiment, variant, data_hash, root)
    runs = []
    by_metadata = files_digest(BASELINE)
    for name, task in experiment.tasks.items():
        networks = code_digest(_configs(task), root)
        check_overrides(task.evaluate, f"{experiment.name}, task {name}, evaluate", root)
        for what, step in (("train", task.train), ("panels", task.panels)):
            if step:
                check_overrides(step, f"{experiment.name}, task {name}, {what}", root)
        for start in experiment.initialisations:
            if start == METADATA and task.change:
                # What the header says does not change with the picture.
                continue
            code = by_metadata if start == METADATA else networks
            for fraction in experiment.fractions:
                for seed in experiment.seeds:
                    encoder = _encoder(experiment, start, seed, encoders, (data_hash, root))
                    check_overrides(evaluation(task, encoder), f"{experiment.name}, '{start}', evaluate", root)
                    base = bases.get((task.trained, start, fraction, seed)) if start != METADATA else None
                    key = _run_key(experiment, (name, start, fraction, seed), encoder, [data_hash, code])
                    key = digest([key, base.key]) if base else key
                    runs.append(Run(key, code, name, start, fraction, seed, encoder, base))
    return Plan(experiment, variant, data_hash, tuple(encoders.values()), tuple(runs))


def _bases(
    experiment: Experiment, variant: Variant, data_hash: str, root: Path
) -> dict[tuple[str | None, str, float, int], Run]:
    """Runs whose networks are measured, by task, start, share and seed."""
    if experiment.after is None:
        return {}
    base = base_of(experiment, variant)
    for name, task in experiment.tasks.items():
        if task.trained not in base.tasks or base.tasks[task.trained].train is None:
            known = [each for each, one in base.tasks.items() if one.train]
            raise ConfigurationError(
                f"{experiment.name}, task {name}: '{base.name}' trains no '{task.trained}'"
                f"{nearest(str(task.trained), known)}"
            )
    plan = make_plan(base, variant, data_hash, root)
    return {(run.task, run.initialisation, run.fraction, run.seed): run for run in plan.runs}


def chosen(runs: Iterable[Run], only: Iterable[str]) -> Iterator[Run]:
    """Runs of which every word of `only` is the task, the start, a fraction ("25%") or a seed ("seed=1").

    Raises:
        ConfigurationError: A word fits no run.
    """
    runs = list(runs)
    words = list(only)
    names = {name for run in runs for name in _names(run)}
    for word in words:
        if word not in names:
            raise ConfigurationError(f"--only {word}: no run has it{nearest(word, sorted(names))}")
    # Words of one kind widen the choice, words of different kinds narrow it.
    kinds = [{word for word in words if word in {_names(run)[place] for run in runs}} for place in range(4)]
    return (run for run in runs if all(not kind or name in kind for kind, name in zip(kinds, _names(run), strict=True)))


def evaluation(task: Task, encoder: EncoderJob | None) -> Step:
    """The measuring of a task, with what belongs to the start."""
    own = encoder.spec.evaluate if encoder else {}
    return task.evaluate.model_copy(update={"set": {**task.evaluate.set, **own}}) if own else task.evaluate


def check_overrides(step: Step, where: str, root: Path = ROOT) -> None:
    """MONAI ignores options that it does not know, and those that are null: refuse them here.

    Raises:
        ConfigurationError: No such file, a key that none of the configurations has, with the nearest, or a null in the
            place of something else.
    """
    content: dict[str, Any] = {}
    for config in step.configs:
        try:
            content |= yaml.safe_load((root / config).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigurationError(f"{where}: {config}: {error.strerror}") from error
    for key in step.set:
        first, *below = key.split(SEPARATOR)
        inside: Any = content.get(first)
        for part in below:
            inside = inside.get(part) if isinstance(inside, Mapping) and part in inside else _MISSING
        if first not in content or inside is _MISSING:
            raise ConfigurationError(
                f"{where}: no configuration of {', '.join(step.configs)} has the key '{key}'"
                f"{nearest(first, list(content))}"
            )
        if (step.set[key] is None or step.set[key] == "{encoder}") and inside is not None:
            raise ConfigurationError(
                f"{where}: '{key}' can become null, which MONAI leaves out, so that {inside!r} of the configurations "
                "would be used; take configurations in which it is null"
            )


_MISSING = object()


def _names(run: Run) -> tuple[str, str, str, str]:
    return run.task, run.initialisation, f"{run.fraction:.0%}", f"seed={run.seed}"


def _configs(task: Task) -> list[str]:
    return [*(task.train.configs if task.train else ()), *task.evaluate.configs]


def _encoder(
    experiment: Experiment,
    name: str,
    seed: int,
    made: dict[tuple[str, int | None], EncoderJob],
    of: tuple[str, Path],
) -> EncoderJob | None:
    if name in {RANDOM, METADATA}:
        return None
    spec = experiment.encoders[name]
    of_seed = seed if spec.each_seed else None
    if (name, of_seed) not in made:
        made[name, of_seed] = EncoderJob(name, of_seed, _encoder_key(experiment, spec, of_seed, *of), spec)
    return made[name, of_seed]


def _encoder_key(experiment: Experiment, spec: Encoder, seed: int | None, data_hash: str, root: Path) -> str:
    if spec.step is None:
        return digest(["file", read_encoder_manifest(root / spec.file).sha256] if spec.file else [RANDOM])
    steps = [step for step in (spec.first, spec.step) if step is not None]
    for step in steps:
        check_overrides(step, f"{experiment.name}, encoder '{spec.label}'", root)
    code = code_digest([config for step in steps for config in step.configs], root)
    before = [spec.first.model_dump(mode="json")] if spec.first else []
    return digest(["encoder", spec.step.model_dump(mode="json"), seed, data_hash, code, *before])


def _run_key(
    experiment: Experiment, place: tuple[str, str, float, int], encoder: EncoderJob | None, made_of: list[str]
) -> str:
    task, start, fraction, seed = place
    data_hash, code = made_of
    steps = experiment.tasks[task].model_dump(
        mode="json",
        exclude={"label", "classes", "panels", "curve", "at_half", "at_sensitivity", "findings", "trained", "change"},
    )
    # What is asked of the metadata does not depend on the networks.
    asked: list[Any] = [list(experiment.data.metadata), code] if start == METADATA else [steps, code]
    origin, findings = encoder.key if encoder else start, list(experiment.data.findings)
    if start == METADATA:
        asked += [list(experiment.tasks[task].findings)]
    if encoder and encoder.spec.evaluate:
        asked += [encoder.spec.evaluate]
    return digest(["run", task, asked, origin, findings, fraction, seed, data_hash])
