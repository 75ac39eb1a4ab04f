"""`python -m bundles.wrist_fracture.scripts.datasets SET …`: label files in, one datalist out."""

from pathlib import Path
from typing import Annotated

import typer

from bundles.common.datalist import command
from bundles.common.datalist.images import ImageFolder
from bundles.wrist_fracture.scripts.datasets import grazpedwri, mura

app = command.command_app("wrist radiographs")


@app.command("grazpedwri")
def grazpedwri_command(
    csv: Annotated[Path, typer.Option(help="dataset.csv")],
    images: command.Images,
    out: command.Out,
    *,
    yolo: Annotated[Path | None, typer.Option(help="Folder of YOLO label files (STEM.txt)")] = None,
    voc: Annotated[Path | None, typer.Option(help="Folder of Pascal VOC files (STEM.xml)")] = None,
    shares: command.SharesText = command.SHARES,
    view: command.Views = command.ALL_VIEWS,
    leave_out: command.LeaveOut = False,
    only_boxed: command.OnlyBoxed = False,
) -> None:
    """GRAZPEDWRI-DX: fractures and eight other kinds of objects in children's wrists."""
    command.make(
        lambda problems: grazpedwri.read(csv, ImageFolder(images), grazpedwri.LabelFolders.below(yolo, voc), problems),
        out,
        shares,
        leave_out=leave_out,
        only_boxed=only_boxed,
        views=view,
    )


@app.command("mura")
def mura_command(
    paths: Annotated[list[Path], typer.Option(help="train_image_paths.csv; once more for valid_image_paths.csv")],
    studies: Annotated[
        list[Path], typer.Option(help="train_labeled_studies.csv; once more for valid_labeled_studies.csv")
    ],
    images: command.Images,
    out: command.Out,
    *,
    split: command.WhoseSplit = command.Split.OWN,
    shares: command.SharesText = command.SHARES,
    leave_out: command.LeaveOut = False,
) -> None:
    """MURA's wrists: studies that are normal or abnormal."""
    command.make(
        lambda problems: mura.read(paths, studies, ImageFolder(images), problems, own_split=split is command.Split.OWN),
        out,
        shares,
        leave_out=leave_out,
    )


if __name__ == "__main__":
    app()
