"""Making every document of one study with a segmentation of 300 slices: `python -m tests.benchmarks.all_documents`.

Eight kinds: SR, SEG, key images, presentation state, PDF, JSON, FHIR, HL7; written durably, as the service does it.
Beside it, in the same rounds: a copy of the mask in memory, the least that anything can do with its pixels.
"""

import gc
import json
import os
import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from app.documents import DocumentKind
from app.findings import Report
from app.infer.edges import reuse_memory
from app.log import configure
from app.masks import masks_of
from app.report import documents, encode, warm_up
from app.settings import Log
from app.study import Study
from bundles.common.contract import SegmentationOutput, Window
from tests.benchmarks.documents import in_turn
from tests.benchmarks.ingest import Bound
from tests.integration.receive.dcmtk import ROOT
from tests.unit.report.factory import MADE_AT, PHANTOM, make_study
from tests.unit.report.volumes import lesion_report

SLICES, SIZE = 300, 512
LIMIT_S = 0.5
BLEEDS = ((60, 200, 150, 18), (150, 250, 300, 9), (151, 350, 220, 6), (240, 300, 260, 4))
"""Slice, row, column of the centre and radius in voxels."""


@dataclass(frozen=True)
class Result:
    """Everything measured in one run; seconds, one entry a round."""

    encode_s: tuple[float, ...]
    copy_s: tuple[float, ...]
    each_s: dict[str, float]
    bytes: int
    lesions_s: float

    @property
    def ratio(self) -> float:
        """How many copies of the mask the documents take: the median of the rounds' ratios."""
        return statistics.median(ours / peer for ours, peer in zip(self.encode_s, self.copy_s, strict=True))

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """What is promised: the median of the rounds."""
        return (Bound("all documents, seconds", statistics.median(self.encode_s), LIMIT_S, at_least=False),)


def case(folder: Path, *, apart: bool) -> tuple[Study, Report]:
    """A head of 300 slices with four bleeds, the mask lies in `folder / "out"`.

    Args:
        folder: For study and results.
        apart: A segment for each of the four, 1200 frames in all; else one for the finding, 300 frames.
    """
    study = make_study(folder / "study", slices=SLICES, size=SIZE)
    mask = np.zeros((SIZE, SIZE, SLICES), np.uint8)  # columns, rows, slices
    place, row, column = np.ogrid[:SLICES, :SIZE, :SIZE]
    for number, (at, y, x, radius) in enumerate(BLEEDS, 1):
        box = tuple(slice(centre - radius, centre + radius + 1) for centre in (at, y, x))
        near = (place[box[0]] - at) ** 2 + (row[:, box[1]] - y) ** 2 + (column[:, :, box[2]] - x) ** 2 <= radius**2
        mask[box[2], box[1], box[0]][near.transpose(2, 1, 0)] = number
    output = SegmentationOutput() if apart else SegmentationOutput(kind="region", scores=None)
    labels = mask.astype(np.int32) if apart else (mask > 0).astype(np.int32)
    kind = "intracranial_hemorrhage"
    return study, lesion_report(study, folder / "out", labels, output=output, kind=kind, algorithm=PHANTOM)


def run(folder: Path) -> Result:
    """Measure in an empty folder."""
    study, report = case(folder / "one", apart=False)
    whole = masks_of(folder / "one" / "out", report, report.findings[0].kind).whole()
    warm_up()
    os.sync()  # what other measurements wrote before is not to be waited for in here
    # As the worker does:
    reuse_memory()
    gc.collect()
    gc.freeze()

    def everything() -> int:
        return _encode(report, study, folder / "one" / "out")

    encoding, copying = in_turn(everything, whole.copy, time.perf_counter)
    each, size = _each(everything), everything()
    apart_study, apart = case(folder / "four", apart=True)
    lesions = []
    for _ in range(3):
        start = time.perf_counter()
        _encode(apart, apart_study, folder / "four" / "out")
        lesions.append(time.perf_counter() - start)
    return Result(encoding, copying, each, size, statistics.median(lesions))


def _encode(report: Report, study: Study, folder: Path) -> int:
    window = Window(center=40, width=80)
    made = encode(report, study, folder, window=window, made_at=MADE_AT, kinds=frozenset(DocumentKind))
    if problems := [document.problem for document in made if document.problem]:
        raise AssertionError(problems)
    if {document.kind for document in made} != set(DocumentKind):
        raise AssertionError("a kind of document was not made")
    return sum(document.path.stat().st_size for document in made)


def _each(everything: Callable[[], object]) -> dict[str, float]:
    """Seconds by kind of document, of one more round."""
    seconds: dict[str, float] = {}
    make = documents._make

    def timed(job: object, kind: DocumentKind, *rest: object) -> object:
        start = time.perf_counter()
        made = make(job, kind, *rest)
        seconds[kind.value] = seconds.get(kind.value, 0.0) + time.perf_counter() - start
        return made

    documents._make = timed
    try:
        everything()
    finally:
        documents._make = make
    return seconds


def show(result: Result, console: Console) -> None:
    """Print what was measured and what was promised."""
    table = Table(title=f"All documents of {SLICES} slices of {SIZE}×{SIZE}, {result.bytes / 1e6:.1f} MB")
    table.add_column("what")
    table.add_column("milliseconds", justify="right")
    for what, seconds in result.each_s.items():
        table.add_row(f"  {what}", f"{1000 * seconds:.1f}")
    table.add_row("all, median of 9", f"{1000 * statistics.median(result.encode_s):.1f}")
    table.add_row("the same with 4 segments, 1200 frames, median of 3", f"{1000 * result.lesions_s:.1f}")
    table.add_row("a copy of the mask, median", f"{1000 * statistics.median(result.copy_s):.1f}")
    table.add_row("all / copy, times", f"{result.ratio:.1f}")
    console.print(table)
    for bound in result.bounds:
        verdict = "holds" if bound.holds else "DOES NOT HOLD"
        console.print(f"{bound.what}: {bound.value:.3f}, bound {bound.limit:g}: {verdict}")


def bench() -> Result:
    """Measure below var/bench, show and keep the numbers."""
    folder = ROOT / "var" / "bench" / "all_documents"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    configure(Log(level="warning"))
    try:
        result = run(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    show(result, Console())
    document = {**asdict(result), "ratio": result.ratio, "bounds": [asdict(bound) for bound in result.bounds]}
    (folder.parent / "all_documents.json").write_text(json.dumps(document, indent=2) + "\n")
    return result


if __name__ == "__main__":
    raise SystemExit(0 if all(bound.holds for bound in bench().bounds) else 1)
