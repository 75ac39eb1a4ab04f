"""Study revisions by their last change, and what a search by DICOMweb tells of each study."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index and the table; it fills itself as studies are asked for."""
    op.create_index("vigil_worklist_changes", "vigil_worklist", ["changed", "key"])
    op.create_table(
        "vigil_worklist_told",
        sa.Column("study", sa.String(32), primary_key=True),
        sa.Column("stamp", sa.String(96), nullable=False),
        sa.Column("told", sa.Text, nullable=False),
    )
