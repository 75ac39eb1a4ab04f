"""`python -m bundles.head_ct_hemorrhage.scripts.datasets SET …`: labels and images in, one datalist out."""

from pathlib import Path
from typing import Annotated

import typer

from bundles.common.datalist import command
from bundles.common.datalist.images import DICOM, ImageFolder
from bundles.head_ct_hemorrhage.scripts.datasets import bhsd, cq500, ct_ich, rsna

app = command.command_app("head CTs")


@app.command("rsna")
def rsna_command(
    csv: Annotated[Path, typer.Option(help="stage_2_train.csv")],
    images: command.Volumes,
    out: command.Out,
    *,
    shares: command.SharesText = command.SHARES,
    leave_out: command.LeaveOut = False,
) -> None:
    """RSNA Intracranial Hemorrhage Detection: labels of slices, DICOM."""
    command.make(
        lambda problems: rsna.read(csv, ImageFolder(images, DICOM), problems), out, shares, leave_out=leave_out
    )


@app.command("cq500")
def cq500_command(
    csv: Annotated[Path, typer.Option(help="reads.csv")],
    images: command.Volumes,
    out: command.Out,
    *,
    series: Annotated[
        cq500.Spacing, typer.Option(help="Which series of a case: the one with the thickest or the thinnest spacing.")
    ] = cq500.Spacing.THICK,
    shares: command.SharesText = command.SHARES,
    leave_out: command.LeaveOut = False,
) -> None:
    """CQ500: three readers, DICOM; two of three count."""
    command.make(
        lambda problems: cq500.read(csv, ImageFolder(images, DICOM), problems, series),
        out,
        shares,
        leave_out=leave_out,
    )


@app.command("ct-ich")
def ct_ich_command(
    csv: Annotated[Path, typer.Option(help="hemorrhage_diagnosis_raw_ct.csv")],
    images: command.Volumes,
    out: command.Out,
    *,
    masks: Annotated[Path | None, typer.Option(help="Folder masks; without it, no masks.")] = None,
    made: command.Made = command.MADE,
    shares: command.SharesText = command.SHARES,
    leave_out: command.LeaveOut = False,
) -> None:
    """PhysioNet CT-ICH: labels of slices, masks, NIfTI."""
    command.make(
        lambda problems: ct_ich.read(
            csv,
            ImageFolder(images, ct_ich.SUFFIXES),
            None if masks is None else ImageFolder(masks, ct_ich.SUFFIXES),
            command.made_folder(made, out, images),
            problems,
        ),
        out,
        shares,
        leave_out=leave_out,
    )


@app.command("bhsd")
def bhsd_command(
    images: command.Volumes,
    masks: Annotated[Path, typer.Option(help="Folder of the masks (ground truths); may be that of the images.")],
    out: command.Out,
    *,
    made: command.Made = command.MADE,
    shares: command.SharesText = command.SHARES,
    leave_out: command.LeaveOut = False,
) -> None:
    """BHSD: masks of five types, NIfTI."""
    command.make(
        lambda problems: bhsd.read(
            ImageFolder(images, bhsd.SUFFIXES),
            ImageFolder(masks, bhsd.SUFFIXES),
            command.made_folder(made, out, images),
            problems,
        ),
        out,
        shares,
        leave_out=leave_out,
    )


if __name__ == "__main__":
    app()
