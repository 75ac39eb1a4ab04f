"""Pages of study revisions: found by the index of studies, or without one by looking at every outcome."""

from collections.abc import Iterator
from itertools import islice

import structlog

from app import outcomes
from app.errors import Retryable
from app.findings import Presence
from app.outcomes import StudyOutcome
from app.revisions import relation
from app.settings import Settings
from app.tables import asking
from app.web.api.cursors import Cursor
from app.worklist import Worklist
from app.worklist_keys import Wanted, newest_keys

log = structlog.get_logger()


def page_of(
    settings: Settings, worklist: Worklist, cursor: Cursor | None, wanted: Wanted, limit: int
) -> tuple[list[StudyOutcome], Cursor | None]:
    """Study revisions, the newest first, and where the list goes on; None where nothing follows.

    Args:
        settings: Of the installation.
        worklist: The index; where it cannot be used, or was never filled, every outcome is looked at.
        cursor: After which study; None begins.
        wanted: Which.
        limit: At most so many.
    """
    keys = _keys(worklist, cursor, wanted, limit + 1)
    if keys is None:
        found = list(islice(_scanned(settings, cursor, wanted), limit + 1))
    else:
        # One whose results were removed a moment ago is left out: the page is shorter, and the list goes on.
        read = (outcomes.read(settings.results / key) for key in keys)
        found = [each for each in read if each is not None]
    more = len(found if keys is None else keys) > limit
    shown = found[:limit]
    return shown, Cursor(shown[-1].received_at, shown[-1].key) if more and shown else None


def fits(settings: Settings, wanted: Wanted, outcome: StudyOutcome) -> bool:
    """Whether a revision is one of those that are wanted: what the index answers, from the outcome itself."""
    at = outcome.received_at
    return (
        (not wanted.states or outcome.state in wanted.states)
        and (wanted.received_from is None or at >= wanted.received_from)
        and (wanted.received_before is None or at < wanted.received_before)
        and (not wanted.bundle or wanted.bundle in _bundles(outcome))
        and (not wanted.finding or wanted.finding in _present(outcome))
        and (wanted.urgent is None or wanted.urgent == _is_urgent(settings, outcome))
    )


def _keys(worklist: Worklist, cursor: Cursor | None, wanted: Wanted, limit: int) -> list[str] | None:
    try:
        if not worklist.is_whole():
            return None
        after = None if cursor is None else (cursor.received_at, cursor.key)
        with asking(worklist.engine) as connection:
            return list(newest_keys(connection, wanted, after, limit))
    except Retryable as error:
        log.warning("listed_without_index", reason=str(error))
        return None


def _scanned(settings: Settings, cursor: Cursor | None, wanted: Wanted) -> Iterator[StudyOutcome]:
    every = outcomes.newest(settings, None if cursor is None else cursor.received_at)
    return (
        each
        for each in every
        if (cursor is None or cursor.precedes(each.received_at, each.key)) and fits(settings, wanted, each)
    )


def _bundles(outcome: StudyOutcome) -> frozenset[str]:
    return frozenset(each.bundle for each in outcome.decision.assignments) if outcome.decision else frozenset()


def _present(outcome: StudyOutcome) -> frozenset[str]:
    findings = (each for report in outcome.reports for each in report.findings)
    return frozenset(each.kind for each in findings if each.presence is Presence.PRESENT)


def _is_urgent(settings: Settings, outcome: StudyOutcome) -> bool:
    flagged = any(report.urgent for report in outcome.reports)
    return flagged and not relation(settings.results, outcome).superseded_by
