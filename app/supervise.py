"""The process tree of `serve`: listener, worker and web side by side, restarted when they crash, stopped in order.

One thread, one loop: it sleeps in `sigtimedwait`, so that a signal or a child's death wakes it at once. A child dies
with its parent (PR_SET_PDEATHSIG), even if that is killed with -9: no orphan keeps the port.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import structlog
from prometheus_client.multiprocess import mark_process_dead

from app import locks
from app.errors import Failed
from app.ready import READY_FD

PR_SET_PDEATHSIG = 1
WAKING = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})
STOPPING = frozenset({signal.SIGTERM, signal.SIGINT})
REFUSED = 2
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Command:
    """One child: its name for the logs and its command line.

    Code 2 at its first end says that restarting cannot help (a wrong setting, a port that somebody holds). Later it is
    a crash like any other: the port may still be held by what the last crash left behind.
    """

    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Patience:
    """Times of the supervisor, seconds.

    Attributes:
        first_pause_s, longest_pause_s: Before a crashed child is started again; doubled with each crash in a row.
        steady_s: A child that ran so long has recovered: the next pause is the first one again.
        stop_s: A child gets so long to stop after SIGTERM, then SIGKILL.
        poll_s: Between two looks at the health of the tree until it is ready.
    """

    first_pause_s: float = 0.5
    longest_pause_s: float = 30
    steady_s: float = 60
    stop_s: float = 30
    poll_s: float = 0.1

    def pause_s(self, crashes: int) -> float:
        """How long to wait before the next start after so many crashes in a row."""
        return min(self.first_pause_s * 2.0 ** (min(crashes, 30) - 1), self.longest_pause_s)


@dataclass(slots=True)
class Child:
    """A running, or crashed and waiting, process. What it says when it works comes through the pipe `told`."""

    command: Command
    process: subprocess.Popen[bytes] | None = None
    told: int = -1
    works: bool = False
    started: float = 0.0
    starts: int = 0
    crashes: int = 0
    start_at: float = 0.0


@dataclass(slots=True)
class Tree:
    """Children in the order of their start and of their stop.

    Attributes:
        commands: The listener first: when the tree stops, it lets nothing new in while the others finish.
        environment: Of the children, beside what this process has.
        patience: Times.
        ready: Asked, once every child has told that it works (`app.ready.tell_ready`), until it says yes for the first
            time; then `on_ready` is called once.
        on_ready: Tells the world.
    """

    commands: Sequence[Command]
    environment: Mapping[str, str]
    patience: Patience = Patience()
    ready: Callable[[], bool] = lambda: True
    on_ready: Callable[[], None] = lambda: None
    _children: list[Child] = field(default_factory=list)
    _is_ready: bool = False

    def run(self) -> int:
        """Run until SIGTERM or SIGINT, or until a child refuses to start.

        Returns:
            0 after a clean stop, 1 if a child had to be killed, 2 if one said that restarting cannot help.
        """
        previous = signal.pthread_sigmask(signal.SIG_BLOCK, WAKING)
        self._children = [Child(command) for command in self.commands]
        try:
            code = self._watch()
            return max(code, self._stop())
        finally:
            self._kill()
            signal.pthread_sigmask(signal.SIG_SETMASK, previous)

    def _watch(self) -> int:
        while True:
            for child in self._children:
                if self._tend(child):
                    return REFUSED
            if not self._is_ready and all(listen_to(child) for child in self._children) and self.ready():
                self._is_ready = True
                self.on_ready()
            arrived = signal.sigtimedwait(WAKING, self._pause())
            if arrived is not None and arrived.si_signo in STOPPING:
                log.info("stopping", signal=signal.Signals(arrived.si_signo).name)
                return 0

    def _pause(self) -> float:
        now = time.monotonic()
        due = [child.start_at - now for child in self._children if child.process is None]
        return max(0.0, min([*due, 1.0 if self._is_ready else self.patience.poll_s]))

    def _tend(self, child: Child) -> bool:
        """Start a child that is due, notice one that died; whether it refused to run."""
        now = time.monotonic()
        if child.process is not None and child.process.poll() is not None:
            code = child.process.returncode
            mark_dead(child.process.pid, self.environment)
            child.process = None
            forget(child)
            if code == REFUSED and child.starts == 1:
                log.error("child_refused_to_start", child=child.command.name)
                return True
            child.crashes = 1 if now - child.started > self.patience.steady_s else child.crashes + 1
            child.start_at = now + self.patience.pause_s(child.crashes)
            log.error("child_died", child=child.command.name, code=code, restart_in_s=round(child.start_at - now, 1))
        if child.process is None and now >= child.start_at:
            process = launch(child, self.environment)
            child.started = now
            child.starts += 1
            log.info("child_started", child=child.command.name, pid=process.pid)
        return False

    def _stop(self) -> int:
        """Stop every child, one after the other, in order; 1 if one did not stop in time."""
        code = 0
        for child in self._children:
            if child.process is None:
                continue
            child.process.terminate()
            try:
                child.process.wait(self.patience.stop_s)
                log.info("child_stopped", child=child.command.name, code=child.process.returncode)
            except subprocess.TimeoutExpired:
                log.error("child_killed", child=child.command.name, waited_s=self.patience.stop_s)  # noqa: TRY400
                child.process.kill()
                child.process.wait()
                code = 1
        return code

    def _kill(self) -> None:
        for child in self._children:
            if child.process is not None and child.process.poll() is None:
                child.process.kill()
                child.process.wait()
            forget(child)


def launch(child: Child, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a child with a pipe through which it can tell that it works."""
    child.told, end = os.pipe()
    os.set_blocking(child.told, False)
    try:
        child.process = start(child.command, {**environment, READY_FD: str(end)}, keep=(end,))
        return child.process
    finally:
        os.close(end)


def listen_to(child: Child) -> bool:
    """Whether a child has told that it works. A pipe that was closed without a word tells nothing."""
    if not child.works and child.told >= 0:
        try:
            child.works = bool(os.read(child.told, 1))
        except BlockingIOError:
            return False
    return child.works


def forget(child: Child) -> None:
    """What a child told ends with it."""
    if child.told >= 0:
        os.close(child.told)
    child.told, child.works = -1, False


def start(
    command: Command, environment: Mapping[str, str], output: IO[bytes] | None = None, keep: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own (Ctrl-C reaches the parent alone) that dies with this process.

    Args:
        command: What to start.
        environment: Beside what this process has.
        output: Takes its standard output and error; None shares those of this process.
        keep: Descriptors that the child gets.
    """
    parent = os.getpid()
    libc = ctypes.CDLL(None, use_errno=True)

    def before_exec() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WAKING)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # died between fork and prctl
            os._exit(1)

    return subprocess.Popen(
        command.arguments,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
        pass_fds=keep,
        preexec_fn=before_exec,  # noqa: PLW1509  the supervisor has one thread
    )


@contextmanager
def alone(run: Path) -> Iterator[None]:
    """Hold an installation's run folder for one process tree; a second would clear the metrics of the first.

    Raises:
        Failed: Another tree holds it, or it cannot be written.
    """
    path = run / "serve.lock"
    with ExitStack() as held:
        try:
            ours = held.enter_context(locks.alone(path))
        except OSError as error:
            raise Failed(f"the run folder {run.absolute()} cannot be written ({error.strerror}); set `run`") from error
        if not ours:
            raise Failed(
                f"a service runs already on these settings ({path.resolve()} is locked); stop it, or give this one its "
                "own run folder, spool, results, database and ports"
            )
        yield


def metrics_folder(run: Path) -> Path:
    """Where the processes of one installation keep their figures for each other."""
    return (run / "metrics").resolve()


def fresh_metrics_folder(run: Path) -> Path:
    """The same, made empty for a new process tree."""
    folder = metrics_folder(run)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def mark_dead(pid: int, environment: Mapping[str, str]) -> None:
    """Take the live gauges of a dead process out of the metrics."""
    folder = environment.get(METRICS_FOLDER)
    if folder:
        mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
