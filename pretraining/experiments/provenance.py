"""Where the figures of an experiment come from: its encoders, runs that were lost, and code, images and machine."""

from __future__ import annotations

from collections.abc import Iterable

from pretraining.experiments.reading import Result
from pretraining.experiments.spec import METADATA
from pretraining.experiments.table import Row

DASH = "–"


def lines(result: Result) -> list[str]:
    """The end of the part of an experiment, in Markdown."""
    return [*_pretrained(result), *_lost(result), *_made(result)]


def _encoders(result: Result) -> dict[str, Row]:
    """The first run of each encoder."""
    found: dict[str, Row] = {}
    for row in result.runs:
        if row.get("pretraining"):
            found.setdefault(row["pretraining"]["encoder"], row)
    return found


def _pretrained(result: Result) -> list[str]:
    """How the encoders were trained, each once."""
    found = _encoders(result)
    if not found:
        return []
    told = [
        "Pretraining. Unrest: standard deviation of the loss from step to step by the mean loss; peak: largest",
        "gradient by the median; both of the second half of the steps. The loss of MoCo rises at first: its queue",
        "begins with random keys, which are easily told apart.",
        "",
        "| Encoder | Epochs | Loss, first epoch | Last epoch | Unrest | Peak |",
        "|---" * 6 + "|",
    ]
    starts = [row["initialisation"] for row in found.values()]
    for row in found.values():
        one = row["pretraining"]
        figures = (one["first_loss"], one["last_loss"], one["jitter"], one["gradient_peak"])
        cells = " | ".join(DASH if value is None else f"{value:.3f}" for value in figures)
        several = f", seed {row['seed']}" if starts.count(row["initialisation"]) > 1 else ""
        told.append(f"| {result.about['starts'][row['initialisation']]}{several} | {one['epochs']} | {cells} |")
    return [*told, ""]


def _lost(result: Result) -> list[str]:
    rows = [row for row in result.runs if row["state"] != "done"]
    if not rows:
        return []
    told = ["Runs that diverged; they are in no mean above:", ""]
    for row in rows:
        start = result.about["starts"][row["initialisation"]]
        told.append(f"- {row['task']}, {start}, {row['fraction']:.0%}, seed {row['seed']}: {row['reason']}")
    return [*told, ""]


def _made(result: Result) -> list[str]:
    if not result.runs:
        return []

    def each(name: str, rows: Iterable[Row] = result.runs, digits: int = 60) -> str:
        return ", ".join(sorted({str(row[name])[:digits] for row in rows}))

    apart = [row for row in result.runs if row["initialisation"] == METADATA]
    networks = [row for row in result.runs if row["initialisation"] != METADATA]
    codes = [f"code {each('code', networks)}"] if networks else []
    codes += [f"of metadata alone {each('code', apart)}"] if apart else []
    hours = f"{sum(row['seconds'] for row in result.runs) / 3600:.2f} hours of training and measuring"
    spent = [row["pretraining"].get("seconds") for row in _encoders(result).values()]
    if spent and None not in spent:
        hours += f" and {sum(spent) / 3600:.2f} of pretraining"
    older = f" {result.older} older runs are in the table and not shown." if result.older else ""
    told = [
        f"{len(result.runs)} runs, {hours}, {each('date')}; {result.about['replicates']} bootstrap replicates",
        f"commit {each('commit', digits=48)}; {', '.join(codes)}; images {each('data_hash')}",
        f"on {each('machine', digits=90)}.{older}",
    ]
    return ["; ".join(told), ""]
