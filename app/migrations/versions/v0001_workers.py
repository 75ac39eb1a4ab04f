"""Heartbeats of the workers. Installations that are older than these steps have the table already."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table where it is not there."""
    if not sa.inspect(op.get_bind()).has_table("vigil_workers"):
        op.create_table(
            "vigil_workers",
            sa.Column("id", sa.String(128), primary_key=True),
            sa.Column("beats", sa.BigInteger, nullable=False),
        )
