"""Documents once more by hand: of one study, or of every study of some time, as after a PACS lost a day."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import structlog
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app import revisions
from app.audit.deliveries import tell_replayed
from app.destinations import Destination
from app.documents import Receipt
from app.errors import AppError, Rejected
from app.outcomes import StudyOutcome, newest
from app.settings import Settings
from app.words import visible
from app.workflow_delivery import destinations_of, replay

IN_VAIN = 3
"""Studies one after the other of which something was not taken: then the destination is to be mended first."""

_log = structlog.get_logger()


def replay_with_table(
    settings: Settings,
    study: str | None,
    destination: str | None,
    *,
    since: str | None,
    until: str | None,
    even_superseded: bool,
) -> int:
    """Deliver documents again and show what came of it; 1 where one was not taken.

    Args:
        settings: Of the installation.
        study: Key of one study, or its StudyInstanceUID; None takes those of a time.
        destination: Name of one; None takes all.
        since: Of those of a time the last image came then or later, as `instant` reads it.
        until: And before that; None: until now.
        even_superseded: One study: also where a newer revision stands for it.

    Raises:
        Rejected: Not exactly one of study and time is given, or one cannot be used.
    """
    if (study is None) == (since is None):
        raise Rejected("give the key of a study, or --since TIME (and --until TIME) for all of that time")
    if study is not None:
        if until is not None:
            raise Rejected("--until belongs to --since; a study that is named is sent whenever it came")
        return _replay_one(settings, study, destination, even_superseded=even_superseded)
    if even_superseded:
        raise Rejected("--force is for one study; of those of a time the newest revision is sent")
    begin, end = instant(since or "", "--since"), math.inf if until is None else instant(until, "--until")
    if end <= begin:
        raise Rejected("--until is not after --since; both are UTC, and --until itself is left out")
    return _replay_all(settings, begin, end, destination)


def instant(text: str, option: str) -> float:
    """Read a day or a moment of ISO 8601, UTC where it names no zone: Unix time.

    Raises:
        Rejected: It is none.
    """
    try:
        read = datetime.fromisoformat(text)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        words = "2026-11-20, 2026-11-20T13:00 (UTC) or 2026-11-20T13:00+01:00"
        raise Rejected(f"{option} '{visible(text)}' is no time; write {words}") from error


def _replay_one(settings: Settings, study: str, destination: str | None, *, even_superseded: bool) -> int:
    receipts = replay(settings, study, destination, even_superseded=even_superseded)
    tell_replayed(settings, study, receipts)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("document", "destination", "result"):
        table.add_column(column, overflow="fold")
    for receipt in receipts:
        tone = "green" if receipt.delivered else "bold red"
        table.add_row(receipt.document, receipt.destination, Text(visible(receipt.detail), style=tone))
    Console().print(table)
    return 0 if all(receipt.delivered for receipt in receipts) else 1


def _replay_all(settings: Settings, begin: float, end: float, destination: str | None) -> int:
    """The oldest first, so that a run which was broken off can go on where it ended."""
    peers = destinations_of(settings, destination)
    found, damaged = _received(settings, begin, end, peers)
    chosen = [(each.received_at, each.key) for each in found]
    console = Console(soft_wrap=True, highlight=False)
    taken, in_vain = 0, list[float]()
    for received_at, key in sorted(chosen):
        good = _replay_quietly(settings, key, destination, console)
        taken += good
        in_vain = [] if good else [*in_vain, received_at]
        if len(in_vain) == IN_VAIN:
            console.print(f"stopped: {IN_VAIN} studies in a row were not taken; mend that, then go on with the rest by")
            console.print(f"--since {datetime.fromtimestamp(math.floor(in_vain[0]), UTC):%Y-%m-%dT%H:%M:%S}")
            break
    words = f"{taken} of {len(chosen)} studies were taken" if chosen else "no study of that time has a document"
    unread = f"; {damaged} that may be of that time cannot be read, see outcome_damaged in the log" if damaged else ""
    console.print(words + unread)
    return 0 if taken == len(chosen) and not damaged else 1


def _received(
    settings: Settings, begin: float, end: float, peers: Sequence[Destination]
) -> tuple[list[StudyOutcome], int]:
    """The studies of a time that have something to send, but for those that a newer revision stands for.

    And how many cannot be read, which the log names: when they came is not known, but nothing came after it changed.
    """
    found, unread = [], list[str]()

    def damaged(folder: Path, changed_at: float, error: Rejected) -> None:
        if changed_at >= begin:
            _log.error("outcome_damaged", study=folder.name[:12], reason=str(error))
            unread.append(folder.name)

    for each in newest(settings, end, damaged):
        if each.received_at < begin:
            break
        wanted = any(peer.wants(document) for peer in peers for document in each.documents)
        if wanted and each.received_at < end and not revisions.relation(settings.results, each).superseded_by:
            found.append(each)
    return found, len(unread)


def _replay_quietly(settings: Settings, key: str, destination: str | None, console: Console) -> bool:
    """One of many: a line of its own, and no end of the others where it cannot be sent."""
    receipts: tuple[Receipt, ...] = ()
    try:
        receipts = replay(settings, key, destination)
    except AppError as error:
        told = Text(visible(str(error)), style="bold red")
    else:
        tell_replayed(settings, key, receipts)
        refused = [receipt for receipt in receipts if not receipt.delivered]
        words = f"{len(receipts) - len(refused)} of {len(receipts)} documents"
        why = f"; {refused[0].destination}: {visible(refused[0].detail)}" if refused else ""
        told = Text(words + why, style="bold red" if refused else "green")
    console.print(f"{key}: ", told, sep="")
    return bool(receipts) and all(receipt.delivered for receipt in receipts)
