"""`python -m bundles.chest_classification.scripts.datasets SET …`: label files in, one datalist out."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bundles.chest_classification.scripts.datasets import chexpert, mimic, nih, one_class, own_table
from bundles.chest_classification.scripts.datasets.labels import PAPER, policy_of
from bundles.chest_classification.scripts.findings import CHESS_SIX, Uncertain, checked_classes
from bundles.common.datalist import command
from bundles.common.datalist.images import ImageFolder
from bundles.common.radiograph.chexpert import Unclear
from bundles.common.radiograph.datalist import read_datalist

app = command.command_app("chest radiographs with labels of whole images")

General = Annotated[
    str, typer.Option("--uncertain", help="What -1 becomes: paper (by finding), ones, zeros or ignore.")
]
Own = Annotated[list[str], typer.Option("--uncertain-for", help="Such as edema=zeros; may be repeated.")]
Blank = Annotated[Unclear, typer.Option(help="What a blank becomes; beside No Finding it is absent.")]
FrontalViews = Annotated[
    list[str], typer.Option("--view", help="Keep this view (AP, PA, LATERAL); may be repeated.", show_default="AP, PA")
]
FRONTAL_VIEWS = ["AP", "PA"]
NOTHING_OF_THEIR_OWN: list[str] = []
SIX = list(CHESS_SIX)


@app.command("chexpert")
def chexpert_command(
    csv: Annotated[list[Path], typer.Option(help="train.csv; once more for valid.csv")],
    images: command.Images,
    out: command.Out,
    *,
    uncertain: General = PAPER,
    uncertain_for: Own = NOTHING_OF_THEIR_OWN,
    blank: Blank = Unclear.ABSENT,
    split: command.WhoseSplit = command.Split.OWN,
    valid_is_test: Annotated[
        bool, typer.Option("--valid-is-test", help="Test on valid.csv; divide train.csv by hash of the patient.")
    ] = False,
    shares: command.SharesText = command.SHARES,
    view: FrontalViews = FRONTAL_VIEWS,
    leave_out: command.LeaveOut = False,
) -> None:
    """CheXpert: train.csv and valid.csv, uncertain labels by finding."""
    command.make(
        lambda problems: chexpert.read(
            csv,
            ImageFolder(images),
            problems,
            policy=policy_of(uncertain, uncertain_for),
            blank=blank,
            own_split=split is command.Split.OWN,
            valid_is_test=valid_is_test,
        ),
        out,
        shares,
        leave_out=leave_out,
        views=view,
    )


@app.command("nih")
def nih_command(
    entries: Annotated[Path, typer.Option(help="Data_Entry_2017.csv or Data_Entry_2017_v2020.csv")],
    images: command.Images,
    out: command.Out,
    *,
    test_list: Annotated[
        Path | None, typer.Option(help="test_list.txt: keep the set's own test images; without it, split by hash.")
    ] = None,
    shares: command.SharesText = command.SHARES,
    view: FrontalViews = FRONTAL_VIEWS,
    leave_out: command.LeaveOut = False,
) -> None:
    """NIH ChestX-ray14 as downloaded."""
    command.make(
        lambda problems: nih.read(entries, ImageFolder(images), problems, test_list=test_list),
        out,
        shares,
        leave_out=leave_out,
        views=view,
    )


@app.command("mimic")
def mimic_command(
    labels: Annotated[list[Path], typer.Option(help="mimic-cxr-2.0.0-chexpert.csv or -negbio.csv, or each once")],
    split_table: Annotated[Path, typer.Option(help="mimic-cxr-2.0.0-split.csv")],
    metadata: Annotated[Path, typer.Option(help="mimic-cxr-2.0.0-metadata.csv")],
    images: command.Images,
    out: command.Out,
    *,
    uncertain: General = PAPER,
    uncertain_for: Own = NOTHING_OF_THEIR_OWN,
    blank: Blank = Unclear.ABSENT,
    split: command.WhoseSplit = command.Split.OWN,
    shares: command.SharesText = command.SHARES,
    view: FrontalViews = FRONTAL_VIEWS,
    leave_out: command.LeaveOut = False,
) -> None:
    """MIMIC-CXR or MIMIC-CXR-JPG: labels of studies, the set's own split; tables may be .csv.gz."""
    command.make(
        lambda problems: mimic.read(
            labels,
            split_table,
            metadata,
            ImageFolder(images),
            problems,
            policy=policy_of(uncertain, uncertain_for),
            blank=blank,
            own_split=split is command.Split.OWN,
        ),
        out,
        shares,
        leave_out=leave_out,
        views=view,
    )


@app.command("table")
def table_command(
    csv: Annotated[Path, typer.Option(help="CSV with image, patient, and class or a column for each finding")],
    images: command.Images,
    out: command.Out,
    *,
    uncertain: Annotated[Uncertain, typer.Option(help="What -1 becomes.")] = Uncertain.IGNORE,
    shares: command.SharesText = command.SHARES,
    view: command.Views = command.ALL_VIEWS,
    leave_out: command.LeaveOut = False,
) -> None:
    """A hospital's own table, such as one of CheSS's six classes."""
    command.make(
        lambda problems: own_table.read(csv, ImageFolder(images), problems, uncertain=uncertain),
        out,
        shares,
        leave_out=leave_out,
        views=view,
    )


@app.command("one-class")
def one_class_command(
    datalist: Annotated[Path, typer.Argument(help="A datalist of findings; may be the one to write")],
    out: command.Out,
    *,
    classes: Annotated[list[str], typer.Option("--class", help="Such as normal; once for each")] = SIX,
    per_class: Annotated[int, typer.Option(min=0, help="Of validation and test; CheSS has 28, 0 takes all")] = 0,
    sample: Annotated[int, typer.Option(help="Which images those are")] = 0,
) -> None:
    """Keep the images that show one class alone; CheSS's six unless told otherwise."""
    try:
        content = read_datalist(str(datalist), "chest_classification")
        names = checked_classes(classes, multi_class=True)
        made, left_out = one_class.of_one_class(content, names, per_class=per_class, seed=sample)
    except (KeyError, ValueError) as error:
        told = f"{datalist}: a row lacks {error}" if isinstance(error, KeyError) else str(error)
        typer.echo(f"error: {told}", err=True)
        raise typer.Exit(1) from error
    temporary = out.with_name(f".{out.name}.part")
    temporary.write_text(json.dumps(made, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(out)
    typer.echo(f"datalist: {out}; left out: {', '.join(f'{n} {why}' for why, n in left_out.items()) or 'nothing'}")


if __name__ == "__main__":
    app()
