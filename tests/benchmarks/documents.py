"""Making the documents of one study, and delivering one: `python -m tests.benchmarks.documents`.

Each against a peer in the same run, in turn: encoding against reading the series that it is about (processor time, as
the machine is shared), a delivery against the same C-STORE by pynetdicom as it comes.
"""

import json
import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from pynetdicom import AE, build_context
from rich.console import Console
from rich.table import Table

from app.deliver import deliver
from app.deliver.dimse import syntaxes
from app.demo.pacs import Pacs
from app.destinations import DicomDestination
from app.documents import Document
from app.log import configure
from app.report import encode, warm_up
from app.settings import Log
from bundles.common.reader import read_stack
from tests.benchmarks.ingest import Bound
from tests.integration.receive.dcmtk import ROOT
from tests.unit.report.factory import make_report, make_study

SLICES, SIZE = 36, 512
ROUNDS = 9
ENCODING_LIMIT = 4.0
DELIVERY_LIMIT = 0.9
"""Plain pynetdicom waits for delayed acknowledgements; a delivery that comes near it does so too."""


@dataclass(frozen=True)
class Result:
    """Everything measured in one run; seconds, one entry a round."""

    encode_s: tuple[float, ...]
    read_s: tuple[float, ...]
    deliver_s: tuple[float, ...]
    plain_s: tuple[float, ...]

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """What is promised: the medians of the rounds' ratios."""
        encoding = statistics.median(ours / peer for ours, peer in zip(self.encode_s, self.read_s, strict=True))
        delivery = statistics.median(ours / peer for ours, peer in zip(self.deliver_s, self.plain_s, strict=True))
        return (
            Bound("encoding the documents / reading the series", encoding, ENCODING_LIMIT, at_least=False),
            Bound("delivery of the SR / plain pynetdicom", delivery, DELIVERY_LIMIT, at_least=False),
        )


def in_turn(
    ours: Callable[[], object], peer: Callable[[], object], clock: Callable[[], float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Time two actions, one after the other in every round; the first round warms up and does not count."""
    rounds = [(_seconds(ours, clock), _seconds(peer, clock)) for _ in range(ROUNDS + 1)][1:]
    return tuple(mine for mine, _ in rounds), tuple(others for _, others in rounds)


def _seconds(action: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    action()
    return clock() - start


def send_plainly(document: Document, sop_class: str, syntax: str, port: int) -> None:
    """One C-STORE with pynetdicom in its defaults."""
    association = AE(ae_title="BENCH").associate("127.0.0.1", port, [build_context(sop_class, syntax)], ae_title="PACS")
    status = association.send_c_store(document.path)
    association.release()
    if status.get("Status") != 0:
        raise AssertionError(f"C-STORE answered {status.get('Status')}")


def run(folder: Path) -> Result:
    """Measure in an empty folder."""
    study, report = make_study(folder / "study", slices=SLICES, size=SIZE), make_report(slices=SLICES)
    paths = [instance.path for instance in study.series[0].instances]
    warm_up()
    encoding = in_turn(lambda: encode(report, study, folder / "out"), lambda: read_stack(paths), time.process_time)
    sr = encode(report, study, folder / "out")[0]
    with Pacs(folder / "pacs") as pacs:
        peer = DicomDestination(name="pacs", host="127.0.0.1", port=pacs.port, ae_title="PACS")
        sop_class, syntax = syntaxes(sr.path)
        delivery = in_turn(
            lambda: deliver(sr, peer), lambda: send_plainly(sr, sop_class, syntax, pacs.port), time.perf_counter
        )
    return Result(*encoding, *delivery)


def show(result: Result, console: Console) -> None:
    """Print what was measured and what was promised."""
    table = Table(title=f"Documents of {SLICES} slices of {SIZE}×{SIZE}, medians of {ROUNDS} rounds")
    table.add_column("what")
    table.add_column("milliseconds", justify="right")
    for what, seconds in (
        ("encode SR, key image and JSON (processor)", result.encode_s),
        ("read the series (processor)", result.read_s),
        ("deliver the SR", result.deliver_s),
        ("the same by plain pynetdicom", result.plain_s),
    ):
        table.add_row(what, f"{1000 * statistics.median(seconds):.1f}")
    console.print(table)
    table = Table(title="Bounds")
    for heading in ("what", "measured", "bound", "holds"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for bound in result.bounds:
        table.add_row(bound.what, f"{bound.value:.2f}", f"≤ {bound.limit:g}", "yes" if bound.holds else "NO")
    console.print(table)


def bench() -> Result:
    """Measure below var/bench, show and keep the numbers."""
    folder = ROOT / "var" / "bench" / "documents"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    configure(Log(level="warning"))
    try:
        result = run(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    show(result, Console())
    document = {**asdict(result), "bounds": [{**asdict(bound), "holds": bound.holds} for bound in result.bounds]}
    (folder.parent / "documents.json").write_text(json.dumps(document, indent=2) + "\n")
    return result


if __name__ == "__main__":
    raise SystemExit(0 if all(bound.holds for bound in bench().bounds) else 1)
