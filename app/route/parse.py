"""From YAML to conditions; what could never work is refused, with its place and what to write instead."""

import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any as Yaml
from typing import get_args

from app.errors import Rejected
from app.route.conditions import All, Any, Condition, Enhancement, Named, Orientation, Shows, Slices, Tag, negate
from app.route.problems import every
from app.route.values import Matches, OneOf, Present, Scalar, Test, Within
from app.route.words import TESTS, problem_of
from bundles.common.contrast import CONTRASTS
from bundles.common.geometry import Plane
from bundles.common.strict import nearest
from bundles.common.views import UNCLEAR, VIEWS

DEEPEST = 20


def parse(raw: Yaml, where: str, depth: int = 0) -> Condition:
    """Turn a mapping of the rule language (docs/routing.md) into a condition; several keys must all hold.

    Args:
        raw: What YAML gave.
        where: Names the place in messages: "routes.yaml: rule 'urgent': when".
        depth: How many operators stand around it.

    Raises:
        Problems: Each unknown keyword, operator or test (with the nearest known one), a keyword that identifies
            patients, a regular expression that does not compile, a range that nothing can fulfil.
    """
    if depth > DEEPEST:
        raise Rejected(f"{where}: more than {DEEPEST} operators inside one another; split the rule")
    if not isinstance(raw, Mapping) or not raw:
        raise Rejected(f"{where}: expected a condition such as {{Modality: CT}}, got {raw!r}")
    parts = every(partial(_parse_one, str(word), value, where, depth) for word, value in raw.items())
    return parts[0] if len(parts) == 1 else All(parts)


def _parse_one(word: str, value: Yaml, where: str, depth: int) -> Condition:
    here = f"{where}.{word}"
    match word:
        case "all":
            return All(_parts(value, here, depth))
        case "any":
            return Any(_parts(value, here, depth))
        case "not":
            return negate(parse(value, here, depth + 1))
        case "evidence":
            return _named(value, here, depth)
        case "orientation" | "slices" | "view" | "contrast":
            return _parse_property(word, value, here)
    problem = problem_of(word)
    if problem:
        raise Rejected(f"{where}: {problem}")
    return _parse_tag(word, value, here)


def _parse_property(word: str, value: Yaml, where: str) -> Condition:
    """What is no tag: where a series lies, how many slices it has, what its picture shows."""
    match word:
        case "orientation":
            return Orientation(_planes(value, where))
        case "slices":
            return _slices(value, where)
        case "view":
            return Shows(_one_of("view", value, [*VIEWS, UNCLEAR], where))
        case _:
            return Enhancement(_one_of("contrast", value, list(CONTRASTS), where))


def _named(value: Yaml, where: str, depth: int) -> Condition:
    if not isinstance(value, Mapping) or not value:
        raise Rejected(f"{where}: expected a name and its condition such as {{contrast agent: {{…}}}}, got {value!r}")
    names = [str(name) for name in value]
    conditions = every(partial(parse, part, f"{where}.{name}", depth + 1) for name, part in value.items())
    parts = tuple(Named(name, part) for name, part in zip(names, conditions, strict=True))
    return parts[0] if len(parts) == 1 else All(parts)


def _parts(value: Yaml, where: str, depth: int) -> tuple[Condition, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise Rejected(f"{where}: expected a list of conditions, got {value!r}")
    return every(partial(parse, part, f"{where}[{number}]", depth + 1) for number, part in enumerate(value))


def _planes(value: Yaml, where: str) -> tuple[Plane, ...]:
    planes = value if isinstance(value, list) else [value]
    known: tuple[Plane, ...] = get_args(Plane)
    for plane in planes:
        if plane not in known:
            raise Rejected(f"{where}: unknown plane '{plane}'{nearest(str(plane), list(known))}")
    if not planes:
        raise Rejected(f"{where}: an empty list matches nothing")
    return tuple(planes)


def _one_of(what: str, value: Yaml, known: list[str], where: str) -> tuple[str, ...]:
    """What a picture shows: one word of those known, or a list of them."""
    named = value if isinstance(value, list) else [value]
    for name in named:
        if name not in known:
            raise Rejected(f"{where}: unknown {what} '{name}'{nearest(str(name), known)}")
    if not named:
        raise Rejected(f"{where}: an empty list matches nothing")
    return tuple(named)


def _slices(value: Yaml, where: str) -> Slices:
    low, high = _limits(value, where)
    for limit in (low, high):
        if limit is not None and (limit != int(limit) or limit < 1):
            raise Rejected(f"{where}: a number of slices is a whole number from 1, got {limit}")
    return Slices(None if low is None else int(low), None if high is None else int(high))


def _parse_tag(keyword: str, value: Yaml, where: str) -> Condition:
    if not isinstance(value, Mapping):
        return Tag(keyword, OneOf((_scalar(value, where),)))
    unknown = [str(key) for key in value if key not in TESTS]
    if unknown:
        raise Rejected(f"{where}: unknown test '{unknown[0]}'{nearest(unknown[0], list(TESTS))}")
    if len(value) != 1 and set(value) != {"min", "max"}:
        raise Rejected(f"{where}: expected one test ({', '.join(TESTS)}); join several with 'all', got {dict(value)}")
    if "present" in value:
        return _presence(keyword, value["present"], where)
    return Tag(keyword, _test(value, where))


def _presence(keyword: str, value: Yaml, where: str) -> Condition:
    if not isinstance(value, bool):
        raise Rejected(f"{where}.present: expected true or false, got {value!r}")
    present = Tag(keyword, Present())
    return present if value else negate(present)


def _test(value: Mapping[str, Yaml], where: str) -> Test:
    if "regex" in value:
        return Matches(_pattern(value["regex"], f"{where}.regex"))
    if "in" in value:
        options = value["in"]
        if not isinstance(options, list) or not options:
            raise Rejected(f"{where}.in: expected a list of values, got {options!r}")
        return OneOf(tuple(_scalar(option, f"{where}.in") for option in options))
    return Within(*_limits(value, where))


def _pattern(value: Yaml, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise Rejected(f"{where}: expected a regular expression in quotes, got {value!r}")
    try:
        re.compile(value, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as error:
        raise Rejected(f"{where}: not a regular expression: {error} in {value!r}") from error
    return value


def _scalar(value: Yaml, where: str) -> Scalar:
    if isinstance(value, list):
        raise Rejected(f"{where}: a list needs a test; write {{in: {value}}}")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Rejected(f"{where}: expected text or a number, got {value!r}; put text like NO or a date in quotes")
    if not str(value).strip():
        raise Rejected(f"{where}: nothing equals empty text; write {{present: false}}")
    return value


def _limits(value: Yaml, where: str) -> tuple[float | None, float | None]:
    if not isinstance(value, Mapping) or not value or not set(value) <= {"min", "max"}:
        unknown = [str(key) for key in value if key not in {"min", "max"}] if isinstance(value, Mapping) else []
        hint = f": unknown key '{unknown[0]}'{nearest(unknown[0], ['min', 'max'])}" if unknown else ""
        raise Rejected(f"{where}{hint}: expected {{min: …, max: …}}, got {value!r}")
    low, high = value.get("min"), value.get("max")
    for limit in (low, high):
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int | float)):
            raise Rejected(f"{where}: expected a number, got {limit!r}")
        if limit is not None and not math.isfinite(limit):
            raise Rejected(f"{where}: expected a finite number, got {limit!r}; leave the limit out instead")
    if low is None and high is None:
        raise Rejected(f"{where}: a range needs min, max or both")
    if low is not None and high is not None and low > high:
        raise Rejected(f"{where}: nothing is at least {low} and at most {high}")
    return low, high
