"""`python -m app phantoms mr …`: T1-weighted heads after contrast agent, with and without metastases."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

mr = typer.Typer(
    no_args_is_help=True,
    help="Heads on T1-weighted MPRAGE, after contrast agent or without, with a mask of every metastasis.",
)

Folder = Annotated[Path, typer.Argument(help="Where to write; made if it is missing.", file_okay=False)]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same phantoms.")]


class PlaneName(StrEnum):
    """Of the acquisition."""

    SAGITTAL = "sagittal"
    AXIAL = "axial"
    CORONAL = "coronal"


@mr.command()
def dicom(
    folder: Folder,
    *,
    count: Annotated[int, typer.Option(min=1, help="How many studies.")] = 4,
    seed: Seed = 1,
    plane: Annotated[PlaneName | None, typer.Option(help="Of the acquisition; else sagittal or axial by seed.")] = None,
    spacing: Annotated[
        float | None, typer.Option(min=0.5, max=8, help="Isotropic voxels, mm; else a clinical protocol, 256 × 256.")
    ] = None,
    plain: Annotated[bool, typer.Option(help="Without contrast agent, and so without metastases.")] = False,
    with_plain: Annotated[bool, typer.Option(help="A series without contrast agent in every study as well.")] = False,
    token: Annotated[str, typer.Option(help="Makes UIDs new for a repeated run.")] = "",
    mixed: Annotated[bool, typer.Option(help="Metastases by chance instead of in every second study.")] = False,
) -> None:
    """Write studies as folders of MR images, and truth.json beside them."""
    from app.demo.phantoms.mr.studies import TRUTH, StudyPlan, write_mr_studies

    plan = StudyPlan(None if plane is None else plane.value, spacing, not plain, with_plain, token)
    table = Table("folder", "scanner", "plane", "series", "images", "metastases, mm", box=None)
    for study in write_mr_studies(folder, count, seed, plan, mixed=mixed):
        sizes = ", ".join(f"{lesion.diameter_mm:.1f}" for lesion in study.lesions) or "none"
        table.add_row(study.folder, study.manufacturer, study.plane, study.description, str(study.images), sizes)
    Console().print(table)
    typer.echo(f"truth: {folder / TRUTH}")


@mr.command("training-set")
def training_set(
    folder: Folder,
    *,
    count: Annotated[int, typer.Option(min=1, help="How many cases.")] = 900,
    seed: Seed = 2026,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    spacing: Annotated[float, typer.Option(min=0.5, max=8, help="Of the isotropic voxels, mm.")] = 1.2,
    held_out: Annotated[bool, typer.Option(help="Every case is a test case, to measure finished weights on.")] = False,
) -> None:
    """Write NIfTI volumes, masks and datalist.json; cases that are there already are kept."""
    from app.demo.phantoms.mr.volume_set import write_volume_set

    try:
        path = write_volume_set(folder, count, seed, workers, spacing, held_out=held_out)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(f"datalist: {path}")


@mr.command()
def baseline(
    datalist: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="datalist.json of a training set.")],
    part: Annotated[str, typer.Option(help="training, validation or test.")] = "test",
) -> None:
    """Print the AUC for presence of two rules without learning: what a network has to beat."""
    from app.demo.phantoms.mr.baseline import baseline_auc

    try:
        scores = baseline_auc(datalist, part)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(
        f"brightest blob: AUC {scores.blob:.3f}; largest compact bright piece: AUC {scores.compact:.3f} "
        f"({scores.cases} cases)"
    )


@mr.command()
def gallery(
    folder: Folder,
    seed: Seed = 1,
    count: Annotated[int, typer.Option(min=1, help="Heads.")] = 6,
) -> None:
    """Draw a contact sheet with the outlines of all metastases."""
    from app.demo.phantoms.mr.gallery import contact_sheet

    typer.echo(f"picture: {contact_sheet(folder, seed, count)}")
