"""What is not finished, as numbers: documents on their way, dead letters, studies without a report, by destination.

Reads `outcome.json` of every study once, and again where it has changed: what is finished costs one `stat` a look.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app import outcomes
from app.deliveries import Delivery, Standing, standings
from app.documents import Document
from app.errors import Rejected
from app.findings import Report
from app.outcomes import FINAL, OUTCOME, StudyOutcome
from app.revisions import relations

MOST_TROUBLES = 50
TROUBLE = frozenset({Standing.DEAD_LETTER, Standing.NEVER_MADE})
ON_THE_WAY = frozenset({Standing.WAITING, Standing.AWAITING_COMMITMENT, Standing.UNDER_WAY})


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is not finished. Times are Unix times of the last image of a study.

    Attributes:
        waiting, commitments, dead_letters: Documents by destination.
        waiting_since: The oldest study of which a document is on its way, by destination.
        never_made: Documents that could not be made.
        unfinished: Study revisions that have not ended.
        unread_since: The oldest study that has not all its reports.
        urgent_since: The oldest study with a report flagged for early reading that no destination has.
        damaged: Outcomes that cannot be read.
        troubles: Dead letters and documents that could not be made, the newest studies first; no more than
            `MOST_TROUBLES`.
    """

    waiting: Mapping[str, int]
    commitments: Mapping[str, int]
    dead_letters: Mapping[str, int]
    waiting_since: Mapping[str, float]
    never_made: int = 0
    unfinished: int = 0
    unread_since: float | None = None
    urgent_since: float | None = None
    damaged: int = 0
    troubles: tuple[Delivery, ...] = ()


@dataclass
class BacklogReader:
    """Looks at a folder of results, again and again.

    Attributes:
        results: The folder.
    """

    results: Path
    _seen: dict[str, tuple[int, StudyOutcome | None]] = field(default_factory=dict, init=False)
    _damaged: set[str] = field(default_factory=set, init=False)

    def look(self) -> Backlog:
        """What is not finished now.

        Raises:
            OSError: The folder cannot be read.
        """
        there = {}
        for file in self.results.glob(f"*/{OUTCOME}"):
            try:
                there[file.parent.name] = file.stat().st_mtime_ns
            except FileNotFoundError:
                continue  # removed since it was listed
        for key in self._seen.keys() - there.keys():
            del self._seen[key]
        self._damaged &= there.keys()
        for key, changed in there.items():
            if key not in self._seen or self._seen[key][0] != changed:
                self._seen[key] = (changed, self._read(key))
        return _counted(self.results, [outcome for _, outcome in self._seen.values() if outcome], len(self._damaged))

    def _read(self, key: str) -> StudyOutcome | None:
        """The outcome where something in it is not finished, else None."""
        self._damaged.discard(key)
        try:
            outcome = outcomes.read(self.results / key)
        except Rejected:
            self._damaged.add(key)
            return None
        if outcome is None or (outcome.state in FINAL and not any(standings(outcome)) and not _unheard(outcome)):
            return None
        return outcome


def _counted(results: Path, open_ones: Iterable[StudyOutcome], damaged: int) -> Backlog:
    found = list(open_ones)
    relation = relations(results, found)
    # What a newer revision stands for was held back on purpose.
    counting = [outcome for outcome in found if not relation[outcome.key].superseded_by]
    rows = [row for outcome in counting for row in standings(outcome)]
    unread = [each.received_at for each in counting if each.state not in FINAL and not _all_read(each)]
    urgent = [outcome.received_at for outcome in counting if _unheard(outcome)]
    moving = [row for row in rows if row.standing in ON_THE_WAY]
    return Backlog(
        waiting=_by_destination(moving),
        commitments=_by_destination(row for row in rows if row.standing is Standing.AWAITING_COMMITMENT),
        dead_letters=_by_destination(row for row in rows if row.standing is Standing.DEAD_LETTER),
        waiting_since={
            name: min(row.received_at for row in moving if row.destination == name)
            for name in {row.destination for row in moving}
        },
        never_made=sum(row.standing is Standing.NEVER_MADE for row in rows),
        unfinished=sum(outcome.state not in FINAL for outcome in counting),
        unread_since=min(unread, default=None),
        urgent_since=min(urgent, default=None),
        damaged=damaged,
        troubles=_newest(row for row in rows if row.standing in TROUBLE),
    )


def _newest(rows: Iterable[Delivery]) -> tuple[Delivery, ...]:
    newest = sorted(rows, key=lambda row: (-row.received_at, row.study, row.document, row.destination))
    return tuple(newest[:MOST_TROUBLES])


def _by_destination(rows: Iterable[Delivery]) -> Mapping[str, int]:
    return Counter(row.destination for row in rows)


def _all_read(outcome: StudyOutcome) -> bool:
    return outcome.decision is not None and len(outcome.reports) >= len(outcome.decision.assignments)


def _unheard(outcome: StudyOutcome) -> bool:
    """Whether a report flagged for early reading was to go somewhere, and has reached nobody."""
    return any(report.urgent and _reached_nobody(outcome, report) for report in outcome.reports)


def _reached_nobody(outcome: StudyOutcome, report: Report) -> bool:
    names = {document.path.name for document in outcome.documents if _belongs(document, report)}
    wanted = any(shipment.document in names for shipment in outcome.shipments)
    return wanted and not any(receipt.delivered and receipt.document in names for receipt in outcome.receipts)


def _belongs(document: Document, report: Report) -> bool:
    of_report = (report.algorithm.name, report.series_uid, report.stack)
    return (document.bundle, document.series_uid, document.stack) == of_report


def age_s(since: float | None) -> float:
    """Seconds since a Unix time; 0 for None."""
    return 0.0 if since is None else max(time.time() - since, 0.0)
