"""From a radiograph's file to a network's input: `python -m tests.benchmarks.radiographs`.

A phantom chest as CR of 2000 × 2000 pixels, 12 bits, MONOCHROME1, uncompressed and in three lossless codes, through the
preprocessing that the service builds of each bundle: the one reader, the grey scale, 512 × 512 pixels. Also what of it
the reader takes, and the bare decoder of pydicom, in its own order of plugins.
"""

import json
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from pydicom import dcmread
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless
from rich.console import Console
from rich.table import Table

from app.demo.phantoms.radiographs.chest import make_chest
from app.demo.phantoms.radiographs.writer import SYSTEMS, to_dataset
from bundles.common.reader import read_stack
from tests.benchmarks.ingest import Bound
from tests.integration.receive.dcmtk import ROOT

SIDE, INPUT = 2000, 512
BUNDLES = ("chest_radiograph", "wrist_fracture")
ROUNDS = 7
LIMIT_S = 0.35


@dataclass(frozen=True)
class Reading:
    """Seconds of one file, one entry a round.

    Attributes:
        syntax: How its pixels are stored.
        megabytes: Of the file.
        bare_s: pydicom's decoder alone.
        reader_s: The one reader.
        input_s: By bundle, from the file to the network's input.
    """

    syntax: str
    megabytes: float
    bare_s: tuple[float, ...]
    reader_s: tuple[float, ...]
    input_s: dict[str, tuple[float, ...]]

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """What the issue promises, for each bundle."""
        return tuple(
            Bound(
                f"{self.syntax}: file to the input of {bundle}, s", statistics.median(seconds), LIMIT_S, at_least=False
            )
            for bundle, seconds in self.input_s.items()
        )


def write_radiographs(folder: Path) -> dict[str, Path]:
    """One radiograph in four transfer syntaxes."""
    image = to_dataset(make_chest(7, SIDE), system=SYSTEMS["agfa"])
    if (image.Rows, image.Columns, image.BitsStored) != (SIDE, SIDE, 12) or image.Modality != "CR":
        raise AssertionError("the phantom is no CR of the promised size")
    files = {
        name: folder / f"{number}.dcm"
        for number, name in enumerate(("uncompressed", "JPEG lossless", "JPEG-LS", "JPEG 2000"))
    }
    image.save_as(files["uncompressed"], enforce_file_format=True)
    subprocess.run(["dcmcjpeg", "+e1", files["uncompressed"], files["JPEG lossless"]], check=True)
    for name, syntax in (("JPEG-LS", JPEGLSLossless), ("JPEG 2000", JPEG2000Lossless)):
        packed = dcmread(files["uncompressed"])
        packed.compress(syntax, generate_instance_uid=False)
        packed.save_as(files[name], enforce_file_format=True)
    return files


def preprocessing(bundle: str) -> Callable[[dict[str, Any]], Any]:
    """As `app.infer.network.build` makes it, which needs weights besides."""
    parser = ConfigParser()
    parser.read_config(str(ROOT / "bundles" / bundle / "configs" / "inference.yaml"))
    parser.update({"bundle_root": str(ROOT / "bundles" / bundle), "size": INPUT})
    steps: Callable[[dict[str, Any]], Any] = parser.get_parsed_content("preprocessing")
    return steps


def measure(syntax: str, path: Path, steps: dict[str, Callable[[dict[str, Any]], Any]]) -> Reading:
    """Time one file; the first round warms up and does not count."""
    dataset = dcmread(path)
    decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
    actions: dict[str, Callable[[], object]] = {
        "bare": lambda: decoder.as_array(dataset, index=0, raw=True),
        "reader": lambda: read_stack([path]),
        **{name: lambda step=step: _input_of(step, path) for name, step in steps.items()},  # type: ignore[misc]
    }
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(ROUNDS + 1):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            seconds[name].append(time.perf_counter() - start)
    kept = {name: tuple(each[1:]) for name, each in seconds.items()}
    inputs = {name: kept[name] for name in steps}
    return Reading(syntax, path.stat().st_size / 1e6, kept["bare"], kept["reader"], inputs)


def _input_of(steps: Callable[[dict[str, Any]], Any], path: Path) -> None:
    made = steps({"image": [str(path)]})["image"]
    if tuple(made.shape) != (1, INPUT, INPUT):
        raise AssertionError(f"preprocessing gave {tuple(made.shape)}")


def run(folder: Path) -> tuple[Reading, ...]:
    """Measure in an empty folder."""
    steps = {bundle: preprocessing(bundle) for bundle in BUNDLES}
    return tuple(measure(syntax, path, steps) for syntax, path in write_radiographs(folder).items())


def show(readings: tuple[Reading, ...], console: Console) -> None:
    """Print what was measured and what was promised."""
    table = Table(title=f"A CR of {SIDE}×{SIDE}×12 bit, MONOCHROME1, to {INPUT}×{INPUT}; seconds, medians of {ROUNDS}")
    for heading in ("stored as", "MB", "bare decoder", "reader", *BUNDLES, "bound", "holds"):
        table.add_column(heading, justify="left" if heading == "stored as" else "right")
    for reading in readings:
        medians = [statistics.median(each) for each in (reading.bare_s, reading.reader_s, *reading.input_s.values())]
        kept = all(bound.holds for bound in reading.bounds)
        table.add_row(
            reading.syntax,
            f"{reading.megabytes:.1f}",
            *(f"{seconds:.3f}" for seconds in medians),
            f"≤ {LIMIT_S:g}",
            "yes" if kept else "NO",
        )
    console.print(table)


def bench() -> tuple[Reading, ...]:
    """Measure below var/bench, show and keep the numbers."""
    folder = ROOT / "var" / "bench" / "radiographs"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        readings = run(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    show(readings, Console())
    bounds = [{**asdict(bound), "holds": bound.holds} for reading in readings for bound in reading.bounds]
    document = {"readings": [asdict(reading) for reading in readings], "bounds": bounds}
    (folder.parent / "radiographs.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return readings


if __name__ == "__main__":
    raise SystemExit(0 if all(bound.holds for reading in bench() for bound in reading.bounds) else 1)
