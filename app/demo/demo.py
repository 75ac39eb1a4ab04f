"""The demonstration: phantom studies through the real service to a stand-in PACS, over real DICOM.

Everything runs on free ports of the loopback interface and ends with the demonstration, whatever happens in between.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from uuid import uuid4

import yaml
from pydicom import dcmread
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app.cli.serve import ask_health, free_port, stop_on_signals
from app.deliver import send_folder
from app.demo.pacs import Arrived, Pacs
from app.demo.results import Result, Sent, collect
from app.demo.showing import show
from app.demo.studies import Case, choose, draw
from app.errors import Failed, Rejected
from app.infer.catalogue import Catalogue
from app.settings import Bundles, Settings, load
from app.supervise import Command, start

ROOT = Path(__file__).resolve().parents[2]
MARKER = ".vigil-demo"
SERVICE_LOG = "service.log"
COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"
SCANNER, SERVICE, PACS = "SCANNER", "VIGIL", "PACS"
START_TIMEOUT_S = 180.0
STUDY_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 60.0
SEND_ATTEMPTS = 3
GLANCE_S = 0.2
IDLE_S = 1.0


def demonstrate(
    out: Path,
    studies: int | None,
    seed: int,
    bundles: Path = ROOT / "bundles",
    *,
    keep: Callable[[str], object] | None = None,
) -> int:
    """Run the demonstration.

    Args:
        out: Everything it makes lies below; what an earlier demonstration left there is replaced.
        studies: How many, of the kinds of `app.demo.studies.ROUND` in turns, for which a bundle is served; None is one
            round.
        seed: Other seeds give other phantoms.
        bundles: Folder of the bundles to serve.
        keep: Called with the address of the pages before service and PACS end.

    Returns:
        0 if every study came back as a document, right or wrong, else 1.

    Raises:
        Rejected: `out` holds something else than a demonstration.
        Failed: The service did not start, did not take an image, or has no bundle for any phantom; the message names
            its log.
    """
    console = Console()
    out = prepared(out.resolve())
    console.print("[bold]Vigil[/]: studies in by DICOM, structured reports out.")
    console.print("[yellow]Phantom images, phantom weights: research only, no patient was ever seen.[/]\n")
    with Pacs(out / "pacs", ae_title=PACS) as pacs, _service(out, bundles, pacs.port, console) as settings:
        cases = cases_for(settings.bundles, studies, str(out / SERVICE_LOG))
        with _progress(console) as progress:
            sent = _send_phantoms(out, settings, cases, seed, progress)
            came = _wait_for_reports(pacs, sent, progress)
        results = [collect(each, settings, came.get(each.drawn.uid), out) for each in sent]
        code = tell(results, out, console, settings.assembly.idle_s, str(out / SERVICE_LOG))
        if keep is not None:
            keep(f"http://127.0.0.1:{settings.http.port}/")
    return code


def until_signal(address: str) -> None:
    """Say where the pages are, and wait for Ctrl-C or SIGTERM."""
    stop = stop_on_signals()
    Console().print(f"\nSee it: {address}   Ctrl-C ends it.", soft_wrap=True)
    stop.wait()


def tell(results: Sequence[Result], out: Path, console: Console, idle_s: float, log: str) -> int:
    """Show the results.

    Returns:
        0 if every study came back as a document, right or wrong, else 1.
    """
    show(results, out, console, idle_s)
    missing = sum(not result.came_back for result in results)
    if missing:
        words = f"[bold red]{missing} of {len(results)} did not come back[/]; see {escape(log)}"
        console.print(f"\n{words}", soft_wrap=True)
    return 1 if missing else 0


def cases_for(bundles: Bundles, studies: int | None, log: str) -> tuple[Case, ...]:
    """What to draw for the bundles that are served: so many studies, None for one round.

    Raises:
        Failed: No bundle is for any phantom; the message names the log.
    """
    services = Catalogue.load(bundles).services
    cases = choose({output.finding for service in services.values() for output in service.findings}, studies)
    if not cases:
        raise Failed(f"no bundle in {bundles.folder} is for what the demonstration sends; see {log}")
    return cases


def prepared(out: Path) -> Path:
    """An empty folder with our mark; refuses to clear what is not ours."""
    if out.exists() and any(out.iterdir()):
        if not (out / MARKER).exists():
            raise Rejected(f"{out} holds something else than a demonstration; give an empty or new folder with --out")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / MARKER).touch()
    return out


@contextmanager
def _service(out: Path, bundles: Path, pacs_port: int, console: Console) -> Iterator[Settings]:
    """The real process tree of `serve` on free ports; its log goes to a file."""
    config = _write_settings(out, bundles, pacs_port)
    settings = load(config, {})
    command = Command("service", (sys.executable, "-m", "app", "serve", "--config", str(config)))
    with (out / SERVICE_LOG).open("wb") as log:
        process = start(command, {}, log)
        try:
            with console.status("starting listener, worker and web side …"):
                _await_health(settings, process, out / SERVICE_LOG)
            console.print(
                f"service: DICOM {SERVICE} on port {settings.listener.port}, "
                f"http://127.0.0.1:{settings.http.port}; PACS on port {pacs_port}"
            )
            yield settings
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _write_settings(out: Path, bundles: Path, pacs_port: int) -> Path:
    raw = {
        "listener": {"host": "127.0.0.1", "port": free_port("127.0.0.1"), "ae_title": SERVICE},
        "spool": {"folder": str(out / "spool"), "min_free_mb": 200},
        "assembly": {"idle_s": IDLE_S},
        "bundles": {"folder": str(bundles)},
        "database": {"url": f"sqlite:///{out}/vigil.sqlite"},
        "http": {"port": free_port("127.0.0.1")},
        "destinations": [{"name": "pacs", "host": "127.0.0.1", "port": pacs_port, "ae_title": PACS}],
        "results": str(out / "results"),
        "run": str(out / "run"),
    }
    path = out / "vigil.yaml"
    path.write_text("# Made by the demonstration; deploy/vigil.yaml explains every key.\n" + yaml.safe_dump(raw))
    return path


def _await_health(settings: Settings, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    address = f"http://127.0.0.1:{settings.http.port}"
    while True:
        health = ask_health(address)
        if health is not None and health.get("ok"):
            return
        if process.poll() is not None:
            raise Failed(f"the service ended with code {process.returncode} before it was ready; see {log}")
        if time.monotonic() > deadline:
            raise Failed(f"the service was not ready after {START_TIMEOUT_S:.0f} s; see {log}")
        time.sleep(GLANCE_S)


def _send_phantoms(out: Path, settings: Settings, cases: Sequence[Case], seed: int, progress: Progress) -> list[Sent]:
    """Draw the phantoms on every core and send each as soon as it is there."""
    drawing = progress.add_task("drawing phantoms", total=len(cases))
    sending = progress.add_task("sending them by C-STORE", total=len(cases))
    token = uuid4().hex
    sent: list[Sent] = []
    # Spawned: a fork of a process with the threads of the PACS may hang.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        futures = {
            pool.submit(draw, case, seed * 1000 + number, _folder(out, number), token): number
            for number, case in enumerate(cases, 1)
        }
        for future in as_completed(futures):
            drawn, number = future.result(), futures[future]
            progress.advance(drawing)
            send_study(_folder(out, number), settings.listener.port, out / SERVICE_LOG)
            sent.append(Sent(number, drawn, time.time()))
            progress.advance(sending)
    return sorted(sent, key=lambda each: each.number)


def _folder(out: Path, number: int) -> Path:
    return out / "studies" / str(number)


def send_study(folder: Path, port: int, log: Path | str, timeout_s: float = 60.0, host: str = "127.0.0.1") -> None:
    """Send a folder to the service; what was not taken (a machine with no time to spare) is sent twice more.

    Raises:
        Failed: An image was not taken the third time either; the message names the service's log.
    """
    paths = [folder]
    for _ in range(SEND_ATTEMPTS):
        results = send_folder(paths, host, port, SERVICE, SCANNER, timeout_s=timeout_s)
        failed = [result for result in results if not result.delivered]
        if not failed:
            return
        paths = [result.path for result in failed]
    raise Failed(f"{failed[0].path} was not taken in {SEND_ATTEMPTS} attempts: {failed[0].detail}; see {log}")


def _wait_for_reports(pacs: Pacs, sent: Sequence[Sent], progress: Progress) -> dict[str, Arrived]:
    """Wait until the PACS has an SR of every study, or for so long; the first SR of each by StudyInstanceUID."""
    waiting = progress.add_task("reports back at the PACS", total=len(sent))
    wanted = {each.drawn.uid for each in sent}
    came: dict[str, Arrived] = {}
    seen = 0
    deadline = time.monotonic() + STUDY_TIMEOUT_S * len(sent)
    while wanted - came.keys() and time.monotonic() < deadline:
        pacs.wait(lambda arrived: len(arrived) > seen, GLANCE_S)  # noqa: B023  called before `seen` changes
        arrived = pacs.arrived
        for each in arrived[seen:]:
            if each.sop_class_uid == COMPREHENSIVE_3D_SR:
                came.setdefault(str(dcmread(each.path, force=True).StudyInstanceUID), each)
        seen = len(arrived)
        progress.update(waiting, completed=len(wanted & came.keys()))
    return came


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description:25}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console)
