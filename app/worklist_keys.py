"""Keys of study revisions from the index, by the time of their last image, or of their last change."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from app.arrivals import REVISION
from app.outcomes import State
from app.worklist_table import WORKLIST

_BEGUN = ~WORKLIST.c.key.endswith(REVISION)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which study revisions a list is of; what is None or empty does not count.

    Attributes:
        states: Any of these.
        urgent: Whether a finding flags it for early reading, and no newer revision stands for it.
        bundle: It was routed to.
        finding: Kind that is present.
        received_from, received_before: Unix times of its last image.
    """

    states: frozenset[State] = frozenset()
    urgent: bool | None = None
    bundle: str = ""
    finding: str = ""
    received_from: float | None = None
    received_before: float | None = None


def newest_keys(
    connection: sa.Connection, wanted: Wanted, after: tuple[float, str] | None, limit: int
) -> Sequence[str]:
    """Keys in the order of `app.outcomes.newest`: the newest first, then by key; without what nobody has begun.

    Args:
        connection: To the workflow database.
        wanted: Which.
        after: Time and key of the last one that was given; None begins.
        limit: At most so many.
    """
    at, key = WORKLIST.c.received_at, WORKLIST.c.key
    conditions = [_BEGUN, *_conditions(connection, wanted)]
    if after is not None:
        last_at, last_key = after
        conditions.append((at < last_at) | ((at == last_at) & (key > last_key)))
    found = connection.execute(sa.select(key).where(*conditions).order_by(at.desc(), key.asc()).limit(limit))
    return [each.key for each in found]


def last_changed(connection: sa.Connection, limit: int) -> Sequence[tuple[int, str]]:
    """Time (ns) and key of the study revisions that changed last, the newest first."""
    changed, key = WORKLIST.c.changed, WORKLIST.c.key
    found = connection.execute(sa.select(changed, key).where(_BEGUN).order_by(changed.desc(), key.desc()).limit(limit))
    return [(each.changed, each.key) for each in found]


def _conditions(connection: sa.Connection, wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    within = sa.func.instr if connection.dialect.name == "sqlite" else sa.func.strpos
    found: list[sa.ColumnElement[bool]] = []
    if wanted.states:
        found.append(WORKLIST.c.state.in_(sorted(wanted.states)))
    if wanted.urgent is not None:
        found.append(WORKLIST.c.urgent == int(wanted.urgent))
    if wanted.bundle:
        found.append(within(WORKLIST.c.bundles, f" {wanted.bundle} ") > 0)
    if wanted.finding:
        found.append(within(WORKLIST.c.findings, f" {wanted.finding} ") > 0)
    if wanted.received_from is not None:
        found.append(WORKLIST.c.received_at >= wanted.received_from)
    if wanted.received_before is not None:
        found.append(WORKLIST.c.received_at < wanted.received_before)
    return found
