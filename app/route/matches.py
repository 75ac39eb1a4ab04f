"""Rules that hold for a series; and all images of a study that match, as one assignment."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from app.assignment import Assignment, Declined
from app.radiographs import image_name, is_raw, same_exposure
from app.route.conditions import Verdict, judge, missed
from app.route.rules import Rule
from app.study import Series

RAW_COPY = "raw values (FOR PROCESSING) of an exposure that is there FOR PRESENTATION"


@dataclass(frozen=True, slots=True)
class Match:
    """A rule that holds for a series.

    Attributes:
        evidence: Why, in words.
        told: By what each named part of the rule was told.
        doubts: Why the series is not to be analysed all the same, in words.
    """

    rule: Rule
    series: Series
    evidence: tuple[str, ...]
    told: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def match_of(rule: Rule, series: Series, verdict: Verdict) -> Match:
    """A match with what is told of it by name, and what speaks against an analysis."""
    judged = [(because, judge(condition, series)) for because, condition in rule.doubts]
    doubts = tuple(_doubt(because, found.sources) for because, found in judged if found.holds)
    return Match(rule, series, verdict.words, verdict.told, doubts)


def decline(rule: Rule, series: Series, reasons: tuple[str, ...]) -> Declined:
    """Say why a bundle does not get a series under a rule."""
    return Declined(rule.name, rule.bundle, series.uid, series.stack, reasons, missed(rule.condition, series))


def assign_images(matches: Sequence[Match]) -> tuple[Assignment, list[Declined]]:
    """Give all matching images of a study to a bundle that reads each by itself, for one report.

    The images come in the order of SeriesNumber, series UID and stack. The raw twin of an image for presentation is
    left out; a raw image without one stays, so that the report can tell that it was not analysed.

    Args:
        matches: Of one bundle, at least one, at most one for each series.
    """
    ordered = sorted(matches, key=lambda match: _place(match.series))
    shown = [match.series for match in ordered if not is_raw(match.series)]
    raw = [m for m in ordered if is_raw(m.series) and any(same_exposure(m.series, other) for other in shown)]
    taken = [match for match in ordered if match not in raw]
    rule = min((match.rule for match in taken), key=lambda each: each.priority)
    told = tuple(dict.fromkeys(each for match in taken for each in match.told))
    first, *others = [(match.series.uid, match.series.stack) for match in taken]
    assignment = Assignment(
        bundle=rule.bundle,
        rule=rule.name,
        series_uid=first[0],
        stack=first[1],
        priority=rule.priority,
        evidence=taken[0].evidence if len(taken) == 1 else tuple(_evidence(match, rule) for match in taken),
        limits=rule.limits,
        more=tuple(others),
        notes=(*(f"{image_name(match.series)} was left out: {RAW_COPY}" for match in raw), *told_notes(told)),
        told=told,
    )
    return assignment, [decline(match.rule, match.series, (RAW_COPY,)) for match in raw]


def told_notes(told: Sequence[str]) -> tuple[str, ...]:
    """What a report says of the evidence that it was routed by: header keywords, never their values."""
    return tuple(f"routed by evidence of {each}" for each in told)


def _doubt(because: str, sources: Sequence[str]) -> str:
    return f"{because}; told by {', '.join(sources)}" if sources else because


def _place(series: Series) -> tuple[float, str, int]:
    number = series.headers.get("SeriesNumber")
    return number if isinstance(number, int) else math.inf, series.uid, series.stack


def _evidence(match: Match, assigned: Rule) -> str:
    under = "" if match.rule.name == assigned.name else f" (rule '{match.rule.name}')"
    return f"{image_name(match.series)}{under}: {'; '.join(match.evidence)}"
