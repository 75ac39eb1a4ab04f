"""The history of our own tables in the workflow database, for Alembic."""
