"""`python -m bundles.wrist_fracture.scripts.datasets SET …`: label files in, one datalist out."""

from pathlib import Path
from typing import Annotated

import typer

from bundles.common.datalist.command import (
    ALL_VIEWS,
    SHARES,
    Images,
    LeaveOut,
    OnlyBoxed,
    Out,
    SharesText,
    Split,
    Views,
    WhoseSplit,
    command_app,
    make,
)
from bundles.common.datalist.images import ImageFolder
from bundles.wrist_fracture.scripts.datasets import grazpedwri, mura

app = command_app("wrist radiographs")


@app.command("grazpedwri")
def grazpedwri_command(
    csv: Annotated[Path, typer.Option(help="dataset.csv")],
    images: Images,
    out: Out,
    *,
    yolo: Annotated[Path | None, typer.Option(help="Folder of YOLO label files (STEM.txt)")] = None,
    voc: Annotated[Path | None, typer.Option(help="Folder of Pascal VOC files (STEM.xml)")] = None,
    shares: SharesText = SHARES,
    view: Views = ALL_VIEWS,
    leave_out: LeaveOut = False,
    only_boxed: OnlyBoxed = False,
) -> None:
    """GRAZPEDWRI-DX: fractures and eight other kinds of objects in children's wrists."""
    make(
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
    images: Images,
    out: Out,
    *,
    split: WhoseSplit = Split.OWN,
    shares: SharesText = SHARES,
    leave_out: LeaveOut = False,
) -> None:
    """MURA's wrists: studies that are normal or abnormal."""
    make(
        lambda problems: mura.read(paths, studies, ImageFolder(images), problems, own_split=split is Split.OWN),
        out,
        shares,
        leave_out=leave_out,
    )


if __name__ == "__main__":
    app()
