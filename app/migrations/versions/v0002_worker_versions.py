"""Which version of the workflows a worker runs; "" for workers that are older than this column."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("vigil_workers", sa.Column("version", sa.String(32), nullable=False, server_default=""))
