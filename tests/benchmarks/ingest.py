"""Ingest of CT images, against Orthanc and dcmtk in the same run: `python -m tests.benchmarks.ingest`.

Everybody gets the same files from dcmtk's storescu, in its default settings and in fast ones (TCP_NODELAY=1, PDU
131072), 300 over one association and 600 over ten at once (so that starting ten programs does not pass for receiving).
For the fast client dcmtk's storescp and Orthanc are started with TCP_NODELAY=1 too, without which they take as long as
for the default one. Ours and Orthanc's images are durable when they are acknowledged, storescp's are not.
"""

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from rich.console import Console
from rich.table import Table

from tests.integration.receive.dcmtk import ROOT, await_port, free_port, listener

IMAGES = 300
TEN = 10
PER_FOLDER = 60
RSS_LIMIT_MB = 150
ROUNDS = 5
VIGIL = "Vigil"


@dataclass(frozen=True)
class Client:
    """How storescu is called."""

    name: str
    options: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]


DEFAULT = Client("default", (), ())
FAST = Client("fast", ("--max-pdu", "131072"), (("TCP_NODELAY", "1"),))


@dataclass(frozen=True)
class Receiver:
    """Somebody who listens: port, how many instances have arrived, what forgets them, process IDs."""

    name: str
    port: int
    count: Callable[[], int]
    forget: Callable[[], None]
    pid: int


@dataclass(frozen=True)
class Measurement:
    """Seconds for all images; the best of five rounds, and all of them."""

    receiver: str
    client: str
    associations: int
    images: int
    seconds: float
    all_seconds: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.seconds


@dataclass(frozen=True)
class Bound:
    """A promise of the issue, and what came of it."""

    what: str
    value: float
    limit: float
    at_least: bool = True

    @property
    def holds(self) -> bool:
        """Whether it was kept."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(frozen=True)
class Result:
    """Everything measured in one run."""

    measurements: tuple[Measurement, ...]
    bounds: tuple[Bound, ...]


def make_images(folder: Path) -> tuple[Path, ...]:
    """Write one CT series of 512×512×16 bit, ten folders of sixty files each."""
    rng = np.random.default_rng(1)
    study, series = generate_uid(), generate_uid()
    folders = []
    for part in range(TEN):
        into = folder / f"{part}"
        into.mkdir(parents=True)
        folders.append(into)
        for index in range(PER_FOLDER):
            number = part * PER_FOLDER + index
            _ct_slice(study, series, number, rng).save_as(into / f"{number:03d}.dcm", enforce_file_format=True)
    return tuple(folders)


def _ct_slice(study: str, series: str, number: int, rng: np.random.Generator) -> Dataset:
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = CTImageStorage
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    image.StudyInstanceUID, image.SeriesInstanceUID = study, series
    image.Modality, image.PatientName, image.PatientID = "CT", "Bench^Mark", "BENCH"
    image.StudyDate = image.StudyTime = image.AccessionNumber = image.StudyID = ""
    image.InstanceNumber, image.ImagePositionPatient = number, [0, 0, number]
    image.ImageOrientationPatient, image.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.5, 0.5]
    image.Rows = image.Columns = 512
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.RescaleSlope, image.RescaleIntercept = 1, -1024
    image.PixelData = rng.integers(0, 4096, (512, 512), dtype=np.uint16).tobytes()
    return image


@contextlib.contextmanager
def ours(folder: Path) -> Iterator[Receiver]:
    """Run the listener, durable."""
    with listener(folder) as process:
        studies = process.spool / "studies"

        def forget() -> None:
            for study in studies.iterdir():
                shutil.rmtree(study)

        yield Receiver("Vigil", process.port, lambda: len(list(studies.glob("*/*.dcm"))), forget, process.process.pid)


@contextlib.contextmanager
def storescp(folder: Path, client: Client) -> Iterator[Receiver]:
    """Run dcmtk's storescp; it does not fsync. A process an association, or ten could not come at once."""
    into = folder / "received"
    into.mkdir(parents=True)
    port = free_port()
    command = ["storescp", "--fork", *client.options, "-od", str(into), str(port)]
    with _process(command, folder, client) as process:
        await_port(port, process)

        def forget() -> None:
            for file in into.iterdir():
                file.unlink()

        yield Receiver("dcmtk storescp", port, lambda: len(list(into.iterdir())), forget, process.pid)


@contextlib.contextmanager
def orthanc(folder: Path, client: Client) -> Iterator[Receiver]:
    """Run Orthanc in its defaults apart from ports and folders."""
    folder.mkdir(parents=True, exist_ok=True)
    port, http = free_port(), free_port()
    config = folder / "orthanc.json"
    config.write_text(
        json.dumps(
            {
                "StorageDirectory": str(folder / "storage"),
                "IndexDirectory": str(folder / "storage"),
                "DicomPort": port,
                "HttpPort": http,
            }
        )
    )
    url = f"http://127.0.0.1:{http}"

    def count() -> int:
        with urllib.request.urlopen(f"{url}/statistics", timeout=10) as response:
            return int(json.load(response)["CountInstances"])

    def forget() -> None:
        with urllib.request.urlopen(f"{url}/studies", timeout=10) as response:
            studies = json.load(response)
        for study in studies:
            urllib.request.urlopen(
                urllib.request.Request(f"{url}/studies/{study}", method="DELETE"), timeout=60
            ).close()

    with _process(["Orthanc", str(config)], folder, client) as process:
        await_port(http, process)
        await_port(port, process)
        yield Receiver("Orthanc", port, count, forget, process.pid)


@contextlib.contextmanager
def _process(command: list[str], folder: Path, client: Client) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "log").open("ab") as log:
        environment = {**os.environ, **dict(client.environment)}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def measure(receiver: Receiver, client: Client, folders: tuple[Path, ...], associations: int) -> float:
    """Send once, 300 images over one association or 600 over ten; returns the seconds. Everything must have arrived."""
    folders = folders if associations == TEN else folders[: IMAGES // PER_FOLDER]
    os.sync()  # nobody pays for what an earlier one left unwritten
    start = time.perf_counter()
    send_folders(receiver.port, client, folders, associations)
    seconds = time.perf_counter() - start
    arrived, expected = receiver.count(), len(folders) * PER_FOLDER
    if arrived != expected:
        raise AssertionError(f"{receiver.name}: {arrived} of {expected} instances arrived")
    receiver.forget()
    return seconds


def compare(receivers: Iterable[Receiver], client: Client, folders: tuple[Path, ...], rounds: int) -> list[Measurement]:
    """Measure one and ten associations, everybody in turn, so that all share what else the machine does."""
    seconds: dict[tuple[str, int], list[float]] = {}
    for number in range(rounds):
        for receiver in receivers:
            for count in (1, TEN):
                if client is DEFAULT and receiver.name != VIGIL and (number, count) != (0, 1):
                    continue  # a quarter of a minute each, and only its order of magnitude is asked for
                taken = measure(receiver, client, folders, count)
                seconds.setdefault((receiver.name, count), []).append(taken)
    return [
        Measurement(name, client.name, count, IMAGES if count == 1 else TEN * PER_FOLDER, min(taken), tuple(taken))
        for (name, count), taken in seconds.items()
    ]


def send_folders(port: int, client: Client, folders: tuple[Path, ...], associations: int) -> None:
    """Send folders of files, dealt out to so many storescu at once."""
    shares = [folders[start::associations] for start in range(associations)]
    senders = [
        subprocess.Popen(
            ["storescu", *client.options, "+sd", "-aec", "VIGIL", "127.0.0.1", str(port), *map(str, share)],
            env={**os.environ, **dict(client.environment)},
            stderr=subprocess.PIPE,
        )
        for share in shares
    ]
    for sender in senders:
        _, problems = sender.communicate(timeout=300)
        if sender.returncode != 0:
            raise AssertionError(f"storescu ended with {sender.returncode}: {problems.decode(errors='replace')[-500:]}")


def peak_memory_mb(pid: int) -> float:
    """The largest resident size a process ever had (VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"process {pid} has no VmHWM")


def run(folder: Path, rounds: int = ROUNDS) -> Result:
    """Measure all receivers in an empty folder."""
    images = make_images(folder / "images")
    found: list[Measurement] = []
    with contextlib.ExitStack() as stack:
        vigil = stack.enter_context(ours(folder / "vigil"))
        send_folders(vigil.port, FAST, images[:1], 1)  # the first association imports what it needs
        vigil.forget()
        for client in (DEFAULT, FAST):
            with contextlib.ExitStack() as peers:
                others = [
                    peers.enter_context(make(folder / f"{make.__name__}-{client.name}", client))
                    for make in (storescp, orthanc)
                ]
                found += compare([vigil, *others], client, images, rounds)
        memory = peak_memory_mb(vigil.pid)
    return Result(tuple(found), bounds_of(found, memory))


def bounds_of(found: Iterable[Measurement], memory_mb: float) -> tuple[Bound, ...]:
    """What the issue promises, against what was measured; megabytes."""
    row = {(each.receiver, each.client, each.associations): each for each in found}

    def against_orthanc(client: str) -> float:
        return row[VIGIL, client, 1].rate / row["Orthanc", client, 1].rate

    def ten_against_one(client: str) -> float:
        return ratio_by_round(row[VIGIL, client, TEN], row[VIGIL, client, 1])

    return (
        Bound("default client: Vigil / Orthanc", against_orthanc("default"), 4),
        Bound("fast client: Vigil / Orthanc", against_orthanc("fast"), 1.5),
        Bound("default client: Vigil, ten associations / one, median", ten_against_one("default"), 1),
        Bound("fast client: Vigil, ten associations / one, median", ten_against_one("fast"), 1),
        Bound("listener's peak memory, MB", memory_mb, RSS_LIMIT_MB, at_least=False),
    )


def ratio_by_round(ours: Measurement, peer: Measurement) -> float:
    """Images a second against images a second, the median of the rounds.

    The two of a round follow each other, so that what else the machine does meanwhile meets both.
    """
    pairs = zip(ours.all_seconds, peer.all_seconds, strict=True)
    return statistics.median((ours.images / mine) / (peer.images / others) for mine, others in pairs)


def show(result: Result, console: Console) -> None:
    """Print what was measured and what was promised."""
    table = Table(title="Ingest of CT images, 512×512×16 bit, best of five rounds")
    for heading in ("receiver", "client", "associations", "images", "seconds", "images/s"):
        table.add_column(heading, justify="left" if heading in ("receiver", "client") else "right")
    for row in result.measurements:
        numbers = (str(row.associations), str(row.images), f"{row.seconds:.2f}", f"{row.rate:.0f}")
        table.add_row(row.receiver, row.client, *numbers)
    console.print(table)
    table = Table(title="Bounds")
    for heading in ("what", "measured", "bound", "holds"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for bound in result.bounds:
        sign = "≥" if bound.at_least else "≤"
        table.add_row(bound.what, f"{bound.value:.2f}", f"{sign} {bound.limit:g}", "yes" if bound.holds else "NO")
    fast = {row.receiver: row.rate for row in result.measurements if (row.client, row.associations) == ("fast", 1)}
    console.print(table)
    console.print(f"Fast client, Vigil / storescp (which does not fsync): {fast['Vigil'] / fast['dcmtk storescp']:.2f}")


def write(result: Result, path: Path) -> None:
    """Keep the numbers as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "measurements": [{**asdict(row), "images_per_second": row.rate} for row in result.measurements],
        "bounds": [{**asdict(bound), "holds": bound.holds} for bound in result.bounds],
    }
    path.write_text(json.dumps(document, indent=2) + "\n")


def bench() -> Result:
    """Measure below var/bench, show and keep the numbers."""
    folder = ROOT / "var" / "bench" / "ingest"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        result = run(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    show(result, Console())
    write(result, ROOT / "var" / "bench" / "ingest.json")
    return result


if __name__ == "__main__":
    raise SystemExit(0 if all(bound.holds for bound in bench().bounds) else 1)
