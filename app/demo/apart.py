"""The demonstration in parts, for containers: a stand-in PACS that stays, and a scanner beside a running service."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from uuid import uuid4

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from rich.console import Console

from app.deliver import reachable
from app.demo.demo import COMPREHENSIVE_3D_SR, PACS, SCANNER, SERVICE, cases_for, prepared, send_study, tell
from app.demo.pacs import Arrived, Pacs
from app.demo.results import Sent, collect
from app.demo.studies import Case, draw
from app.destinations import DicomDestination
from app.errors import Failed
from app.settings import Settings

LISTENER_TIMEOUT_S = 300.0
STUDY_TIMEOUT_S = 180.0
GLANCE_S = 0.5
WIDE = 160
LOG = "the logs of listener and worker"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener is: "listener:11112"."""

    host: str
    port: int

    @classmethod
    def parse(cls, words: str) -> "Address":
        """Read HOST:PORT.

        Raises:
            Failed: It is none.
        """
        host, _, port = words.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16:
            raise Failed(f"'{words}' is no address; give HOST:PORT, as listener:11112")
        return cls(host, int(port))


def stand_in(folder: Path, host: str, port: int, stop: Event) -> None:
    """Run the stand-in PACS until `stop` is set, and print one line for each object that comes.

    Args:
        folder: Gets one DICOM file for each object; an object that comes again replaces itself.
        host: Address to listen on.
        port: 0 takes a free one.
        stop: Ends it.

    Raises:
        Failed: The port is taken.
    """
    console = _console()
    with ExitStack() as stack:
        try:
            pacs = stack.enter_context(Pacs(folder, PACS, port, host=host))
        except OSError as error:
            raise Failed(f"the PACS cannot listen on {host}:{port}: {error.strerror}; give another --port") from error
        console.print(f"stand-in PACS: DICOM {PACS} on {host}:{pacs.port}, files in {folder}")
        told = 0
        while not stop.wait(GLANCE_S):
            for each in pacs.arrived[told:]:
                kind = "report (SR)" if each.sop_class_uid == COMPREHENSIVE_3D_SR else "further document"
                console.print(f"{kind} from {each.calling_ae}: {each.path.name}")
                told += 1


def send(settings: Settings, listener: Address, pacs: Path, out: Path, *, studies: int | None, seed: int) -> int:
    """Send phantom studies to a running service, wait until its reports are at the PACS, show them beside the truth.

    Args:
        settings: Of the service: its bundles and its folder of results, which is only read.
        listener: Of the service.
        pacs: The folder of the stand-in PACS (`stand_in`), to which the service delivers.
        out: Gets everything that is drawn and copied; what an earlier run left there is replaced.
        studies: How many; None is one round.
        seed: Other seeds give other phantoms.

    Returns:
        0 if every study came back as a document, right or wrong, else 1.

    Raises:
        Failed: The listener does not answer, or did not take an image.
        Rejected: `out` holds something else than a demonstration.
    """
    console = _console()
    out = prepared(out.resolve())
    cases = cases_for(settings.bundles, studies, LOG)
    _await_listener(listener)
    console.print("Phantom images, phantom weights: research only, no patient was ever seen.")
    sent = list(_draw_and_send(cases, listener, out, seed, console))
    came = _wait_for_reports(_Folder(pacs), sent, console)
    results = [collect(each, settings, came.get(each.drawn.uid), out) for each in sent]
    return tell(results, out, console, settings.assembly.idle_s, LOG)


def _console() -> Console:
    """In a container nobody says how wide a line may be."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDE)


def _await_listener(listener: Address) -> None:
    asked = DicomDestination(
        name="listener", host=listener.host, port=listener.port, ae_title=SERVICE, calling_ae_title=SCANNER
    )
    deadline = time.monotonic() + LISTENER_TIMEOUT_S
    while (problem := reachable(asked)) is not None:
        if time.monotonic() > deadline:
            raise Failed(f"{problem}; see its log")
        time.sleep(GLANCE_S)


def _draw_and_send(cases: Sequence[Case], listener: Address, out: Path, seed: int, console: Console) -> Iterator[Sent]:
    token = uuid4().hex
    for number, case in enumerate(cases, 1):
        folder = out / "studies" / str(number)
        drawn = draw(case, seed * 1000 + number, folder, token)
        send_study(folder, listener.port, LOG, host=listener.host)
        console.print(f"study {number} of {len(cases)} sent: {drawn.exam}, {drawn.words}")
        yield Sent(number, drawn, time.time())


@dataclass(slots=True)
class _Folder:
    """The files of a PACS in another process."""

    folder: Path
    _read: set[Path] = field(default_factory=set)

    def reports(self) -> Iterator[tuple[str, Arrived]]:
        """(StudyInstanceUID, report) of each SR that was not told before; a file that is half written comes later."""
        for path in sorted(self.folder.glob("*.dcm")):
            if path in self._read:
                continue
            try:
                found = dcmread(path, stop_before_pixels=True)
                kind, uid = str(found.SOPClassUID), str(found.StudyInstanceUID)
            except (InvalidDicomError, EOFError, AttributeError, OSError):
                continue
            self._read.add(path)
            if kind == COMPREHENSIVE_3D_SR:
                yield uid, Arrived(path, kind, str(found.SOPInstanceUID), SERVICE, path.stat().st_mtime)


def _wait_for_reports(pacs: _Folder, sent: Sequence[Sent], console: Console) -> dict[str, Arrived]:
    """Wait until the PACS has an SR of every study, or for so long; the first SR of each by StudyInstanceUID."""
    numbers = {each.drawn.uid: each.number for each in sent}
    came: dict[str, Arrived] = {}
    deadline = time.monotonic() + STUDY_TIMEOUT_S * len(sent)
    while numbers.keys() - came.keys() and time.monotonic() < deadline:
        for uid, report in pacs.reports():
            if uid in numbers and uid not in came:
                came[uid] = report
                console.print(f"study {numbers[uid]}: its report is at the PACS")
        time.sleep(GLANCE_S)
    return came
