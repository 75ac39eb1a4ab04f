"""What each worker says of its bundles: served or not, warm or cold, and since when. For people to see."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import sqlalchemy as sa
import structlog

from app.errors import Retryable
from app.tables import asking

log = structlog.get_logger()

_STATES = sa.Table(
    "vigil_bundle_states",
    sa.MetaData(),
    sa.Column("worker", sa.String(128), primary_key=True),
    sa.Column("bundle", sa.String(128), primary_key=True),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("weights_sha256", sa.String(64), nullable=False),
    sa.Column("device", sa.String(32), nullable=False),
    sa.Column("problem", sa.Text, nullable=False),
    sa.Column("warmed_at", sa.Float),
    sa.Column("warm_s", sa.Float, nullable=False),
    sa.Column("weights_bytes", sa.BigInteger, nullable=False),
    sa.Column("analyses", sa.BigInteger, nullable=False),
    sa.Column("analysed_at", sa.Float),
)
_WORKERS = sa.table("vigil_workers", sa.column("id"))
_IS_KNOWN = _STATES.c.worker.in_(sa.select(_WORKERS.c.id))
"""A worker that was taken over has no heartbeat any more; under a name that changes, as of containers, never again."""


@dataclass(frozen=True, slots=True)
class BundleState:
    """A bundle in one worker.

    Attributes:
        bundle, version, weights_sha256: Which.
        device: Where its network lies: "cpu", "cuda:0".
        problem: Why it cannot be built, in words; "" where it can.
        warmed_at: Unix time since which it is built and warm; None while it is cold.
        warm_s: Seconds that took.
        weights_bytes: Memory that the network's parameters and buffers hold.
        analyses: Since the worker began.
        analysed_at: Unix time of the last one; None before.
    """

    bundle: str
    version: str
    weights_sha256: str
    device: str
    problem: str = ""
    warmed_at: float | None = None
    warm_s: float = 0.0
    weights_bytes: int = 0
    analyses: int = 0
    analysed_at: float | None = None


@dataclass
class Teller:
    """Tells the others what a worker's bundles are like, when that has changed.

    Attributes:
        engine: The workflow database, migrated.
        worker: Our id.
    """

    engine: sa.Engine
    worker: str
    _told: tuple[BundleState, ...] | None = field(default=None, init=False)

    def tell(self, states: Sequence[BundleState]) -> None:
        """Put these in the place of what was told before. A silent database stops no worker: it is tried again."""
        now = tuple(states)
        if now == self._told:
            return
        rows = [{"worker": self.worker, **asdict(each)} for each in now]
        try:
            with asking(self.engine) as connection:
                connection.execute(sa.delete(_STATES).where((_STATES.c.worker == self.worker) | ~_IS_KNOWN))
                if rows:
                    connection.execute(sa.insert(_STATES), rows)
        except Retryable as error:
            log.warning("bundle_states_not_told", reason=str(error))
            return
        self._told = now

    def retire(self) -> None:
        """Leave nothing behind."""
        self.tell(())


def states_of(engine: sa.Engine) -> dict[str, tuple[BundleState, ...]]:
    """What workers that have a heartbeat said last, by worker; some may have died just now.

    Raises:
        Retryable: The database does not answer.
    """
    with asking(engine) as connection:
        query = sa.select(_STATES).where(_IS_KNOWN).order_by(_STATES.c.worker, _STATES.c.bundle)
        rows = connection.execute(query).mappings().all()
    found: dict[str, tuple[BundleState, ...]] = {}
    for row in rows:
        state = BundleState(**{name: value for name, value in row.items() if name != "worker"})
        found[row["worker"]] = (*found.get(row["worker"], ()), state)
    return found
