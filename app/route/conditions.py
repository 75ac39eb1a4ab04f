"""Conditions of the rule language: each says whether it holds for a series, and why or why not, in words.

`not` is no condition of its own: `negate` pushes it down to the leaves (De Morgan), so that every reason stays a plain
sentence and not(not x) is x.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from app.assignment import OTHER_MODALITY
from app.route.values import Present, Scalar, Test, in_words, inside, passes, wanted_by
from app.route.words import is_shown
from app.study import Header, Series, contrast_in_words, picture_in_words
from app.words import certainty_in_words
from bundles.common.contrast import in_words as contrast_named
from bundles.common.geometry import Plane
from bundles.common.views import in_words as named

LONGEST_SHOWN = 64


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a condition holds, and every sentence that says why (it holds) or why not.

    Attributes:
        sources: What it rests on where it holds, without values: header keywords, "picture (0.25)".
        told: The sources of each named part (`Named`) that holds: "contrast agent: SeriesDescription".
    """

    holds: bool
    words: tuple[str, ...]
    sources: tuple[str, ...] = field(default=(), compare=False)
    told: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag of the first instance, by keyword; `negated` wants the test to fail."""

    keyword: str
    test: Test
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Orientation:
    """The patient plane nearest to the slices."""

    planes: tuple[Plane, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Slices:
    """The number of slices, a multi-frame object counting its frames; inclusive, None is open."""

    low: int | None
    high: int | None
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Shows:
    """What the picture of a radiograph shows, one of some views; a picture that nobody looked at shows none."""

    views: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Enhancement:
    """What the picture of a head says of contrast agent; a picture that nobody looked at says nothing."""

    contrasts: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Named:
    """A part whose evidence is told by a name, with the assignment and in its report."""

    name: str
    part: "Condition"


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Any:
    """At least one part holds."""

    parts: tuple["Condition", ...]


Leaf = Tag | Orientation | Slices | Shows | Enhancement
Condition = Leaf | Named | All | Any


def negate(condition: Condition) -> Condition:
    """The opposite of a condition; twice gives the condition itself."""
    match condition:
        case Tag() | Orientation() | Slices() | Shows() | Enhancement():
            return replace(condition, negated=not condition.negated)
        case Named(name, part):
            return Named(name, negate(part))
        case All(parts):
            return Any(tuple(negate(part) for part in parts))
        case Any(parts):
            return All(tuple(negate(part) for part in parts))
        case _:  # pragma: no cover  the type checker proves it
            assert_never(condition)


def judge(condition: Condition, series: Series) -> Verdict:
    """Whether a condition holds for a series, with every sentence that says why or why not. Never raises."""
    match condition:
        case Named(name, part):
            return _judge_named(name, judge(part, series))
        case All(parts):
            return _judge_all([judge(part, series) for part in parts])
        case Any(parts):
            return _judge_any([judge(part, series) for part in parts])
        case _:
            return _judge_leaf(condition, series)


def missed(condition: Condition, series: Series) -> int:
    """How far a series is from a condition: how many of its parts do not hold, of alternatives the fewest.

    Another modality counts as `app.assignment.OTHER_MODALITY` parts. 0 where the condition holds.
    """
    match condition:
        case Named(_, part):
            return missed(part, series)
        case All(parts):
            return sum(missed(part, series) for part in parts)
        case Any(parts):
            return min((missed(part, series) for part in parts), default=1)
        case Tag("Modality"):
            return 0 if _judge_tag(condition, series).holds else OTHER_MODALITY
        case _:
            return 0 if _judge_leaf(condition, series).holds else 1


def _judge_leaf(condition: Leaf, series: Series) -> Verdict:
    match condition:
        case Tag():
            return _judge_tag(condition, series)
        case Orientation():
            return _judge_orientation(condition, series)
        case Slices():
            return _judge_slices(condition, series)
        case Shows():
            return _judge_shows(condition, series)
        case Enhancement():
            return _judge_enhancement(condition, series)
        case _:  # pragma: no cover  the type checker proves it
            assert_never(condition)


def looks_at_pictures(condition: Condition) -> bool:
    """Whether any part of a condition asks what the picture shows."""
    match condition:
        case Shows():
            return True
        case Named(_, part):
            return looks_at_pictures(part)
        case All(parts) | Any(parts):
            return any(looks_at_pictures(part) for part in parts)
        case _:
            return False


def _judge_all(verdicts: list[Verdict]) -> Verdict:
    holds = all(verdict.holds for verdict in verdicts)
    counted = [verdict for verdict in verdicts if verdict.holds == holds]
    words = tuple(word for verdict in counted for word in verdict.words)
    if not holds:
        return Verdict(holds, words)
    sources = tuple(dict.fromkeys(source for verdict in counted for source in verdict.sources))
    return Verdict(holds, words, sources, tuple(each for verdict in counted for each in verdict.told))


def _judge_named(name: str, verdict: Verdict) -> Verdict:
    if not verdict.holds:
        return verdict
    told = f"{name}: {', '.join(verdict.sources) or 'nothing against it'}"
    return replace(verdict, told=(*verdict.told, told))


def _judge_any(verdicts: list[Verdict]) -> Verdict:
    for verdict in verdicts:
        if verdict.holds:
            return verdict
    if len(verdicts) == 1:
        return verdicts[0]
    alternatives = "; ".join(f"({number}) {', '.join(v.words)}" for number, v in enumerate(verdicts, start=1))
    return Verdict(holds=False, words=(f"none of {len(verdicts)} alternatives: {alternatives}",))


def _judge_tag(condition: Tag, series: Series) -> Verdict:
    values = _values(condition.keyword, series)
    holds = passes(condition.test, values) != condition.negated
    wanted = f"anything but {wanted_by(condition.test)}" if condition.negated else wanted_by(condition.test)
    if isinstance(condition.test, Present) and condition.negated:
        wanted = "no value"
    # What a tag does not say is no evidence of anything.
    sources = () if condition.negated else (condition.keyword,)
    if holds and not condition.negated and not isinstance(condition.test, Present) and is_shown(condition.keyword):
        return Verdict(holds, (_seen(condition.keyword, values),), sources)
    if holds:
        return Verdict(holds, (f"{_seen(condition.keyword, values)} (wanted {wanted})",), sources)
    return Verdict(holds, (f"{_seen(condition.keyword, values)}, wanted {wanted}",))


def _judge_orientation(condition: Orientation, series: Series) -> Verdict:
    plane = series.geometry.plane if series.geometry else None
    seen = f"orientation is {plane}" if plane else "no orientation in space is given"
    wanted = ("anything but " if condition.negated else "") + " or ".join(condition.planes)
    holds = (plane in condition.planes) != condition.negated
    return Verdict(holds, (seen if holds else f"{seen}, wanted {wanted}",), ("orientation",))


def _judge_slices(condition: Slices, series: Series) -> Verdict:
    count = sum(max(instance.frames, 1) for instance in series.instances)
    seen = "1 slice" if count == 1 else f"{count} slices"
    wanted = ("anything but " if condition.negated else "") + in_words(condition.low, condition.high)
    holds = inside(count, condition.low, condition.high) != condition.negated
    return Verdict(
        holds, (f"{seen} (wanted {wanted})" if holds else f"{seen}, wanted {wanted}",), ("number of slices",)
    )


def _judge_shows(condition: Shows, series: Series) -> Verdict:
    seen, view = picture_in_words(series.view), series.view
    wanted = ("anything but " if condition.negated else "") + " or ".join(named(name) for name in condition.views)
    holds = (view is not None and view.name in condition.views) != condition.negated
    sources = (f"picture ({'not looked at' if view is None else certainty_in_words(view.certainty, None)})",)
    if holds and not condition.negated:
        return Verdict(holds, (seen,), sources)
    return Verdict(holds, (f"{seen} (wanted {wanted})" if holds else f"{seen}, wanted {wanted}",), sources)


def _judge_enhancement(condition: Enhancement, series: Series) -> Verdict:
    seen, contrast = contrast_in_words(series.contrast), series.contrast
    wanted = " or ".join(contrast_named(name) for name in condition.contrasts)
    wanted = f"anything but {wanted}" if condition.negated else wanted
    holds = (contrast is not None and contrast.name in condition.contrasts) != condition.negated
    sources = (f"picture ({'not looked at' if contrast is None else format(contrast.share, '.2f')})",)
    if holds and not condition.negated:
        return Verdict(holds, (seen,), sources)
    return Verdict(holds, (f"{seen} (wanted {wanted})" if holds else f"{seen}, wanted {wanted}",), sources)


def _values(keyword: str, series: Series) -> tuple[Scalar, ...]:
    first = series.instances[0] if series.instances else None
    known: Mapping[str, Header] = {
        "Modality": series.modality,
        "SOPClassUID": first.sop_class_uid if first else "",
        "TransferSyntaxUID": first.transfer_syntax_uid if first else "",
    }
    value = series.headers.get(keyword, known.get(keyword, ""))
    values = value if isinstance(value, tuple) else (value,)
    return tuple(one for one in values if str(one).strip())


def _seen(keyword: str, values: tuple[Scalar, ...]) -> str:
    if not values:
        return f"{keyword} is absent"
    if not is_shown(keyword):
        return f"{keyword} is present"
    text = "\\".join(str(value).strip() for value in values)
    clean = "".join(letter if letter.isprintable() else "�" for letter in text)
    return f"{keyword} is {clean if len(clean) <= LONGEST_SHOWN else clean[:LONGEST_SHOWN] + '…'}"
