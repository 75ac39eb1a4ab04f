"""An experiment as its YAML file says it: what is prepared, pretrained, trained, measured and compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from bundles.common.strict import ConfigurationError, Strict, nearest, read_mapping, validate

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).resolve().parent
RANDOM, METADATA = "random", "metadata"
PLACEHOLDERS = (
    "cache",
    "data",
    "datalist",
    "encoder",
    "folder",
    "images",
    "labels",
    "pretrain",
    "run",
    "seed",
    "store",
    "trained",
    "work",
)
# What an experiment that measures the networks of another one has from there.
LENT = ("data", "encoders", "initialisations", "fractions", "seeds", "statistics")
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Variant = Literal["small", "full"]
VARIANTS: tuple[Variant, ...] = ("small", "full")


class Step(Strict):
    """One `python -m monai.bundle run`.

    Attributes:
        configs: Files, from the repository's root; the later changes the earlier.
        set: Overrides; `{datalist}`, `{encoder}` and the other PLACEHOLDERS are filled in.
    """

    configs: tuple[str, ...] = Field(min_length=1)
    set: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known_placeholders(self) -> Self:
        _expect_known(self.set)
        return self


def _expect_known(settings: Mapping[str, Any]) -> None:
    for key, value in settings.items():
        for name in re.findall(r"\{(\w+)\}", value) if isinstance(value, str) else ():
            if name not in PLACEHOLDERS:
                raise ValueError(f"{key}: nothing is called '{{{name}}}'{nearest(name, list(PLACEHOLDERS))}")


class Encoder(Strict):
    """An encoder to begin with: trained by a step, or a file that was exported before.

    Attributes:
        label: In tables.
        first: A training before `step`, such as the first of two stages; `step` names what it leaves.
        step: Its training; `{run}` is where encoder.pt comes to lie.
        file: Or the weights, with their manifest beside them.
        each_seed: Train one for each seed of the experiment, rather than one for all.
        evaluate: Overrides of a task's `evaluate` that belong to this start, such as images that were normalised. With
            neither step nor file, random weights are measured with them.
    """

    label: str = Field(min_length=1)
    first: Step | None = None
    step: Step | None = None
    file: str | None = None
    each_seed: bool = False
    evaluate: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        _expect_known(self.evaluate)
        nothing = self.step is None and self.file is None
        if (self.step is not None and self.file is not None) or (nothing and not self.evaluate):
            raise ValueError("an encoder is either trained (step) or read (file): give one of the two")
        if self.first is not None and self.step is None:
            raise ValueError("'first' is a training before 'step': give both, or call it 'step'")
        return self


class ChangeOfImages(Strict):
    """How the test images of a task are changed, for the table and the picture of what that costs.

    Attributes:
        kind: Such as `gamma`.
        value: Of it.
    """

    kind: str = Field(min_length=1)
    value: float


class Task(Strict):
    """What the encoders are for.

    Attributes:
        label: In tables.
        train: Fine-tuning; left out where features are probed as they are.
        evaluate: Measures and writes `{run}/cases.csv`.
        findings: That the metadata baseline answers, where they are not those of the data.
        classes: The findings exclude each other: Stuart-Maxwell compares how often each is called; accuracy too.
        panels: Draws where the trained networks look, all starts beside each other; `models` is filled in. Once for
            each share, with the first seed.
        curve: Of the validation's figures, the one that is drawn and whose convergence is told; larger is better.
        at_half: Accuracy, recall, specificity and F1 at a probability of 0.5 as well, from the bundle's own evaluation.
        at_sensitivity: Precision, accuracy, recall and specificity as well at the most specific threshold with a
            sensitivity of at least 80 % on the test images (seed 001, Table 4), from the bundle's own evaluation.
        trained: Task of the experiment that this one comes `after`, whose networks are measured as they are;
            `{trained}` is the folder of the run with the same start, share and seed.
        change: Of the test images; None with `trained` where they are as they are.
    """

    label: str = Field(min_length=1)
    train: Step | None = None
    evaluate: Step
    findings: tuple[str, ...] = ()
    classes: bool = False
    panels: Step | None = None
    curve: str = "score"
    at_half: bool = False
    at_sensitivity: bool = False
    trained: str | None = None
    change: ChangeOfImages | None = None

    @model_validator(mode="after")
    def _one_training(self) -> Self:
        if self.train and self.trained:
            raise ValueError(
                "networks are either trained (train) or those of another experiment (trained): one of both"
            )
        if self.change and not self.trained:
            raise ValueError(
                "change tells how test images of networks are changed that were trained before: add trained"
            )
        return self

    @model_validator(mode="after")
    def _panels_of_trained(self) -> Self:
        if self.panels is not None and self.train is None:
            raise ValueError("panels show what was trained: give 'train' as well, or leave 'panels' out")
        return self


class Data(Strict):
    """The images.

    Attributes:
        name: For people; starts with "phantom" where no patient was involved.
        prepare: Commands, each the arguments after `python -m`; they fill `{folder}` with `datalist.json`, `images` and
            `labels.csv`. `{data}` is the folder of real images.
        findings: Labels that are asked for, by which shares are stratified; all of the datalist where none is named.
        metadata: Keys of the datalist's `metadata` for the metadata-only baseline.
        within: Keys by whose values everything is measured apart as well, such as the view.
        notes: What a reader of the tables must know of the labels.
        near: Correlation of shrunk images from which two count as the same picture.
        allow_near: Say, rather than refuse, near-duplicates across sections: phantoms share their anatomy.
    """

    name: str = Field(min_length=1)
    prepare: tuple[tuple[str, ...], ...] = Field(min_length=1)
    findings: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    notes: str = ""
    near: float = Field(default=0.995, gt=0.5, le=1)
    allow_near: bool = False


class Statistics(Strict):
    """How figures are compared.

    Attributes:
        reference: Initialisation that the others are compared with.
        replicates: Of the bootstrap over patients.
        also: Further pairs, first against second.
        seed: Of the bootstrap.
    """

    reference: str = RANDOM
    replicates: int = Field(default=500, ge=0)
    also: tuple[tuple[str, str], ...] = ()
    seed: int = 0


class Experiment(Strict):
    """One experiment in one variant.

    Attributes:
        name: Of the folder too.
        title, question: For the page.
        source: The paper's section, table or figure that is repeated.
        data, encoders, tasks, statistics: As above.
        initialisations: `random`, `metadata` and names of encoders, in the tables' order.
        fractions: Of the training patients, 0 (excluded) to 1.
        seeds: One run for each.
        after: Experiment whose trained networks are measured again; its data, encoders, initialisations, fractions,
            seeds and statistics hold here too.
    """

    name: Name
    title: str = Field(min_length=1)
    question: str = Field(min_length=1)
    source: str = Field(min_length=1)
    data: Data
    encoders: dict[Name, Encoder] = Field(default_factory=dict)
    tasks: dict[Name, Task] = Field(min_length=1)
    initialisations: tuple[str, ...] = Field(min_length=1)
    fractions: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (1.0,)
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    statistics: Statistics = Field(default_factory=Statistics)
    after: str | None = None

    @model_validator(mode="after")
    def _after_another(self) -> Self:
        without = [name for name, task in self.tasks.items() if (task.trained is None) != (self.after is None)]
        if without:
            raise ValueError(f"'after' and each task's 'trained' go together; see {', '.join(without)}")
        if self.after and sum(task.change is None for task in self.tasks.values()) != 1:
            raise ValueError("exactly one task is without 'change': what the others are compared with")
        return self

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        known = [RANDOM, METADATA, *self.encoders]
        pairs = [each for pair in self.statistics.also for each in pair]
        for name in (*self.initialisations, self.statistics.reference, *pairs):
            if name not in known:
                raise ValueError(f"no initialisation is called '{name}'{nearest(name, known)}")
        if {RANDOM, METADATA} & set(self.encoders):
            raise ValueError(f"'{RANDOM}' and '{METADATA}' are there already; give the encoder another name")
        lacking = {RANDOM, METADATA} - set(self.initialisations)
        if lacking:
            raise ValueError(f"every table has its baselines: add {' and '.join(sorted(lacking))} to initialisations")
        if METADATA in self.initialisations and not self.data.metadata:
            raise ValueError("the metadata baseline needs data.metadata: keys of the datalist, such as [view, age]")
        for what, values in (
            ("initialisations", self.initialisations),
            ("fractions", self.fractions),
            ("seeds", self.seeds),
        ):
            if len(set(values)) != len(values):
                raise ValueError(f"{what}: one of them is there twice")
        return self


def read_experiment(path: Path, variant: Variant) -> Experiment:
    """Read a file, the variant laid over what both variants share.

    Raises:
        ConfigurationError: It is missing, no YAML, without that variant, or has a key that is unknown.
    """
    raw = read_mapping(path)
    variants = raw.pop("variants", None)
    if not isinstance(variants, dict) or set(variants) != set(VARIANTS):
        raise ConfigurationError(f"{path}: expected 'variants' with 'small' and 'full'; an empty one is {{}}")
    content = merged(raw, variants[variant] or {})
    if content.get("after"):
        content = _lent(path, content, variant)
    return validate(Experiment, content, f"{path} ({variant})")


def base_of(experiment: Experiment, variant: Variant) -> Experiment:
    """The experiment whose networks are measured again, with the starts, shares and seeds of this one.

    Raises:
        ConfigurationError: It comes after none, or as in `read_experiment`.
    """
    if experiment.after is None:
        raise ConfigurationError(f"{experiment.name} comes after no other experiment")
    asked = {name: getattr(experiment, name) for name in ("initialisations", "fractions", "seeds")}
    return read_experiment(find(experiment.after), variant).model_copy(update=asked)


def _lent(path: Path, content: dict[str, Any], variant: Variant) -> dict[str, Any]:
    own = [name for name in ("data", "encoders") if name in content]
    if own:
        raise ConfigurationError(
            f"{path}: {' and '.join(own)} come from '{content['after']}', whose networks are measured: leave them out"
        )
    base = read_experiment(find(str(content["after"])), variant)
    if base.after:
        raise ConfigurationError(f"{path}: '{base.name}' trains no network itself; come after '{base.after}'")
    return merged(base.model_dump(mode="json", include=set(LENT)), content)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings laid over each other at every depth; anything else is replaced."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def all_files(folder: Path = FOLDER) -> dict[str, Path]:
    """The experiments that ship with the repository, by name.

    Raises:
        ConfigurationError: Two files give one name.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("*/experiment*.yaml")):
        name = str(read_mapping(path).get("name", ""))
        if name in found:
            raise ConfigurationError(f"{found[name]} and {path} are both called '{name}': give one another name")
        found[name] = path
    return found


def find(name: str, folder: Path = FOLDER) -> Path:
    """The file of a name, or the file itself.

    Raises:
        ConfigurationError: Neither; the nearest name is suggested.
    """
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    files = all_files(folder)
    if name not in files:
        close = get_close_matches(name, files, n=1, cutoff=0.5)
        told = f", did you mean '{close[0]}'?" if close else f"; known: {', '.join(files)}"
        raise ConfigurationError(f"no experiment is called '{name}'{told}")
    return files[name]
