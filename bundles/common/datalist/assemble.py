"""From records to a datalist: duplicates, what is left out, splits."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from bundles.common.datalist.problems import DatalistError, Kind, Problems
from bundles.common.datalist.records import Reading, Record
from bundles.common.datalist.splits import Shares, by_split


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user chose.

    Attributes:
        shares: Parts of the patients in each split.
        leave_out: Leave out images that are missing or damaged instead of refusing the set.
        only_boxed: Leave out images whose boxes are not all known.
        views: Keep only these; none keeps all.
    """

    shares: Shares = field(default_factory=Shares)
    leave_out: bool = False
    only_boxed: bool = False
    views: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Datalist:
    """A checked set in its splits.

    Attributes:
        reading: The set as read, all records of it.
        splits: Records by split.
        notes: Those of the reading, and how much was left out.
    """

    reading: Reading
    splits: Mapping[str, list[Record]]
    notes: tuple[str, ...]


def assemble(reading: Reading, problems: Problems, choices: Choices) -> Datalist:
    """Check records against each other and sort them into splits by patient.

    Raises:
        DatalistError: Problems that cannot or shall not be left out, a patient in two splits, or nothing left.
    """
    records = _without_duplicates(reading, problems)
    by_split(records, choices.shares, problems)
    problems.stop_unless(choices.leave_out)
    spoiled = problems.spoiled
    usable = [record for record in records if record.key not in spoiled]
    seen = [record for record in usable if not choices.views or record.view in choices.views]
    boxed = [record for record in seen if record.boxed] if choices.only_boxed else seen
    if not boxed:
        raise DatalistError(f"{reading.name}: no image is left ({len(records)} were listed)")
    notes = list(reading.notes)
    unlabelled = sum(record.unlabelled for record in boxed)
    if unlabelled:
        notes.append(f"{unlabelled} images are unlabelled: no box, and every label unknown")
    if spoiled:
        notes.append(f"{len(spoiled)} images were left out: missing or damaged")
    if len(seen) < len(usable):
        notes.append(f"{len(usable) - len(seen)} images of other views than {', '.join(choices.views)} were left out")
    if len(boxed) < len(seen):
        notes.append(f"{len(seen) - len(boxed)} images were left out because not everything on them has a box")
    return Datalist(reading, by_split(boxed, choices.shares, problems), tuple(notes))


def _without_duplicates(reading: Reading, problems: Problems) -> list[Record]:
    kept: dict[str, Record] = {}
    for record in reading.records:
        first = kept.setdefault(record.image, record)
        if first is record:
            continue
        if replace(record, place=first.place, key=first.key) == first:
            problems.add(Kind.DUPLICATE, record.place, f"image '{record.key}' again, the same as in {first.place}")
        else:
            words = f"image '{record.key}' again, with other labels than in {first.place}"
            problems.add(Kind.DAMAGED, record.place, words, first.key)
    return list(kept.values())
