"""Images of an experiment as a folder of links with a table of labels beside it: `FOLDER/images`, `FOLDER/labels.csv`.

Nothing is copied; the images stay where their terms allow them to be.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from bundles.common.metrics.cases import patient_id
from pretraining.data.errors import ArchiveError
from pretraining.experiments.held_out import is_held_out, judged_at_last, judged_by_attempts
from pretraining.experiments.layout import (
    DATALIST,
    SHARES,
    Names,
    label_volumes,
    link_images,
    link_more,
    link_unlabelled,
    write_datalist,
)
from pretraining.experiments.mixture import mixture_rows
from pretraining.experiments.regions import cut_regions
from pretraining.experiments.sources import make_looks, source_rows

NIH_SETS = ("cxr_nih", "cxr_nih64")
IMAGES = frozenset({".dcm", ".jpeg", ".jpg", ".png", ".tif", ".tiff"})
# Our names, as bundles/chest_classification has them, and the words of ChestX-ray14.
FINDINGS = {
    "atelectasis": {"Atelectasis"},
    "edema": {"Edema"},
    "infiltration": {"Infiltration"},
    "lung_lesion": {"Mass", "Nodule"},
    "pleural_effusion": {"Effusion"},
    "pneumonia": {"Pneumonia"},
    "pneumothorax": {"Pneumothorax"},
}
app = typer.Typer(no_args_is_help=True, help="Run the experiments, report on them, lay out their images.")


@app.command()
def radiographs(
    data: Annotated[Path, typer.Argument(help="Folder that holds cxr_nih and cxr_nih64")],
    folder: Annotated[Path, typer.Argument(help="Where images and labels.csv go")],
) -> None:
    """Two sets of NIH ChestX-ray14 images as one; an image that both have is taken from the first."""
    with _told():
        rows = nih_rows(data)
        lay_out(folder, rows)
        write_datalist(folder, rows, findings=("finding", *FINDINGS), metadata=("view", "small", "age", "female"))
    typer.echo(f"{len(rows)} images in {folder / 'images'}")


@app.command()
def heads(
    phantoms: Annotated[Path, typer.Argument(help="Folder of `python -m app phantoms training-set`")],
    folder: Annotated[Path, typer.Argument(help="Where images and labels.csv go")],
) -> None:
    """Phantom head CTs without their masks."""
    with _told():
        rows = phantom_rows(phantoms)
        lay_out(folder, rows)
    typer.echo(f"{len(rows)} volumes in {folder / 'images'}")


def nih_rows(data: Path) -> list[dict[str, Any]]:
    """One row an image: path, `patient`, and numbers: `finding` (any), `ap`, `small` (of the 64² set), `age`, `female`.

    Raises:
        ArchiveError: A table or an image is missing.
    """
    rows: dict[str, dict[str, Any]] = {}
    for name in NIH_SETS:
        for line in _table(data / name / "labels.csv"):
            rows.setdefault(
                line["image"],
                {
                    "path": data / name / "images" / line["image"],
                    "patient": line["patient_id"],
                    "finding": int(line["findings"] != "No Finding"),
                    **{name: int(bool(words & set(line["findings"].split("|")))) for name, words in FINDINGS.items()},
                    "ap": int(line["view"] == "AP"),
                    "view": line["view"],
                    "small": int(name == "cxr_nih64"),
                    "age": line.get("age", ""),
                    "female": {"F": 1, "M": 0}.get(line.get("sex", ""), ""),
                },
            )
    return list(rows.values())


def phantom_rows(phantoms: Path) -> list[dict[str, Any]]:
    """One row a volume: its path, `patient` (its seed) and `hemorrhage`.

    Raises:
        ArchiveError: There is no list of phantoms.
    """
    path = phantoms / "datalist.json"
    if not path.is_file():
        raise ArchiveError(f"{path} is missing; make it with 'python -m app phantoms training-set {phantoms}'")
    parts: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    cases = [case for name in ("training", "validation", "test") for case in parts.get(name, ())]
    return [{"path": phantoms / case["image"], "patient": case["seed"], "hemorrhage": case["label"]} for case in cases]


def lay_out(folder: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Link the images and write the table; links that are there are kept.

    Raises:
        ArchiveError: No row, images are missing, or another file has the place of a link.
    """
    rows = list(rows)
    missing = [row["path"] for row in rows if not row["path"].is_file()]
    if missing or not rows:
        raise ArchiveError(f"{len(missing)} of {len(rows)} images are missing, such as {(missing or ['any'])[0]}")
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for row in rows:
        link, target = folder / "images" / row["path"].name, row["path"].resolve()
        if link.is_symlink() and link.resolve() == target:
            continue
        if link.exists() or link.is_symlink():
            raise ArchiveError(f"{link} is there and is no link to {target}; choose another folder")
        link.symlink_to(target)
    names = [name for name in rows[0] if name != "path"]
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", *names])
        writer.writerows([row["path"].name, *(row.get(name, "") for name in names)] for row in rows)


def _table(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise ArchiveError(f"{path}: {error.strerror}; docs/experiments/cxr_nih.md tells the sets") from error


@app.command()
def mixture(
    data: Annotated[Path, typer.Argument(help="Folder of the real images")],
    folder: Annotated[Path, typer.Argument(help="Where images, labels.csv and datalist.json go")],
) -> None:
    """Radiographs, head CT slices and head MR slices in one folder, their kind in the column `kind`."""
    with _told():
        rows = mixture_rows(data, folder / "slices", nih_rows(data))
        lay_out(folder, rows)
        write_datalist(folder, rows, findings=("finding", "hemorrhage"), metadata=("kind", "set", "view", "width"))
    typer.echo(f"{len(rows)} images in {folder / 'images'}")


@app.command()
def sources(
    data: Annotated[Path, typer.Argument(help="Folder that holds cxr_nih, cxr_nih64 and xr_wrist_grazped")],
    folder: Annotated[Path, typer.Argument(help="Where images, bands, labels.csv and datalist.json go")],
) -> None:
    """Radiographs of three sources, shrunk to 64 pixels, and the same images with the energies of their bands alike."""
    with _told():
        looks = make_looks(source_rows(data, nih_rows(data)), folder)
        lay_out(folder, looks.rows)
        write_datalist(
            folder,
            looks.rows,
            findings=("finding", "small", "wrist"),
            metadata=("source", "view"),
            about=looks.about(),
        )
    typer.echo(f"{len(looks.rows)} images in {folder / 'images'}, {looks.clipped:.2%} of the normalised pixels clipped")


@app.command()
def images(
    folder: Annotated[Path, typer.Argument(help="Folder of datalist.json")],
    images: Annotated[Path, typer.Argument(help="Where the images lie")],
) -> None:
    """Make FOLDER/images a link to a set of images."""
    with _told():
        link_images(folder, images)


@app.command()
def volumes(
    folder: Annotated[Path, typer.Argument(help="Folder with datalist.json of volumes")],
    *,
    finding: Annotated[str | None, typer.Option(help="Name of the rows' label")] = None,
    kind: Annotated[list[str] | None, typer.Option("--type", help="Name of one of their types, in order")] = None,
    slices: Annotated[str | None, typer.Option(help="Name of what their slices are asked for")] = None,
) -> None:
    """Add to a datalist of volumes what experiments ask for: named labels, patients, what headers say."""
    with _told():
        count = label_volumes(folder, Names(finding, tuple(kind or ()), slices))
    typer.echo(f"{count} volumes in {folder / DATALIST}")


@app.command()
def regions(
    folder: Annotated[Path, typer.Argument(help="Folder with datalist.json, whose rows have boxes")],
    *,
    finding: Annotated[str, typer.Option(help="Whose boxes these are")],
    side: Annotated[int, typer.Option(min=64, help="Of a region, in pixels")] = 96,
    each: Annotated[int, typer.Option(min=1, help="Regions of an image")] = 3,
) -> None:
    """Cut images into regions of full resolution, around boxes and where other images have some."""
    with _told():
        count = cut_regions(folder, finding, side, each)
    typer.echo(f"{count} regions in {folder / DATALIST}")


@app.command()
def unlabelled(
    folder: Annotated[Path, typer.Argument(help="Folder with datalist.json")],
) -> None:
    """Link the training images into FOLDER/pretrain, for an encoder that must see no others."""
    with _told():
        count = link_unlabelled(folder)
    typer.echo(f"{count} images in {folder / 'pretrain'}")


@app.command()
def expanded(
    data: Annotated[Path, typer.Argument(help="Folder that holds cxr_nih and cxr_nih64")],
    folder: Annotated[Path, typer.Argument(help="Where images, datalist.json, pretrain and pretrain_more go")],
) -> None:
    """The 1000 of NIH with labels; without labels its training patients' images, and those with the 64² set as well."""
    with _told():
        labelled, own, more = _lay_out_with_more(folder, nih_rows(data), tuple(FINDINGS), SHARES.split_of)
    typer.echo(f"{labelled} images with labels; {own} images in pretrain, {more} in pretrain_more")


@app.command()
def attempts(
    data: Annotated[Path, typer.Argument(help="Folder that holds cxr_nih and cxr_nih64")],
    folder: Annotated[
        Path, typer.Argument(help="Where images, labels.csv, datalist.json, pretrain and pretrain_more go")
    ],
    *,
    at_last: Annotated[bool, typer.Option("--at-last", help="Measure on the patients whom no attempt saw")] = False,
) -> None:
    """The 1000 of NIH as `expanded`, for attempts at pretraining; the patients held out for the end are left out."""
    with _told():
        rows = nih_rows(data)
        if not at_last:
            rows = [row for row in rows if not is_held_out(patient_id(str(row["patient"])))]
        split_of = judged_at_last if at_last else judged_by_attempts
        labelled, own, more = _lay_out_with_more(folder, rows, ("finding",), split_of)
    typer.echo(f"{labelled} images with labels; {own} images in pretrain, {more} in pretrain_more")


@app.command()
def added(
    folder: Annotated[Path, typer.Argument(help="Folder with datalist.json, after `unlabelled`")],
    sources: Annotated[list[Path], typer.Argument(help="Folders of other sources, of other patients")],
) -> None:
    """Link the training images and all images of other sources into FOLDER/pretrain_more."""
    with _told():
        absent = [source for source in sources if not source.is_dir()]
        if absent:
            raise ArchiveError(f"{absent[0]} is no folder of images")
        found = (path for source in sources for path in source.rglob("*") if path.suffix.lower() in IMAGES)
        count = link_more(folder, found)
    typer.echo(f"{count} images in {folder / 'pretrain_more'}")


def _lay_out_with_more(
    folder: Path, rows: Sequence[Mapping[str, Any]], findings: Sequence[str], split_of: Callable[[str], str]
) -> tuple[int, int, int]:
    """Counts of the 1000 with labels, of their training patients' images, and of these with the 64² set's."""
    labelled = [row for row in rows if not row["small"]]
    lay_out(folder, labelled)
    write_datalist(folder, labelled, findings=findings, metadata=("view", "age", "female"), split_of=split_of)
    own = link_unlabelled(folder)
    # Both sets are of the same people: their split decides for both.
    added = [row["path"] for row in rows if row["small"] and split_of(patient_id(str(row["patient"]))) == "train"]
    return len(labelled), own, link_more(folder, added)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except ArchiveError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
