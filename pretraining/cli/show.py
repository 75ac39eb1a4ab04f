"""What the verbs show: progress on a terminal, errors in one line."""

import contextlib
from collections.abc import Callable, Iterator

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

FAILED_EXIT = 1


@contextlib.contextmanager
def counting(title: str) -> Iterator[tuple[Callable[[int], None], Callable[[int], None]]]:
    """Show progress on standard error; yield how to tell the total, and how to advance by some files."""
    columns = (SpinnerColumn(), TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda total: progress.update(task, total=total), lambda files: progress.advance(task, files)


@contextlib.contextmanager
def fail_with() -> Iterator[None]:
    """Turn an error that the user can act on into one line on standard error and exit code 1."""
    from pretraining.data.errors import ArchiveError

    try:
        yield
    except (ArchiveError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(FAILED_EXIT) from error
