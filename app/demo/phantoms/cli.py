"""`python -m app phantoms …`, and the same as `python -m app.demo.phantoms …`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.demo.phantoms.gallery import gallery as draw_gallery
from app.demo.phantoms.mr.cli import mr
from app.demo.phantoms.radiographs.cli import radiographs
from app.demo.phantoms.studies import TRUTH, write_studies
from app.demo.phantoms.training_set import baseline_auc, join_training_sets, write_training_set

cli = typer.Typer(
    name="phantoms",
    no_args_is_help=True,
    add_completion=False,
    help="Studies that no patient ever was, with their truth: CT and MR heads; radiographs of chests and other parts.",
)
cli.add_typer(mr, name="mr")
cli.add_typer(radiographs, name="radiographs")

Folder = Annotated[Path, typer.Argument(help="Where to write; made if it is missing.", file_okay=False)]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same phantoms.")]


@cli.command()
def dicom(
    folder: Folder,
    *,
    count: Annotated[int, typer.Option(min=1, help="How many studies.")] = 4,
    seed: Seed = 1,
    size: Annotated[int, typer.Option(min=32, max=1024, help="Rows and columns.")] = 512,
    token: Annotated[str, typer.Option(help="Makes UIDs new for a repeated run.")] = "",
    mixed: Annotated[bool, typer.Option(help="Kinds by chance, one to three in a study, instead of in turns.")] = False,
) -> None:
    """Write studies as folders of DICOM images, and truth.json beside them."""
    studies = write_studies(folder, count, seed, size, token=token, mixed=mixed)
    table = Table("folder", "scanner", "images", "bleeds", "mL", box=None)
    for study in studies:
        volume = sum(study.volumes_ml.values())
        table.add_row(
            study.folder, study.manufacturer, str(study.images), ", ".join(study.types) or "none", f"{volume:.1f}"
        )
    Console().print(table)
    typer.echo(f"truth: {folder / TRUTH}")


@cli.command("training-set")
def training_set(
    folder: Folder,
    *,
    count: Annotated[int, typer.Option(min=1, help="How many cases.")] = 900,
    seed: Seed = 2026,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    size: Annotated[int, typer.Option(min=32, max=1024, help="Rows and columns.")] = 256,
    withheld: Annotated[
        float, typer.Option(min=0, max=1, help="Share of training items without type labels, and without slice labels.")
    ] = 0.0,
    held_out: Annotated[bool, typer.Option(help="Every case is a test case, to measure finished weights on.")] = False,
) -> None:
    """Write NIfTI volumes, masks and datalist.json; cases that are there already are kept."""
    datalist = write_training_set(folder, count, seed, workers, size, withheld=withheld, held_out=held_out)
    typer.echo(f"datalist: {datalist}")


@cli.command()
def join(
    folder: Folder,
    sets: Annotated[list[Path], typer.Argument(help="Folders of training sets.", exists=True, file_okay=False)],
) -> None:
    """Write one datalist.json for several training sets; the images stay where they are."""
    try:
        typer.echo(f"datalist: {join_training_sets(folder, sets)}")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@cli.command()
def baseline(
    datalist: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="datalist.json of a training set.")],
    part: Annotated[str, typer.Option(help="training, validation or test.")] = "test",
) -> None:
    """Print the AUC for presence of counting voxels as bright as blood: what a network has to beat."""
    scores = baseline_auc(datalist, part)
    typer.echo(
        f"bright voxels: AUC {scores.raw:.3f}; after smoothing: AUC {scores.smoothed:.3f} ({scores.cases} cases)"
    )


@cli.command()
def gallery(
    folder: Folder,
    seed: Seed = 1,
    each: Annotated[int, typer.Option(min=1, help="Phantoms of each kind.")] = 2,
) -> None:
    """Draw a contact sheet of all kinds of bleeds, window 55/200 HU."""
    typer.echo(f"picture: {draw_gallery(folder, seed, each)}")
