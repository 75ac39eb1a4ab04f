"""The decision: which bundle gets which series of a study, and why not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from app.assignment import Assignment, Decision, Declined
from app.route.conditions import judge, looks_at_pictures
from app.route.matches import Match, assign_images, decline, match_of, told_notes
from app.route.rules import Rule, load_rules
from app.study import Contrast, Series, Study, uid_hash
from bundles.common.contract import Service
from bundles.common.contrast import CONTRASTS

NO_IMAGES = "the study holds no images"
MOST_NAMED = 5
NOTHING_OFF: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Router:
    """Every rule of one installation.

    Attributes:
        rules: In order; where two of one bundle are equally urgent, the earlier counts.
    """

    rules: tuple[Rule, ...]

    @classmethod
    def load(cls, bundles: Mapping[str, Service], routes: Sequence[Path]) -> "Router":
        """Read the bundles' own rules and the rule files; see `app.route.rules.load_rules`.

        Raises:
            Problems: Rules cannot work; each sentence names the file, the rule and what to write instead.
        """
        return cls(load_rules(bundles, routes))

    def decide(self, study: Study, switched_off: Mapping[str, str] = NOTHING_OFF) -> Decision:
        """Route a study. Never raises, whatever the headers hold.

        A series goes to a bundle at most once, under the most urgent rule that matches. Of several series that match
        under `series: best`, the bundle gets the one that `_preference` puts first; the others are declined with
        that reason. A bundle that reads images gets all that match in one assignment, under the most urgent rule; an
        image FOR PROCESSING is declined where the same exposure is there FOR PRESENTATION.

        Args:
            study: What came.
            switched_off: Bundles that get nothing now, by name, each with the sentence that says so.

        Returns:
            The assignments, most urgent first, and every rule that did not match with all its reasons; first those that
            would have, were their bundle not switched off.
        """
        matches: list[Match] = []
        declined: list[Declined] = []
        held_back: list[Declined] = []
        for rule in self.rules:
            for series in study.series:
                verdict = judge(rule.condition, series)
                if verdict.holds and rule.bundle in switched_off:
                    held_back.append(decline(rule, series, (switched_off[rule.bundle],)))
                elif verdict.holds:
                    matches.append(match_of(rule, series, verdict))
                else:
                    declined.append(decline(rule, series, verdict.words))
            if not study.series:
                declined.append(Declined(rule.name, rule.bundle, "", 0, (NO_IMAGES,)))
        chosen, passed_over = _choose(matches)
        return Decision(tuple(sorted(chosen, key=lambda each: each.priority)), (*held_back, *declined, *passed_over))

    @property
    def looks_at_pictures(self) -> bool:
        """Whether any rule asks what a picture shows."""
        return any(looks_at_pictures(part) for rule in self.rules for part in (rule.condition, *rule.prefer))

    def asks_for_contrast(self, series: Series) -> bool:
        """Whether any answer about contrast agent in the picture would change what becomes of a series."""
        answers = (None, *(Contrast(name, 0.0) for name in CONTRASTS))
        pictured = [replace(series, contrast=answer) for answer in answers]
        return any(len({_fate(rule, each) for each in pictured}) > 1 for rule in self.rules)

    def idle_s(self, study: Study, default: float) -> float:
        """Quiet time after which what has arrived counts as complete, seconds.

        The largest among the rules that match what is there so far; `default` where none matches, or where a matching
        rule says nothing of its own.
        """
        times = [
            default if rule.idle_s is None else rule.idle_s
            for rule in self.rules
            if any(judge(rule.condition, series).holds for series in study.series)
        ]
        return max(times, default=default)


def _fate(rule: Rule, series: Series) -> tuple[bool, ...]:
    """Whether a rule holds, and if so which of its doubts and wishes do."""
    if not judge(rule.condition, series).holds:
        return ()
    conditions = (*(condition for _, condition in rule.doubts), *rule.prefer)
    return (True, *(judge(condition, series).holds for condition in conditions))


def _choose(matches: Sequence[Match]) -> tuple[list[Assignment], list[Declined]]:
    chosen: list[Assignment] = []
    declined: list[Declined] = []
    for bundle in dict.fromkeys(match.rule.bundle for match in matches):
        of_bundle = [match for match in matches if match.rule.bundle == bundle]
        single, repeated = _one_rule_a_series(of_bundle)
        if single[0].rule.reads == "image":
            assignment, passed_over = assign_images(single)
            chosen.append(assignment)
        else:
            taken, passed_over = _best_series(single)
            chosen += taken
        declined += repeated + passed_over
    return chosen, declined


def _one_rule_a_series(matches: Sequence[Match]) -> tuple[list[Match], list[Declined]]:
    best: dict[tuple[str, int], Match] = {}
    for match in sorted(matches, key=lambda each: each.rule.priority):
        best.setdefault((match.series.uid, match.series.stack), match)
    declined = []
    for match in matches:
        winner = best[match.series.uid, match.series.stack]
        if winner is not match:
            reason = f"rule '{winner.rule.name}' gives this series to the same bundle already"
            declined.append(decline(match.rule, match.series, (reason,)))
    return list(best.values()), declined


def _best_series(matches: Sequence[Match]) -> tuple[list[Assignment], list[Declined]]:
    rivals = sorted((match for match in matches if match.rule.series == "best"), key=_preference)
    everything = [_assign(match) for match in matches if match.rule.series == "all"]
    if not rivals:
        return everything, []
    winner, *others = rivals
    name = f"series {uid_hash(winner.series.uid)[:12]}, {_slices(winner.series)}"
    reason = f"another series of this study was chosen ({name})"
    chosen = _assign(winner, _passed_over(winner.series, others))
    return [chosen, *everything], [decline(match.rule, match.series, (reason,)) for match in others]


def _passed_over(chosen: Series, others: Sequence[Match]) -> tuple[str, ...]:
    """For the report: that it speaks of one of several series, and of which."""
    if not others:
        return ()
    several = f"{len(others)} other series of this study" if len(others) > 1 else "another series of this study"
    named = ", ".join(_series_name(match.series) for match in others[:MOST_NAMED])
    more = " and others" if len(others) > MOST_NAMED else ""
    were = "were" if len(others) > 1 else "was"
    return (f"{_series_name(chosen)} was analysed; {several} matched as well and {were} not: {named}{more}",)


def _series_name(series: Series) -> str:
    number = series.headers.get("SeriesNumber")
    name = f"series {number}" if isinstance(number, int) else f"series {uid_hash(series.uid)[:12]}"
    return f"{name} ({_slices(series)})"


def _preference(match: Match) -> tuple[object, ...]:
    """What goes first among series that all match; the order is told in docs/routing.md."""
    series, limits = match.series, match.rule.limits
    slices = sum(max(instance.frames, 1) for instance in series.instances)
    kind = series.headers.get("ImageType", ())
    derived = "DERIVED" in (kind if isinstance(kind, tuple) else (kind,))
    fits = limits.min_slices <= slices <= limits.max_slices
    wishes = tuple(not judge(wish, series).holds for wish in match.rule.prefer)
    return (not fits, bool(match.doubts), wishes, derived, match.rule.priority, -slices, series.uid, series.stack)


def _slices(series: Series) -> str:
    count = sum(max(instance.frames, 1) for instance in series.instances)
    return "1 slice" if count == 1 else f"{count} slices"


def _assign(match: Match, notes: tuple[str, ...] = ()) -> Assignment:
    rule, series = match.rule, match.series
    return Assignment(
        bundle=rule.bundle,
        rule=rule.name,
        series_uid=series.uid,
        stack=series.stack,
        priority=rule.priority,
        evidence=match.evidence,
        limits=rule.limits,
        notes=(*told_notes(match.told), *notes),
        told=match.told,
        doubts=match.doubts,
    )
