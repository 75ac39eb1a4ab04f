"""Which split a patient is in: a stable hash, the same for every set that names the person alike."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bundles.common.datalist.problems import DatalistError, Kind, Problems
from bundles.common.datalist.records import SPLITS, TEST, TRAINING, VALIDATION, Record


@dataclass(frozen=True, slots=True)
class Shares:
    """Parts of the patients in each split; they sum to 1."""

    training: float = 0.8
    validation: float = 0.1
    test: float = 0.1

    def __post_init__(self) -> None:
        parts = (self.training, self.validation, self.test)
        if min(parts) < 0 or abs(sum(parts) - 1) > 1e-9:
            raise DatalistError(f"the shares of training, validation and test are {parts}; they must sum to 1")

    @classmethod
    def parse(cls, text: str) -> "Shares":
        """Read `0.8,0.1,0.1`."""
        try:
            training, validation, test = (float(part) for part in text.split(","))
        except ValueError as error:
            raise DatalistError(f"the shares are '{text}'; expected three numbers such as 0.8,0.1,0.1") from error
        return cls(training, validation, test)

    def split_of(self, patient: str, pool: tuple[str, ...] = SPLITS) -> str:
        """Tell a patient's split among those of the pool, whose shares keep their proportions.

        Raises:
            DatalistError: The pool has several splits, and all their shares are 0.
        """
        if len(pool) == 1:
            return pool[0]
        parts = {TRAINING: self.training, VALIDATION: self.validation, TEST: self.test}
        wanted = [(name, parts[name]) for name in SPLITS if name in pool and parts[name] > 0]
        if not wanted:
            raise DatalistError(f"patients shall go to {' or '.join(pool)}, and the shares of both are 0")
        digits = hashlib.sha256(f"split\0{patient}".encode()).hexdigest()[:13]
        place = int(digits, 16) / 16**13 * sum(part for _, part in wanted)
        for name, part in wanted:
            if place < part:
                return name
            place -= part
        return wanted[-1][0]


def by_split(records: Iterable[Record], shares: Shares, problems: Problems) -> Mapping[str, list[Record]]:
    """Sort records into splits; a patient in more than one becomes a problem that nothing excuses."""
    sorted_in: dict[str, list[Record]] = {name: [] for name in SPLITS}
    seen: dict[str, dict[str, Record]] = defaultdict(dict)
    for record in records:
        split = shares.split_of(record.patient, record.pool)
        sorted_in[split].append(record)
        seen[record.patient].setdefault(split, record)
    for patient, places in seen.items():
        if len(places) > 1:
            shown = " and ".join(f"{name} ({record.place})" for name, record in places.items())
            first = min(record.place for record in places.values())
            problems.add(Kind.SPLIT, first, f"patient '{patient}' is in {shown}; split by hash instead (--split hash)")
    return sorted_in
