"""`python -m app phantoms radiographs …`: chests, wrists and other views."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

radiographs = typer.Typer(
    no_args_is_help=True,
    help="Radiographs of chests, wrists and other views, with boxes around every lesion, pneumothorax and fracture.",
)


class Kind(StrEnum):
    """What to draw."""

    CHEST = "chest"
    CHEST_OPACITIES = "chest-opacities"
    WRIST = "wrist"
    LATERAL_CHEST = "chest-lateral"
    HAND = "hand"
    HIP = "hip"
    LEG = "leg"
    KNEE = "knee"
    FOOT = "foot"
    ELBOW = "elbow"
    SHOULDER = "shoulder"
    ABDOMEN = "abdomen"
    SKULL = "skull"


class SetKind(StrEnum):
    """What a set is of."""

    CHEST = "chest"
    CHEST_OPACITIES = "chest-opacities"
    WRIST = "wrist"
    LATERAL_CHEST = "chest-lateral"
    HAND = "hand"
    HIP = "hip"
    LEG = "leg"
    KNEE = "knee"
    FOOT = "foot"
    ELBOW = "elbow"
    SHOULDER = "shoulder"
    ABDOMEN = "abdomen"
    SKULL = "skull"
    VIEWS = "views"
    OTHER_VIEWS = "other-views"


class Form(StrEnum):
    """How pictures are written."""

    PNG = "png"
    DICOM = "dicom"


Folder = Annotated[Path, typer.Argument(help="Where to write; made if it is missing.", file_okay=False)]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same phantoms.")]


@radiographs.command()
def dicom(
    kind: Annotated[Kind, typer.Argument(help="What to draw.")],
    folder: Folder,
    *,
    count: Annotated[int, typer.Option(min=1, help="How many studies.")] = 4,
    seed: Seed = 1,
    size: Annotated[int, typer.Option(min=64, max=4096, help="Rows.")] = 1024,
    token: Annotated[str, typer.Option(help="Makes UIDs new for a repeated run.")] = "",
    mixed: Annotated[bool, typer.Option(help="Findings by chance, one picture a study.")] = False,
) -> None:
    """Write studies as folders of CR or DX images, and truth.json beside them."""
    from app.demo.phantoms.radiographs.studies import TRUTH, write_radiographs

    table = Table("folder", "system", "images", "findings", box=None)
    for study in write_radiographs(folder, kind.value, count, seed, size, token=token, mixed=mixed):
        system = f"{study.manufacturer} {study.modality}"
        table.add_row(study.folder, system, str(len(study.images)), ", ".join(study.findings) or "none")
    Console().print(table)
    typer.echo(f"truth: {folder / TRUTH}")


@radiographs.command("training-set")
def training_set(
    kind: Annotated[
        SetKind,
        typer.Argument(help="What to draw; `views` is all in turns, `other-views` all but chest and wrist."),
    ],
    folder: Folder,
    *,
    count: Annotated[int, typer.Option(min=1, help="How many images.")] = 900,
    seed: Seed = 2026,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    size: Annotated[int, typer.Option(min=64, max=4096, help="Rows.")] = 512,
    form: Annotated[Form, typer.Option(help="16-bit PNG with bone bright, or DICOM.")] = Form.PNG,
    held_out: Annotated[bool, typer.Option(help="Every case is a test case, to measure finished weights on.")] = False,
) -> None:
    """Write pictures and datalist.json with boxes and labels; cases that are there already are kept."""
    from app.demo.phantoms.radiographs.image_set import write_image_set

    try:
        path = write_image_set(folder, kind.value, count, seed, workers, size, form=form.value, held_out=held_out)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    typer.echo(f"datalist: {path}")


@radiographs.command()
def baseline(
    datalist: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="datalist.json of a set.")],
    part: Annotated[str, typer.Option(help="training, validation or test.")] = "test",
) -> None:
    """Print the AUC of rules without learning: what a network has to beat."""
    from app.demo.phantoms.radiographs.baselines import baseline_aucs

    try:
        found = baseline_aucs(datalist, part)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    for label, (name, auc, count) in found.items():
        typer.echo(f"{label}: {name}, AUC {auc:.3f} ({count} images)")


@radiographs.command()
def gallery(
    kind: Annotated[Kind, typer.Argument(help="What to draw.")],
    folder: Folder,
    seed: Seed = 1,
    count: Annotated[int, typer.Option(min=1, help="Pictures.")] = 12,
) -> None:
    """Draw a contact sheet with the boxes of all findings."""
    from app.demo.phantoms.radiographs.gallery import contact_sheet

    typer.echo(f"picture: {contact_sheet(folder, kind.value, seed, count)}")
