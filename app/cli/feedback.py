"""Readers' feedback on the command line."""

from pathlib import Path

from rich.console import Console

from app.errors import Rejected
from app.feedback_export import export
from app.infer.catalogue import Catalogue
from app.settings import Settings
from app.workflow_database import open_engine
from bundles.common.datalist.problems import DatalistError
from bundles.common.datalist.splits import Shares
from bundles.common.datalist.writing import counts, counts_table


def export_with_table(settings: Settings, bundle: str, out: Path, split: str) -> None:
    """Export what readers said of a bundle's findings, and show the counts.

    Raises:
        AppError: Nothing can be exported; the message says why.
    """
    try:
        shares = Shares.parse(split)
    except DatalistError as error:
        raise Rejected(str(error)) from error
    engine = open_engine(settings.database)
    try:
        written = export(settings, engine, Catalogue.load(settings.bundles).get(bundle), out, shares)
    finally:
        engine.dispose()
    console = Console()
    console.print(counts_table(written.datalist))
    for note in written.datalist.notes:
        console.print(f"[yellow]{note}[/]", soft_wrap=True)
    images = dict(counts(written.datalist))["images"]
    for part, number in zip(("training", "validation", "test"), images, strict=False):
        if not number:
            console.print(
                f"[yellow]'{part}' is empty[/]: train.yaml needs training and validation, evaluate.yaml needs test; "
                "collect more feedback, or give other --shares",
                soft_wrap=True,
            )
    console.print(f"written: {written.path}; what is burnt into pixels is in the copies: look at them", soft_wrap=True)
