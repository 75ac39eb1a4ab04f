"""Bundles that an administrator has switched off: for every worker of the installation, until switched on again.

Routing asks before each study: a rule that would give a series to such a bundle declines, and says why. What was routed
before goes on to its end. The rows lie in the workflow database, which all workers share and backups hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from app.errors import Rejected
from app.tables import asking, put

LONGEST_REASON = 300

_SWITCHES = sa.Table(
    "vigil_switches",
    sa.MetaData(),
    sa.Column("bundle", sa.String(128), primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("by", sa.String(128), nullable=False),
    sa.Column("reason", sa.String(LONGEST_REASON), nullable=False),
)


@dataclass(frozen=True, slots=True)
class Switch:
    """A bundle that is switched off.

    Attributes:
        bundle: Name of its folder.
        at: Unix time.
        by: Who did it.
        reason: In words, as it is told of every study that the bundle would have read.
    """

    bundle: str
    at: float
    by: str
    reason: str

    @property
    def words(self) -> str:
        """Why a rule of the bundle declines."""
        return f"the bundle '{self.bundle}' is switched off: {self.reason}"


def switched_off(engine: sa.Engine) -> Mapping[str, Switch]:
    """What is switched off now, by name of the bundle.

    Raises:
        Retryable: The database does not answer.
    """
    with asking(engine) as connection:
        rows = connection.execute(sa.select(_SWITCHES).order_by(_SWITCHES.c.bundle)).all()
    return {row.bundle: Switch(row.bundle, row.at, row.by, row.reason) for row in rows}


def switch_off(engine: sa.Engine, switch: Switch) -> None:
    """Switch a bundle off; of one that is off already the reason is replaced.

    Raises:
        Rejected: There is no reason, or it is too long.
        Retryable: The database does not answer.
    """
    reason = " ".join(switch.reason.split())
    if not reason:
        raise Rejected("say why the bundle is switched off: everybody who looks at a study that it did not read asks")
    if len(reason) > LONGEST_REASON:
        raise Rejected(f"the reason has {len(reason)} letters; at most {LONGEST_REASON} are kept")
    with asking(engine) as connection:
        put(connection, _SWITCHES, {"bundle": switch.bundle, "at": switch.at, "by": switch.by, "reason": reason})


def switch_on(engine: sa.Engine, bundle: str) -> bool:
    """Switch a bundle on again; whether it was off.

    Raises:
        Retryable: The database does not answer.
    """
    with asking(engine) as connection:
        return bool(connection.execute(sa.delete(_SWITCHES).where(_SWITCHES.c.bundle == bundle)).rowcount)
