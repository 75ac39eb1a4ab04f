"""The revisions of a study beside each other: what came, and what changed in the answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.findings import Finding, Report
from app.outcomes import StudyOutcome
from app.revisions import is_newer
from app.words import certainty_in_words


@dataclass(frozen=True, slots=True)
class Change:
    """One answer in two revisions.

    Attributes:
        bundle: Who answered.
        finding: What was sought: a kind of the code table.
        before, after: In words; "" where that revision has no such answer.
    """

    bundle: str
    finding: str
    before: str
    after: str

    @property
    def differs(self) -> bool:
        """Whether the two are not the same."""
        return self.before != self.after


@dataclass(frozen=True, slots=True)
class Beside:
    """Another revision of the same study beside the one that is shown.

    Attributes:
        key: Of the other.
        received_at: Unix time.
        run: Of the other.
        newer: Whether it is the newer of the two.
        added, removed: Images that only the newer, and only the older one holds.
        replaced: Images of one UID with other content.
        changes: Answers, from the older to the newer one.
    """

    key: str
    received_at: float
    run: int
    newer: bool
    added: int
    removed: int
    replaced: int
    changes: tuple[Change, ...]

    @property
    def images(self) -> str:
        """What became of the images from the older to the newer one, in words."""
        told = [
            (self.added, "came"),
            (self.removed, "only in the older one"),
            (self.replaced, "with other content under the same UID"),
        ]
        words = [f"{number} {'image' if number == 1 else 'images'} {what}" for number, what in told if number]
        return ", ".join(words) or "the same images"

    @property
    def revision(self) -> str:
        """What tells it from the others of its study."""
        return self.key.rpartition("-")[2]


def beside(shown: StudyOutcome, other: StudyOutcome) -> Beside:
    """Compare two revisions of one study, whichever came first."""
    by_images = is_newer(other, shown), is_newer(shown, other)
    newer = by_images[0] or (not by_images[1] and other.received_at > shown.received_at)
    older, later = (shown, other) if newer else (other, shown)
    before, after = _images(older), _images(later)
    return Beside(
        key=other.key,
        received_at=other.received_at,
        run=other.run,
        newer=newer,
        added=len(after.keys() - before.keys()),
        removed=len(before.keys() - after.keys()),
        replaced=sum(before[name] != after[name] for name in before.keys() & after.keys()),
        changes=tuple(_changes(older.reports, later.reports)),
    )


def _changes(before: Sequence[Report], after: Sequence[Report]) -> Iterator[Change]:
    old, new = _answers(before), _answers(after)
    for name in dict.fromkeys((*old, *new)):
        yield Change(*name, old.get(name, ""), new.get(name, ""))


def _answers(reports: Sequence[Report]) -> dict[tuple[str, str], str]:
    """The answers by bundle and finding; of a bundle that read several series all of them, in their order."""
    found: dict[tuple[str, str], str] = {}
    for report in reports:
        for finding in report.findings:
            name = (report.algorithm.name, finding.kind)
            told = _in_words(finding)
            found[name] = f"{found[name]}; {told}" if name in found else told
    return found


def _in_words(finding: Finding) -> str:
    certainty = certainty_in_words(finding.certainty, finding.threshold)
    return f"{finding.presence.value} {certainty}".strip()


def _images(outcome: StudyOutcome) -> dict[str, str]:
    """Digest by hash of the UID; spooled files are named `<hash of UID>.<digest>.dcm`."""
    return {name.partition(".")[0]: name for name in outcome.files}
