"""Commands that look after an installation's data: `migrate`, `prune`, `backup`, `restore`."""

import sys
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.show import WIDE
from app.errors import Retryable
from app.retention import Pruned, prune, pruning
from app.settings import Settings
from app.workflow_migration import migrate

MEGABYTE = 1 << 20


def migrate_with_line(settings: Settings) -> None:
    """Bring the workflow database to this program's version, and say in a line what was done."""
    before, after = migrate(settings.database)
    if before == after:
        typer.echo(f"database: at version {after} already")
    else:
        typer.echo(f"database: set up at version {after}" if not before else f"database: from {before} to {after}")


def backup_with_line(settings: Settings, folder: Path, through: Path | None) -> None:
    """Take a backup and say in a line what it holds."""
    from app.backup import backup

    taken = backup(settings, folder, through)
    typer.echo(f"backup: {taken.files} files, {taken.bytes / MEGABYTE:.1f} MB in {folder}, each with its hash")


def restore_with_line(settings: Settings, folder: Path, through: Path | None, *, force: bool) -> None:
    """Restore a backup and say in a line what the next worker will do."""
    from app.backup import restore

    anew = restore(settings, folder, force=force, through=through)
    typer.echo(f"restored from {folder}: {anew} unfinished studies are begun anew when a worker starts")


def verify_with_line(folder: Path) -> None:
    """See that a backup is whole, and say in a line what it holds. Nothing is changed, and no settings are needed."""
    from app.backup import verify

    manifest = verify(folder)
    files = manifest["files"]
    assert isinstance(files, dict)  # noqa: S101  as `verify` reads it
    typer.echo(f"{folder} is whole: {len(files)} files, each as its hash says")


def prune_with_table(settings: Settings, *, dry_run: bool) -> None:
    """Prune, or only look, and show it.

    Raises:
        Retryable: A worker prunes, or a backup is taken, at this moment.
    """
    with pruning(settings.run) as ours:
        if not ours:
            raise Retryable("a worker prunes or a backup is taken at this moment; try again when it is done")
        found = prune(settings, dry_run=dry_run)
    console = Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)
    if settings.retention.spool_days is None:
        console.print("retention.spool_days is not set: images and results are kept for ever.")
        return
    if found:
        console.print(_table(found))
    gone = [each for each in found if not each.kept]
    megabytes = sum(each.bytes for each in gone) / MEGABYTE
    results = sum(len(each.results) for each in gone)
    verb = "would go" if dry_run else "went"
    console.print(
        f"{sum(each.images for each in gone)} images ({megabytes:.1f} MB) and {results} results {verb}; "
        f"{len(found) - len(gone)} studies are old enough and stay."
    )


def _table(found: tuple[Pruned, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("study", "images", "MB", "results", "stays because"):
        table.add_column(column, overflow="fold", justify="right" if column in {"images", "MB"} else "left")
    for each in found:
        size = f"{each.bytes / MEGABYTE:.1f}"
        table.add_row(each.study, str(each.images), size, str(len(each.results) or ""), Text(each.kept))
    return table
