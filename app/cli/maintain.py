"""Commands that look after an installation's data: `migrate`."""

import typer

from app.settings import Settings
from app.workflow_migration import migrate


def migrate_with_line(settings: Settings) -> None:
    """Bring the workflow database to this program's version, and say in a line what was done."""
    before, after = migrate(settings.database)
    if before == after:
        typer.echo(f"database: at version {after} already")
    else:
        typer.echo(f"database: set up at version {after}" if not before else f"database: from {before} to {after}")
