"""What every command that makes a datalist shares: its options, its errors, its end.

Use: `from bundles.common.datalist import command`, then `command.Images` and so on.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bundles.common.datalist.assemble import Choices, assemble
from bundles.common.datalist.problems import DatalistError, Problems
from bundles.common.datalist.records import Reading
from bundles.common.datalist.splits import Shares
from bundles.common.datalist.writing import counts_table, write_datalist

Images = Annotated[Path, typer.Option(help="Folder of the images; paths in the datalist are relative to it.")]
Out = Annotated[Path, typer.Option(help="The datalist to write (JSON).")]
SharesText = Annotated[str, typer.Option("--shares", help="Parts of the patients in training, validation and test.")]
LeaveOut = Annotated[
    bool, typer.Option("--leave-out", help="Leave out images that are missing or damaged, and say how many.")
]
OnlyBoxed = Annotated[
    bool, typer.Option("--only-boxed", help="Leave out images on which something present has no box.")
]
Views = Annotated[
    list[str], typer.Option("--view", help="Keep only this view (AP, PA, LATERAL, …); may be repeated; default: all.")
]
Volumes = Annotated[Path, typer.Option("--images", help="Folder of the images.")]
Made = Annotated[
    Path | None,
    typer.Option("--made", help="Folder for what this command makes (masks, volumes); default: `made` beside --out."),
]
MADE: Path | None = None
SHARES = "0.8,0.1,0.1"
ALL_VIEWS: list[str] = []


class Split(StrEnum):
    """Whose split is kept."""

    OWN = "own"
    HASH = "hash"


WhoseSplit = Annotated[Split, typer.Option(help="The set's own split, or by a hash of the patient.")]


def command_app(images: str) -> typer.Typer:
    """The commands of one bundle, one a public set of these images."""
    return typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        help=f"Make a datalist (training, validation, test by patient) from a public set of {images}.",
    )


def made_folder(made: Path | None, out: Path, images: Path) -> Path:
    """Where a command writes masks and volumes: `made` beside the datalist unless told otherwise.

    Raises:
        typer.BadParameter: Below the images, where the next run would take it for a part of the set.
    """
    folder = out.parent / "made" if made is None else made
    if folder.resolve().is_relative_to(images.resolve()):
        raise typer.BadParameter(f"{folder} is below the images {images}; give another folder with --made")
    return folder


def report_path(out: Path) -> Path:
    """Where the whole list of problems goes: `datalist.json` → `datalist.problems.tsv`."""
    return out.with_suffix(".problems.tsv")


def make(
    read: Callable[[Problems], Reading],
    out: Path,
    shares: str,
    *,
    leave_out: bool,
    only_boxed: bool = False,
    views: Sequence[str] = (),
) -> None:
    """Read a set, check it, write the datalist, show its counts; exit with 1 where it is refused.

    Args:
        read: Reads the label files; notes in the `Problems` what it cannot use.
        out: The datalist; all problems go to `report_path(out)`, sort and place in columns.
        shares: Such as `0.8,0.1,0.1`.
        leave_out: Leave out what is missing or damaged.
        only_boxed: Leave out images whose boxes are not all known.
        views: Keep only these; none keeps all.
    """
    problems, console = Problems(), Console(soft_wrap=True, highlight=False)
    try:
        choices = Choices(Shares.parse(shares), leave_out, only_boxed, tuple(view.upper() for view in views))
        datalist = assemble(read(problems), problems, choices)
    except DatalistError as error:
        _refuse(error, problems, out)
        raise typer.Exit(1) from error
    write_datalist(datalist, out)
    console.print(counts_table(datalist))
    for note in datalist.notes:
        console.print(note, markup=False)
    if problems.write_report(report_path(out)):
        console.print(f"what was left out: {report_path(out)}", markup=False)
    console.print(f"datalist: {out}", markup=False)


def _refuse(error: DatalistError, problems: Problems, out: Path) -> None:
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print("[bold red]error:[/]", end=" ")
    console.print(str(error), markup=False)
    if problems.write_report(report_path(out)):
        console.print(f"all {len(problems.found)} problems: {report_path(out)}", markup=False)
