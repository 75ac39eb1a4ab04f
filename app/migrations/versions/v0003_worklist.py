"""The index of studies that the web side searches; it is filled from the outcomes on disk."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the three tables."""
    op.create_table(
        "vigil_worklist",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("study", sa.String(32), nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("urgent", sa.SmallInteger, nullable=False),
        sa.Column("received_at", sa.Double, nullable=False),
        sa.Column("finished_at", sa.Double),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("superseded_by", sa.String(64), nullable=False),
        sa.Column("modality", sa.Text, nullable=False),
        sa.Column("bundles", sa.Text, nullable=False),
        sa.Column("findings", sa.Text, nullable=False),
        sa.Column("study_uid", sa.Text, nullable=False),
        sa.Column("study_date", sa.String(8), nullable=False),
        sa.Column("accession", sa.Text, nullable=False),
        sa.Column("patient_id", sa.Text, nullable=False),
        sa.Column("patient_name", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("words", sa.Text, nullable=False),
    )
    op.create_index("vigil_worklist_order", "vigil_worklist", ["urgent", "received_at", "key"])
    op.create_index("vigil_worklist_states", "vigil_worklist", ["state", "urgent", "received_at", "key"])
    op.create_index("vigil_worklist_study", "vigil_worklist", ["study"])
    op.create_index("vigil_worklist_study_uid", "vigil_worklist", ["study_uid"])
    op.create_table(
        "vigil_worklist_shown",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("shown", sa.Text, nullable=False),
    )
    turn = op.create_table(
        "vigil_worklist_turn",
        sa.Column("id", sa.SmallInteger, primary_key=True),
        sa.Column("turn", sa.BigInteger, nullable=False),
        sa.Column("whole", sa.SmallInteger, nullable=False),
    )
    op.bulk_insert(turn, [{"id": 1, "turn": 0, "whole": 0}])
