"""`python -m bundles.chest_radiograph.scripts.datasets SET …`: label files in, one datalist out."""

from pathlib import Path
from typing import Annotated

import typer

from bundles.chest_radiograph.scripts.datasets import chestx_det, chexpert, lidc, nih, nih_joined, siim, vinbigdata
from bundles.chest_radiograph.scripts.datasets.targets import targets
from bundles.common.datalist import command
from bundles.common.datalist.fusion import Merging, Method
from bundles.common.datalist.images import ImageFolder
from bundles.common.radiograph.chexpert import Unclear
from bundles.common.radiograph.nih import FINDINGS as NIH_FINDINGS

app = command.command_app("chest radiographs")

Lesion = Annotated[list[str], typer.Option(help="A finding of the set that counts as a lesion; may be repeated.")]
Pneumothorax = Annotated[list[str], typer.Option(help="A finding that counts as a pneumothorax; may be repeated.")]
MergeMethod = Annotated[Method, typer.Option("--merge", help="Boxes of several readers: mean, vote, or all as drawn.")]
Overlap = Annotated[float, typer.Option(help="IoU from which boxes of several readers are the same.")]
Votes = Annotated[int, typer.Option(min=1, help="Readers who must agree, for --merge vote.")]
FrontalViews = Annotated[
    list[str], typer.Option("--view", help="Keep this view (AP, PA, LATERAL); may be repeated.", show_default="AP, PA")
]
FRONTAL_VIEWS = ["AP", "PA"]
LESION, NODULE_MASS, PNEUMOTHORAX = ["Nodule", "Mass"], ["Nodule/Mass"], ["Pneumothorax"]


@app.command("vinbigdata")
def vinbigdata_command(
    csv: Annotated[Path, typer.Option(help="train.csv")],
    images: command.Images,
    out: command.Out,
    *,
    lesion: Lesion = NODULE_MASS,
    pneumothorax: Pneumothorax = PNEUMOTHORAX,
    merge: MergeMethod = Method.WEIGHTED,
    overlap: Overlap = 0.5,
    votes: Votes = 2,
    shares: command.SharesText = command.SHARES,
    leave_out: command.LeaveOut = False,
    only_boxed: command.OnlyBoxed = False,
) -> None:
    """VinBigData (VinDr-CXR): train.csv, boxes of several readers."""
    command.make(
        lambda problems: vinbigdata.read(
            csv,
            ImageFolder(images),
            targets(lesion, pneumothorax, vinbigdata.FINDINGS),
            Merging(merge, overlap, votes),
            problems,
        ),
        out,
        shares,
        leave_out=leave_out,
        only_boxed=only_boxed,
    )


@app.command("nih")
def nih_command(
    entries: Annotated[Path, typer.Option(help="Data_Entry_2017.csv or Data_Entry_2017_v2020.csv")],
    images: command.Images,
    out: command.Out,
    *,
    boxes: Annotated[Path | None, typer.Option(help="BBox_List_2017.csv")] = None,
    test_list: Annotated[
        Path | None, typer.Option(help="test_list.txt: keep the set's own test images; without it, split by hash.")
    ] = None,
    lesion: Lesion = LESION,
    pneumothorax: Pneumothorax = PNEUMOTHORAX,
    shares: command.SharesText = command.SHARES,
    view: command.Views = command.ALL_VIEWS,
    leave_out: command.LeaveOut = False,
    only_boxed: command.OnlyBoxed = False,
) -> None:
    """NIH ChestX-ray14 as downloaded."""
    command.make(
        lambda problems: nih.read(
            entries,
            boxes,
            ImageFolder(images),
            targets(lesion, pneumothorax, NIH_FINDINGS),
            problems,
            test_list=test_list,
        ),
        out,
        shares,
        leave_out=leave_out,
        views=view,
        only_boxed=only_boxed,
    )


@app.command("nih-joined")
def nih_joined_command(
    labels: Annotated[Path, typer.Option(help="labels.csv")],
    images: command.Images,
    out: command.Out,
    *,
    boxes: Annotated[Path | None, typer.Option(help="boxes.csv, in pixels of the images")] = None,
    lesion: Lesion = LESION,
    pneumothorax: Pneumothorax = PNEUMOTHORAX,
    shares: command.SharesText = command.SHARES,
    view: command.Views = command.ALL_VIEWS,
    leave_out: command.LeaveOut = False,
    only_boxed: command.OnlyBoxed = False,
) -> None:
    """NIH radiographs with labels.csv and boxes.csv joined beside them."""
    command.make(
        lambda problems: nih_joined.read(
            labels, boxes, ImageFolder(images), targets(lesion, pneumothorax, NIH_FINDINGS), problems
        ),
        out,
        shares,
        leave_out=leave_out,
        views=view,
        only_boxed=only_boxed,
    )


@app.command("siim")
def siim_command(
    csv: Annotated[Path, typer.Option(help="train-rle.csv")],
    images: command.Images,
    out: command.Out,
    *,
    shares: command.SharesText = command.SHARES,
    view: command.Views = command.ALL_VIEWS,
    leave_out: command.LeaveOut = False,
) -> None:
    """SIIM-ACR pneumothorax: run lengths."""
    command.make(
        lambda problems: siim.read(csv, ImageFolder(images), problems), out, shares, leave_out=leave_out, views=view
    )


@app.command("chestx-det")
def chestx_det_command(
    images: command.Images,
    out: command.Out,
    *,
    train: Annotated[Path | None, typer.Option(help="train.json")] = None,
    test: Annotated[Path | None, typer.Option(help="test.json")] = None,
    lesion: Lesion = LESION,
    pneumothorax: Pneumothorax = PNEUMOTHORAX,
    split: command.WhoseSplit = command.Split.OWN,
    shares: command.SharesText = command.SHARES,
    leave_out: command.LeaveOut = False,
    only_boxed: command.OnlyBoxed = False,
) -> None:
    """ChestX-Det and ChestX-Det10: JSON boxes and polygons."""
    if train is None and test is None:
        raise typer.BadParameter("give --train, --test, or both")
    command.make(
        lambda problems: chestx_det.read(
            train,
            test,
            ImageFolder(images),
            targets(lesion, pneumothorax, chestx_det.FINDINGS),
            problems,
            own_split=split is command.Split.OWN,
        ),
        out,
        shares,
        leave_out=leave_out,
        only_boxed=only_boxed,
    )


@app.command("lidc")
def lidc_command(
    xml: Annotated[Path, typer.Option(help="Folder of XML files (IdriReadMessage)", exists=True, file_okay=False)],
    images: command.Images,
    out: command.Out,
    *,
    merge: MergeMethod = Method.WEIGHTED,
    overlap: Overlap = 0.5,
    votes: Votes = 2,
    shares: command.SharesText = command.SHARES,
    view: command.Views = command.ALL_VIEWS,
    leave_out: command.LeaveOut = False,
    only_boxed: command.OnlyBoxed = False,
) -> None:
    """LIDC-IDRI's radiographs: outlines of several readers."""
    command.make(
        lambda problems: lidc.read(xml, ImageFolder(images), Merging(merge, overlap, votes), problems),
        out,
        shares,
        leave_out=leave_out,
        views=view,
        only_boxed=only_boxed,
    )


@app.command("chexpert")
def chexpert_command(
    csv: Annotated[list[Path], typer.Option(help="train.csv; once more for valid.csv")],
    images: command.Images,
    out: command.Out,
    *,
    uncertain: Annotated[Unclear, typer.Option(help="What -1 becomes.")] = Unclear.UNKNOWN,
    blank: Annotated[
        Unclear, typer.Option(help="What a blank becomes; beside No Finding it is absent.")
    ] = Unclear.UNKNOWN,
    split: command.WhoseSplit = command.Split.OWN,
    shares: command.SharesText = command.SHARES,
    view: FrontalViews = FRONTAL_VIEWS,
    leave_out: command.LeaveOut = False,
) -> None:
    """CheXpert: image labels with uncertain and blank values, no boxes. Lateral images only by --view."""
    command.make(
        lambda problems: chexpert.read(
            csv, ImageFolder(images), problems, uncertain=uncertain, blank=blank, own_split=split is command.Split.OWN
        ),
        out,
        shares,
        leave_out=leave_out,
        views=view,
    )


if __name__ == "__main__":
    app()
