"""From readers' answers to labels: what they agree on; where they differ, or cannot say, nothing is known."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from app.feedback import Answer, Feedback, Place
from app.findings import FINDING_KINDS

Labels = Mapping[str, bool | None]


@dataclass(frozen=True, slots=True)
class Judged:
    """What readers say of one report.

    Attributes:
        labels: Whether each finding that was answered is there; None where they differ or cannot say.
        confirmed: Findings whose places are right as shown: somebody says so and nobody says otherwise.
        points: Images on which somebody marked a finding that is there, by finding.
        readers: How many have answered.
        differ: Findings of which they say different things.
        places: Answers that mark an image on which a finding is, of findings that are there.
    """

    labels: Labels
    confirmed: frozenset[str] = frozenset()
    points: Mapping[str, frozenset[str]] = field(default_factory=dict)
    readers: int = 0
    differ: tuple[str, ...] = ()
    places: tuple[Feedback, ...] = ()


def judge(given: Sequence[Feedback]) -> Judged:
    """Bring the standing answers to one report together."""
    labels: dict[str, bool | None] = {}
    differ = []
    for finding in dict.fromkeys(each.finding for each in given):
        truths = {each.truth for each in given if each.finding == finding} - {None}
        labels[finding] = truths.pop() if len(truths) == 1 else None
        if truths and labels[finding] is None:
            differ.append(finding)
    implied = imply(labels)
    return Judged(
        labels=implied,
        confirmed=frozenset(name for name in labels if implied.get(name) and _places_confirmed(given, name)),
        points={name: _marked(given, name) for name in labels if implied.get(name)},
        readers=len({each.reader for each in given}),
        differ=tuple(differ),
        places=tuple(each for each in given if each.truth and each.sop_instance_uid and implied.get(each.finding)),
    )


def imply(labels: Labels) -> Labels:
    """Add what follows: without the whole none of its parts is there, and with a part the whole is.

    Where answers contradict each other (no bleed at all, and a subdural one) nothing is known of either.
    """
    known = dict(labels)
    for whole in {kind.part_of for kind in FINDING_KINDS.values() if kind.part_of}:
        parts = [kind.name for kind in FINDING_KINDS.values() if kind.part_of == whole]
        there = [name for name in parts if labels.get(name)]
        if labels.get(whole) is False:
            known |= dict.fromkeys((whole, *there)) if there else dict.fromkeys(parts, False)
        elif there:
            known[whole] = True
    return known


def _places_confirmed(given: Iterable[Feedback], finding: str) -> bool:
    there = {Answer.AGREE, Answer.ELSEWHERE}
    said = [each.place for each in given if each.finding == finding and each.answer in there]
    return Place.AS_SHOWN in said and Place.POINT not in said


def _marked(given: Iterable[Feedback], finding: str) -> frozenset[str]:
    return frozenset(
        each.sop_instance_uid for each in given if each.finding == finding and each.sop_instance_uid and each.truth
    )
