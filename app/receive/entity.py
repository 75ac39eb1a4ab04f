"""Our application entity, and who waits at its door: connections that have not asked for an association yet."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

from pynetdicom import AE
from pynetdicom.association import Association

AT_THE_DOOR: Final = 32
"""Connections that have not asked for an association, at once."""
PATIENCE_S: Final = 2.0
"""So long one may stand there in any case: who wants an association asks for it at once."""


class Waiting(Protocol):
    """A connection, at the door until it asks.

    Attributes:
        asked: Whether it has asked for an association.
        sent_away: Whether it is about to end.
        since: When it came, seconds of the monotonic clock.
    """

    asked: bool
    sent_away: bool
    since: float

    @property
    def address(self) -> str:
        """From where."""

    def send_away(self) -> None:
        """End the connection."""


class Entity(AE):  # type: ignore[misc]
    """Counts to its `maximum_associations` only who has asked for one, so that nobody fills it by silence."""

    @property
    def connections(self) -> list[Association]:
        """Every connection that is served."""
        return list(super().active_associations)

    @property
    def active_associations(self) -> list[Association]:
        """Those that asked for an association."""
        return [each for each in self.connections if each.asked]

    @property
    def silent(self) -> list[Waiting]:
        """Those that did not ask, and may stay for now."""
        return [each for each in self.connections if not (each.asked or each.sent_away)]


_Someone = TypeVar("_Someone", bound=Waiting)


def to_make_room(waiting: Sequence[_Someone], now: float) -> _Someone | None:
    """Who has to go for the next one: the oldest of the address that has most there; None where all came just now.

    Args:
        waiting: At the door.
        now: Seconds of the monotonic clock.
    """
    crowd = Counter(each.address for each in waiting)
    patient = [each for each in waiting if now - each.since > PATIENCE_S]
    return min(patient, key=lambda each: (-crowd[each.address], each.since), default=None)
