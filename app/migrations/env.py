"""Alembic's way in: runs the steps on the connection that `app.workflow_migration` hands over."""

from alembic import context

from app.workflow_migration import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
with context.begin_transaction():
    context.run_migrations()
