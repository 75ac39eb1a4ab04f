"""What readers say of findings, which bundles are switched off, and what workers say of theirs."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "vigil_switches",
        sa.Column("bundle", sa.String(128), primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("by", sa.String(128), nullable=False),
        sa.Column("reason", sa.String(300), nullable=False),
    )
    op.create_table(
        "vigil_bundle_states",
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
    op.create_table(
        "vigil_feedback",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("reader", sa.String(128), nullable=False),
        sa.Column("study", sa.String(64), nullable=False),
        sa.Column("bundle", sa.String(128), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("weights_sha256", sa.String(64), nullable=False),
        sa.Column("series_uid", sa.String(64), nullable=False),
        sa.Column("stack", sa.Integer, nullable=False),
        sa.Column("finding", sa.String(64), nullable=False),
        sa.Column("presence", sa.String(16), nullable=False),
        sa.Column("certainty", sa.Float),
        sa.Column("answer", sa.String(16), nullable=False),
        sa.Column("place", sa.String(16), nullable=False),
        sa.Column("sop_instance_uid", sa.String(64), nullable=False),
        sa.Column("frame", sa.Integer, nullable=False),
        sa.Column("column", sa.Float),
        sa.Column("row", sa.Float),
        sa.Column("comment", sa.Text, nullable=False),
    )
    op.create_index("vigil_feedback_by_study", "vigil_feedback", ["study", "at"])
    op.create_index("vigil_feedback_by_time", "vigil_feedback", ["at", "id"])
