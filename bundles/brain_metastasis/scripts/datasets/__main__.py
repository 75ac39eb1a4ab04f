"""`python -m bundles.brain_metastasis.scripts.datasets SET …`: heads and masks in, one datalist out."""

from typing import Annotated

import typer

from bundles.brain_metastasis.scripts.datasets import brainmetshare, brats, pairs
from bundles.common.datalist import command
from bundles.common.datalist.images import ImageFolder

app = command.command_app("MR heads with metastases")

CORE = list(brats.CORE)


@app.command("brats-mets")
def brats_command(
    images: command.Volumes,
    out: command.Out,
    *,
    metastasis: Annotated[
        list[str], typer.Option(help="NETC, SNFH, ET or RC: a class that counts as metastasis; may be repeated.")
    ] = CORE,
    made: command.Made = command.MADE,
    shares: command.SharesText = command.SHARES,
    leave_out: command.LeaveOut = False,
) -> None:
    """BraTS-METS: t1c and seg, NIfTI."""
    command.make(
        lambda problems: brats.read(
            ImageFolder(images, brats.SUFFIXES), command.made_folder(made, out, images), problems, metastasis
        ),
        out,
        shares,
        leave_out=leave_out,
    )


@app.command("brainmetshare")
def brainmetshare_command(
    images: command.Volumes,
    out: command.Out,
    *,
    sequence: Annotated[
        brainmetshare.Sequence, typer.Option(help="Which T1 after contrast agent: folder 0 or folder 2.")
    ] = brainmetshare.Sequence.GRADIENT_ECHO,
    spacing: Annotated[
        str, typer.Option(help="Millimetres between columns, rows and slices; the pictures do not tell.")
    ] = "0.9375,0.9375,1",
    from_top: Annotated[bool, typer.Option("--from-top", help="Numbers rise from superior to inferior.")] = False,
    made: command.Made = command.MADE,
    shares: command.SharesText = command.SHARES,
    leave_out: command.LeaveOut = False,
) -> None:
    """Stanford BrainMetShare: slices as PNG."""
    command.make(
        lambda problems: brainmetshare.read(
            ImageFolder(images, brainmetshare.SUFFIXES),
            command.made_folder(made, out, images),
            problems,
            sequence=sequence,
            spacing_mm=brainmetshare.parse_spacing(spacing),
            from_top=from_top,
        ),
        out,
        shares,
        leave_out=leave_out,
    )


@app.command("pairs")
def pairs_command(
    images: command.Volumes,
    out: command.Out,
    *,
    names: Annotated[
        str, typer.Option(help="Regular expression for the names of regions and segments that are metastases.")
    ] = pairs.NAMES,
    made: command.Made = command.MADE,
    shares: command.SharesText = command.SHARES,
    leave_out: command.LeaveOut = False,
) -> None:
    """DICOM series with RT Structure Sets or Segmentations."""
    command.make(
        lambda problems: pairs.read(
            ImageFolder(images, pairs.SUFFIXES), command.made_folder(made, out, images), problems, names
        ),
        out,
        shares,
        leave_out=leave_out,
    )


if __name__ == "__main__":
    app()
