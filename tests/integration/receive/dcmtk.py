"""Send with dcmtk, and run the listener as the process it is. For every test that needs a real sender."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]
_SERVE = (
    "import sys; from pathlib import Path; from app.receive.listener import serve; from app.settings import load; "
    "serve(load(Path(sys.argv[1])))"
)
_EVENT = re.compile(r"Sending file: (?P<file>.+)|DIMSE Status +: 0x(?P<status>[0-9a-f]{4})|LO \[(?P<comment>[^\]]*)\]")


@dataclass(frozen=True)
class Answer:
    """What became of one file: the status of its response (None: no response came) and the error comment."""

    file: Path
    status: int | None
    comment: str = ""


@dataclass(frozen=True)
class Sent:
    """The end of one storescu."""

    code: int
    answers: tuple[Answer, ...]
    log: str

    @property
    def statuses(self) -> tuple[int | None, ...]:
        """The status of every file, in the order of sending."""
        return tuple(answer.status for answer in self.answers)


def parse(log: str) -> tuple[Answer, ...]:
    """Read storescu's debug log: one answer a file, in the order of sending."""
    answers: list[Answer] = []
    for event in _EVENT.finditer(log):
        if event["file"]:
            answers.append(Answer(Path(event["file"]), None))
        elif event["status"]:
            answers[-1] = Answer(answers[-1].file, int(event["status"], 16))
        elif answers:
            answers[-1] = Answer(answers[-1].file, answers[-1].status, event["comment"])
    return tuple(answers)


@contextlib.contextmanager
def sending(
    port: int,
    files: Sequence[Path],
    *,
    calling_ae: str = "STORESCU",
    called_ae: str = "VIGIL",
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Start storescu on files; yields the process and its debug log, which `parse` reads. Ends it on leaving."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        command = ["storescu", "-d", "--no-halt", "-aet", calling_ae, "-aec", called_ae, *options, "127.0.0.1"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, str(port), *map(str, files)],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
            )
        try:
            yield process, log
        finally:
            process.kill()
            process.wait()


def send(
    port: int,
    files: Sequence[Path],
    *,
    calling_ae: str = "STORESCU",
    called_ae: str = "VIGIL",
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    timeout: float = 60,
) -> Sent:
    """Send files in one association and wait for the end."""
    with sending(port, files, calling_ae=calling_ae, called_ae=called_ae, options=options, environment=environment) as (
        process,
        log,
    ):
        code = process.wait(timeout)
        text = log.read_text("utf-8", "replace")
    return Sent(code, parse(text), text)


def echo(port: int, *, calling_ae: str = "ECHOSCU", called_ae: str = "VIGIL") -> bool:
    """Whether C-ECHO succeeds."""
    command = ["echoscu", "-aet", calling_ae, "-aec", called_ae, "127.0.0.1", str(port)]
    return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0


def free_port() -> int:
    """Return a TCP port of the loopback that nobody held a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class ListenerProcess:
    """The listener in a process of its own."""

    process: subprocess.Popen[bytes]
    port: int
    spool: Path

    def kill(self) -> None:
        """Kill it as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def terminate(self) -> int:
        """Ask it to stop; its exit code."""
        self.process.terminate()
        return self.process.wait(20)


@contextlib.contextmanager
def listener(folder: Path, **options: object) -> Iterator[ListenerProcess]:
    """Run the listener on a free port with `folder/spool`; `options` go to the section `listener`."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    spool = folder / "spool"
    settings = {
        "listener": {"host": "127.0.0.1", "port": port, **options},
        "spool": {"folder": str(spool), "min_free_mb": 1},
    }
    config = folder / "listener.yaml"
    config.write_text(yaml.safe_dump(settings))
    with (folder / "listener.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-c", _SERVE, str(config)], cwd=ROOT, stdout=log, stderr=log)
    try:
        await_port(port, process)
        yield ListenerProcess(process, port, spool)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def await_port(port: int, process: subprocess.Popen[bytes], timeout: float = 30) -> None:
    """Wait until somebody listens on the port; fails as soon as the process has ended."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(f"ended with {process.returncode} before it listened on port {port}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nobody listens on port {port}")
