"""From the last C-STORE response to the SR stored at the destination: `python -m tests.benchmarks.turnaround`.

A listener and a worker as processes of their own, a stand-in PACS, idle time 0; head CT studies of 36 slices of
512×512, head MR studies of 160 or more slices, chest radiographs of 2000×2000, wrists in two projections. Against the
bare time of reading the images and one pass of the same network over each input (slice by slice where it reads slices),
taken in the same run.
"""

import contextlib
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import yaml
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from rich.console import Console
from rich.table import Table

from app.demo.pacs import Pacs
from app.infer.catalogue import Bundle, Catalogue
from app.infer.network import Network, build
from app.outcomes import studies
from app.settings import Settings
from bundles.common.reader import read_stack
from tests.benchmarks.cases import CASES, Case
from tests.benchmarks.ingest import Bound, peak_memory_mb
from tests.integration.receive.dcmtk import ROOT, await_port, free_port

STUDIES = 6
RSS_LIMIT_MB = 2048
ALLOWANCE_S = 0.75
READY_S = 120


@dataclass(frozen=True)
class Result:
    """Everything measured in one run; seconds, one entry a study; megabytes."""

    bundle: str
    images: str
    read_s: tuple[float, ...]
    forward_s: tuple[float, ...]
    turnaround_s: tuple[float, ...]
    stages_s: dict[str, float]
    worker_rss_mb: float

    @property
    def bare_s(self) -> float:
        """Reading the series and one forward pass, medians."""
        return statistics.median(self.read_s) + statistics.median(self.forward_s)

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """What the issue promises."""
        limit = max(2 * self.bare_s, self.bare_s + ALLOWANCE_S)
        return (
            Bound("turnaround, median of studies, s", statistics.median(self.turnaround_s), limit, at_least=False),
            Bound("worker's peak memory, MB", self.worker_rss_mb, RSS_LIMIT_MB, at_least=False),
        )


def pick_bundle(folder: Path, name: str) -> Bundle:
    """The bundle of that name.

    Raises:
        Failed: It cannot be served.
    """
    return Catalogue.load(Settings().bundles.model_copy(update={"folder": folder, "enabled": [name]})).get(name)


def measure_bare(network: Network, groups: Sequence[Sequence[Path]]) -> tuple[float, float]:
    """Seconds of reading the images, and of the forward passes on what preprocessing makes of each group."""
    read = forward = 0.0
    for paths in groups:
        start = time.perf_counter()
        read_stack(paths)
        read += time.perf_counter() - start
        with torch.inference_mode():
            inputs = network.preprocessing({"image": [str(path) for path in paths]})["image"][None]
            start = time.perf_counter()
            network.inferer(inputs, network.module)
            forward += time.perf_counter() - start
    return read, forward


@contextlib.contextmanager
def process(command: str, settings: Path, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """One of ours as its own process."""
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "app", command, "--config", str(settings)], cwd=ROOT, stdout=output, stderr=output
        )
    try:
        yield child
    finally:
        child.terminate()
        child.wait(60)


def send(paths: Sequence[Path], port: int) -> float:
    """Send a study over one association; the time of the last C-STORE response."""
    entity = AE(ae_title="BENCH")
    for sop_class in {dcmread(path, specific_tags=["SOPClassUID"]).SOPClassUID for path in paths}:
        entity.add_requested_context(sop_class, ExplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", port, ae_title="VIGIL")
    if not association.is_established:
        raise AssertionError("the listener took no association")
    for path in paths:
        status = association.send_c_store(path)
        if status.get("Status") != 0:
            raise AssertionError(f"C-STORE answered {status.get('Status')}")
    last = time.time()
    association.release()
    return last


def settings_of(folder: Path, bundle: Bundle, port: int, pacs: Pacs) -> Settings:
    """An installation below a folder, idle time 0, one bundle, one destination for the SR."""
    raw = {
        "listener": {"host": "127.0.0.1", "port": port},
        "spool": {"folder": str(folder / "spool"), "min_free_mb": 0},
        "assembly": {"idle_s": 0},
        "bundles": {"folder": str(bundle.root.parent.resolve()), "enabled": [bundle.name]},
        "database": {"url": f"sqlite:///{folder}/vigil.sqlite"},
        "destinations": [{"name": "pacs", "host": pacs.host, "port": pacs.port, "ae_title": pacs.ae_title}],
        "results": str(folder / "results"),
        "run": str(folder / "run"),
    }
    if bundle.service.idle_s is not None:
        routes = folder / "routes.yaml"
        raw["routes"] = [str(routes)]
        routes.write_text(yaml.safe_dump(_impatient(bundle)))
    return Settings.model_validate(raw)


def _impatient(bundle: Bundle) -> dict[str, object]:
    return {
        "rules": [
            {"name": bundle.name, "bundle": bundle.name, "idle_s": 0, "replace": True, "when": bundle.service.accepts}
        ]
    }


def run(folder: Path, bundle: Bundle, case: Case, number: int = STUDIES) -> Result:
    """Measure in an empty folder; the first study of each side warms up and does not count."""
    paths = [case.write(folder / "images" / str(index)) for index in range(number + 1)]
    with Pacs(folder / "pacs") as pacs:
        port = free_port()
        settings = settings_of(folder, bundle, port, pacs)
        file = folder / "settings.yaml"
        file.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
        with (
            process("listen", file, folder / "listen.log") as listen,
            process("work", file, folder / "work.log") as work,
        ):
            await_port(port, listen)
            _await_worker(folder / "work.log", work)
            seconds = [_turnaround(each, port, pacs) for each in paths][1:]
            memory = peak_memory_mb(work.pid)
        found = studies(settings)[:number]
    network = build(bundle, torch.device("cpu"))
    by_image = bundle.service.reads == "image"
    bare = [measure_bare(network, [[path] for path in each] if by_image else [each]) for each in paths][1:]
    stages = sorted({timing.stage for each in found for timing in each.timings})
    return Result(
        bundle.name,
        case.images,
        tuple(read for read, _ in bare),
        tuple(forward for _, forward in bare),
        tuple(seconds),
        {
            stage: statistics.median(sum(t.seconds for t in each.timings if t.stage == stage) for each in found)
            for stage in stages
        },
        memory,
    )


def _turnaround(paths: Sequence[Path], port: int, pacs: Pacs) -> float:
    before = len(_reports(pacs))
    last = send(paths, port)
    if not pacs.wait(lambda _: len(_reports(pacs)) > before, 120):
        raise AssertionError("no SR arrived within two minutes")
    return _reports(pacs)[before] - last


def _reports(pacs: Pacs) -> list[float]:
    return [each.at for each in pacs.arrived if each.sop_class_uid.startswith("1.2.840.10008.5.1.4.1.1.88.")]


def _await_worker(log: Path, work: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + READY_S
    while b"worker_ready" not in log.read_bytes():
        if work.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"the worker did not become ready: {log.read_text()[-2000:]}")
        time.sleep(0.1)


def show(result: Result, console: Console) -> None:
    """Print what was measured and what was promised."""
    table = Table(title=f"{result.bundle}: {result.images}, idle time 0, medians")
    table.add_column("what")
    table.add_column("seconds", justify="right")
    table.add_row("bare: read the images", f"{statistics.median(result.read_s):.3f}")
    table.add_row("bare: forward passes", f"{statistics.median(result.forward_s):.3f}")
    table.add_row("last C-STORE response → SR at the PACS", f"{statistics.median(result.turnaround_s):.3f}")
    for stage, seconds in result.stages_s.items():
        table.add_row(f"  of it: {stage}", f"{seconds:.3f}")
    console.print(table)
    table = Table(title="Bounds")
    for heading in ("what", "measured", "bound", "holds"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for bound in result.bounds:
        table.add_row(bound.what, f"{bound.value:.2f}", f"≤ {bound.limit:.2f}", "yes" if bound.holds else "NO")
    console.print(table)


def bench(name: str, bundles: Path = ROOT / "bundles") -> Result:
    """Measure one bundle below var/bench, show and keep the numbers.

    Raises:
        Failed: The bundle cannot be served.
    """
    bundle = pick_bundle(bundles, name)
    folder = ROOT / "var" / "bench" / f"turnaround_{name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    result = run(folder, bundle, CASES[name]())
    show(result, Console())
    bounds = [{**asdict(bound), "holds": bound.holds} for bound in result.bounds]
    document = {**asdict(result), "bare_s": result.bare_s, "bounds": bounds}
    folder.with_suffix(".json").write_text(json.dumps(document, indent=2) + "\n")
    shutil.rmtree(folder)
    return result


if __name__ == "__main__":
    chosen = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "bundles"
    raise SystemExit(0 if all(bound.holds for name in CASES for bound in bench(name, chosen).bounds) else 1)
