"""`python -m pretraining shard`: decode an indexed archive once."""

from pathlib import Path
from typing import Annotated

import typer

from pretraining.cli.show import counting, fail_with


def shard(  # noqa: PLR0917  # typer reads options from the signature
    folder: Annotated[Path, typer.Argument(help="The archive that was indexed.")],
    index: Annotated[Path, typer.Argument(help="Its index.")],
    store: Annotated[Path, typer.Argument(help="Folder of the store; a store that was begun is gone on with.")],
    dimensions: Annotated[int, typer.Option(min=2, max=3, help="2: every slice by itself; 3: whole volumes.")] = 2,
    bits: Annotated[int, typer.Option(help="16 keeps the values; 8 maps black to white onto 0 to 255.")] = 16,
    max_side: Annotated[int | None, typer.Option(help="Average larger images down to this many pixels.")] = None,
    min_spacing_mm: Annotated[float | None, typer.Option(help="3-D: average finer axes down to this.")] = None,
    percentiles: Annotated[tuple[float, float], typer.Option(help="Black and white of an image without a window.")] = (
        1.0,
        99.0,
    ),
    window: Annotated[
        list[str] | None, typer.Option(metavar="MODALITY=BLACK:WHITE", help="E.g. CT=-1000:1000 (HU). Repeatable.")
    ] = None,
    group_by: Annotated[
        str,
        typer.Option(help="Batches are balanced by it: modality, body_part, format, or a column of --labels' table."),
    ] = "modality",
    labels: Annotated[
        tuple[str, str] | None, typer.Option(metavar="CSV KEY", help="Table of labels, and its column of file names.")
    ] = None,
    label: Annotated[list[str] | None, typer.Option(help="Column of the table to keep. Repeatable.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 works in this one.")] = 2,
) -> None:
    """Decode every image of an index once, into files that training maps into memory. Can be stopped and run again."""
    from pretraining.archive import known_labels
    from pretraining.data.decode import Recipe
    from pretraining.data.errors import ArchiveError
    from pretraining.data.plan import Labels, read_groups, read_labels
    from pretraining.data.shards import StoreSettings, build_store, files_in

    with fail_with(), counting("Sharding") as (expect, advance):
        if bits not in {8, 16}:
            raise ArchiveError(f"--bits {bits}: expected 8 or 16")
        if (labels is None) != (not label):
            raise ArchiveError("--labels CSV KEY and at least one --label COLUMN belong together")
        recipe = Recipe(
            dimensions, 8 if bits == 8 else 16, max_side, min_spacing_mm, percentiles, _windows(window or [])
        )
        table = read_labels(Path(labels[0]), labels[1], tuple(label or ())) if labels is not None else Labels()
        expect(files_in(index))
        path, key = (None, "") if labels is None else (Path(labels[0]), labels[1])
        groups = read_groups(group_by, () if path is None else (path,), key)
        settings = StoreSettings(recipe, table, groups.name, group_table=groups.table)
        summary = build_store(folder, index, store, settings, workers=workers, progress=advance)
        known = known_labels(store)
    typer.echo(f"{summary.images} images in {store}.")
    for name, count in known.items():
        typer.echo(f"{name}: known of {count} images.")
    if summary.skipped:
        typer.echo(f"{summary.skipped} left out: see {store / 'report.jsonl'}.")


def _windows(given: list[str]) -> dict[str, tuple[float, float]]:
    from pretraining.data.errors import ArchiveError

    windows = {}
    for entry in given:
        modality, _, values = entry.partition("=")
        black, _, white = values.partition(":")
        try:
            windows[modality] = (float(black), float(white))
        except ValueError as error:
            raise ArchiveError(f"--window {entry}: expected MODALITY=BLACK:WHITE, as CT=-1000:1000") from error
    return windows
