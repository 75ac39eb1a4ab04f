"""Rules: the bundles' own, and those of the rule files."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from app.errors import Rejected
from app.route.conditions import Condition
from app.route.parse import parse
from app.route.problems import Problems, collect
from bundles.common.contract import GeometryLimits, Service
from bundles.common.strict import ConfigurationError, Strict, nearest, read_mapping, validate

OWN = "accepts"


@dataclass(frozen=True, slots=True)
class Rule:
    """Which series a bundle wants.

    Attributes:
        name: Unique; a bundle's own rule is called `<bundle>/accepts`.
        bundle: Folder name of the bundle.
        priority: 1 is the most urgent.
        idle_s: Quiet time of a study that it matches; None takes the service's default.
        condition: What a series must be like.
        limits: The geometry the bundle accepts.
        doubts: What keeps a series that matched from being analysed, each with the words to say.
        series: `best` gives the bundle one series of a study, `all` every one that matches. Means nothing where `reads`
            is `image`.
        prefer: Where several series match under `best`: one that fulfils an earlier condition goes first.
        reads: What the bundle reads: `stack`, a series at a time; `image`, every matching image for one report.
    """

    name: str
    bundle: str
    priority: int
    idle_s: float | None
    condition: Condition
    limits: GeometryLimits
    series: Literal["best", "all"] = "best"
    prefer: tuple[Condition, ...] = ()
    reads: Literal["stack", "image"] = "stack"
    doubts: tuple[tuple[str, Condition], ...] = ()


class Entry(Strict):
    """One rule of a rule file; what is left out is taken from the bundle."""

    name: str = Field(min_length=1)
    bundle: str
    priority: int | None = Field(None, ge=1, le=1000)
    idle_s: float | None = Field(None, ge=0)
    enabled: bool = True
    replace: bool = False
    series: Literal["best", "all"] = "best"
    prefer: tuple[dict[str, Any], ...] = ()
    when: dict[str, Any]


class RuleFile(Strict):
    """A rule file: `rules`, a list of entries."""

    rules: tuple[dict[str, Any], ...]


def load_rules(bundles: Mapping[str, Service], routes: Sequence[Path]) -> tuple[Rule, ...]:
    """The rules of the files in order, then the bundles' own by name, save those that a `replace` rule stands for.

    Args:
        bundles: Folder name → contract of every bundle that is served.
        routes: Rule files, or folders of them (`*.yaml`, in the order of their names).

    Raises:
        Problems: Everything that is wrong in the files and the bundles' `accepts`, and rules with one name.
    """
    files, empty = collect(partial(_files, route) for route in routes)
    raw, unreadable = collect(partial(_raw_rules, path) for found in files for path in found)
    written, wrong = collect(partial(_written, place, entry, bundles) for found in raw for place, entry in found)
    active = [(entry, rule) for entry, rule in written if entry.enabled]
    replaced = {entry.bundle for entry, _ in active if entry.replace}
    own, broken = collect(partial(_own_rule, name, bundles[name]) for name in sorted(bundles) if name not in replaced)
    rules = (*(rule for _, rule in active), *own)
    problems = (*empty, *unreadable, *wrong, *broken, *_repeated_names(rules))
    if problems:
        raise Problems(problems)
    return rules


def _files(route: Path) -> list[Path]:
    found = sorted([*route.glob("*.yaml"), *route.glob("*.yml")]) if route.is_dir() else [route]
    if not found:
        raise Rejected(f"{route}: no rule file (*.yaml) in this folder; take it out of 'routes' or add one")
    return found


def _raw_rules(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The rules of a file as YAML gave them, each with its place for messages."""
    try:
        file = validate(RuleFile, read_mapping(path, "; 'routes' of the settings names it"), str(path))
    except ConfigurationError as error:
        raise Rejected(str(error)) from error
    return [(_place(path, number, raw), raw) for number, raw in enumerate(file.rules)]


def _place(path: Path, number: int, raw: dict[str, Any]) -> str:
    return f"{path}: rule '{raw['name']}'" if raw.get("name") else f"{path}: rules[{number}]"


def _written(place: str, raw: dict[str, Any], bundles: Mapping[str, Service]) -> tuple[Entry, Rule]:
    try:
        entry = validate(Entry, raw, place)
    except ConfigurationError as error:
        raise Rejected(str(error)) from error
    return entry, _rule(entry, bundles, place)


def _rule(entry: Entry, bundles: Mapping[str, Service], where: str) -> Rule:
    wishes = [partial(parse, raw, f"{where}: prefer[{number}]") for number, raw in enumerate(entry.prefer)]
    conditions, problems = collect([partial(parse, entry.when, f"{where}: when"), *wishes])
    if entry.bundle not in bundles:
        known = nearest(entry.bundle, list(bundles)) if bundles else "; no bundle is served"
        problems = (f"{where}: unknown bundle '{entry.bundle}'{known}", *problems)
    else:
        problems = (*_idle_choice(entry, bundles[entry.bundle], where), *problems)
    if problems:
        raise Problems(problems)
    service, (condition, *prefer) = bundles[entry.bundle], conditions
    # What the bundle itself doubts holds for whoever sends it a series.
    return Rule(
        name=entry.name,
        bundle=entry.bundle,
        priority=service.priority if entry.priority is None else entry.priority,
        idle_s=service.idle_s if entry.idle_s is None else entry.idle_s,
        condition=condition,
        limits=service.geometry,
        series=entry.series,
        prefer=tuple(prefer),
        reads=service.reads,
        doubts=_doubts(entry.bundle, service),
    )


def _idle_choice(entry: Entry, service: Service, where: str) -> tuple[str, ...]:
    """Keys that choose among series, for a bundle that gets every matching image."""
    named = sorted({"series", "prefer"} & entry.model_fields_set)
    if service.reads == "stack" or not named:
        return ()
    words = " and ".join(f"'{each}'" for each in named)
    sentence = (
        f"{where}: {words} cannot choose here: bundle '{entry.bundle}' reads every matching image of a study; "
        "say in 'when' which images it is to get"
    )
    return (sentence,)


def _own_rule(bundle: str, service: Service) -> Rule:
    condition = parse(service.accepts, f"bundle '{bundle}': configs/service.yaml: accepts")
    name = f"{bundle}/{OWN}"
    doubts = _doubts(bundle, service)
    return Rule(
        name,
        bundle,
        service.priority,
        service.idle_s,
        condition,
        service.geometry,
        reads=service.reads,
        doubts=doubts,
    )


def _doubts(bundle: str, service: Service) -> tuple[tuple[str, Condition], ...]:
    where = f"bundle '{bundle}': configs/service.yaml: doubts"
    return tuple((each.because, parse(each.when, f"{where}[{n}].when")) for n, each in enumerate(service.doubts))


def _repeated_names(rules: Sequence[Rule]) -> list[str]:
    repeated = [name for name, count in Counter(rule.name for rule in rules).items() if count > 1]
    return [f"two rules are called '{name}'; rename one, reasons are told by rule name" for name in repeated]
