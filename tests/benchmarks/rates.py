"""What the comparisons of pretraining with MONAI share: their setting, their table, and where the figures are kept."""

import json
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import torch
from monai.data import set_track_meta
from rich.console import Console
from rich.table import Table

from tests.benchmarks.ingest import Bound
from tests.integration.receive.dcmtk import ROOT

THREADS = 2


@dataclass(frozen=True)
class Rates:
    """Images a second in each round; rounds of both alternate."""

    ours: tuple[float, ...]
    monai: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Ours over MONAI's, the median over the rounds."""
        return statistics.median(a / b for a, b in zip(self.ours, self.monai, strict=True))


@contextmanager
def compared() -> Iterator[None]:
    """Both sides compute on as many threads, and MONAI without metadata."""
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    set_track_meta(False)
    try:
        yield
    finally:
        set_track_meta(True)
        torch.set_num_threads(threads)


def show(title: str, monai: str, rates: Rates, bounds: Sequence[Bound], console: Console) -> None:
    """Print what was measured and what was promised; `monai` names the other side."""
    table = Table(title=title)
    table.add_column("who")
    table.add_column("images/s, median", justify="right")
    table.add_row("ours", f"{statistics.median(rates.ours):.2f}")
    table.add_row(monai, f"{statistics.median(rates.monai):.2f}")
    console.print(table)
    for bound in bounds:
        verdict = "kept" if bound.holds else "NOT KEPT"
        console.print(f"{bound.what}: {bound.value:.2f}, promised {bound.limit:g}: {verdict}")


def keep(name: str, result: Rates, bounds: Sequence[Bound]) -> None:
    """Write the figures below var/bench."""
    folder = ROOT / "var" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    told = {**asdict(result), "bounds": [{**asdict(bound), "holds": bound.holds} for bound in bounds]}
    (folder / f"{name}.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
