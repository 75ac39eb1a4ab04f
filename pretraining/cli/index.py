"""`python -m pretraining index`: list an archive's images."""

from pathlib import Path
from typing import Annotated

import typer

from pretraining.cli.show import counting, fail_with


def index(  # noqa: PLR0917  # typer reads options from the signature
    folder: Annotated[Path, typer.Argument(help="Archive: DICOM, NIfTI, PNG, TIFF and JPEG files in any folders.")],
    target: Annotated[Path, typer.Argument(help="Index to write, a Parquet file.")],
    patients: Annotated[
        tuple[str, str, str] | None,
        typer.Option(
            metavar="CSV KEY COLUMN", help="Table of patients: its key column holds file names, stems or paths."
        ),
    ] = None,
    pattern: Annotated[
        str | None, typer.Option(help="Regular expression on the relative path; its first (group) is the patient.")
    ] = None,
    salt: Annotated[str, typer.Option(help="Goes into all hashes; keep it the same to keep the splits.")] = "vigil",
    shares: Annotated[
        tuple[float, float, float], typer.Option(help="Parts of the patients to train, validate and test on.")
    ] = (0.8, 0.1, 0.1),
    modality: Annotated[str, typer.Option(help="Of files whose header tells none.")] = "unknown",
    body_part: Annotated[str, typer.Option(help="Of files whose header tells none.")] = "",
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 works in this one.")] = 2,
) -> None:
    """List every image of an archive with its hashed patient, its size and its split; name what is unreadable."""
    from pretraining.data.index import Settings, build_index, report_path
    from pretraining.data.patients import Patients, Shares, read_table

    with fail_with(), counting("Indexing") as (_, advance):
        table = {}
        if patients is not None:
            rows = read_table(Path(patients[0]), patients[1], (patients[2],))
            table = {key: values[0] for key, values in rows.items() if values[0]}
        settings = Settings(Patients(table, pattern, salt), Shares(*shares), modality, body_part)
        summary = build_index(folder, target, settings, workers=workers, progress=advance)
    typer.echo(f"{summary.images} images in {target}; {summary.others} other files left out.")
    if summary.unreadable:
        typer.echo(f"{summary.unreadable} unreadable files: see {report_path(target)}.")
    if summary.without_patient:
        typer.echo(
            f"{summary.without_patient} images have no patient; each counts as a patient of its own. "
            "If several are of one person, give --patients or --pattern, or the splits will share people."
        )
