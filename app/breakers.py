"""A circuit breaker for each destination: one that fails again and again is left alone for a while.

Each worker keeps its own: it learns within a few deliveries what another knows, and needs no shared store for that.
What is left alone is written into the run folder, for people to see.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import structlog

from app.destinations import Destination
from app.errors import Rejected, Retryable

log = structlog.get_logger()

LONGEST_PAUSE_S = 300.0
SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.2, 15.0
"""For the probe of another document to end."""
FOLDER = "left-alone"


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """A destination that is left alone, as seen from outside.

    Attributes:
        destination: Name in the settings.
        failures: In a row.
        until: Unix time of the next probe.
    """

    destination: str
    failures: int
    until: float


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    pause_s: float = 0.0
    until: float = 0.0
    probing: bool = False

    @property
    def open(self) -> bool:
        return self.pause_s > 0


@dataclass
class Breakers:
    """The breakers of one worker.

    Attributes:
        file: Where is written what is left alone; None writes nothing.
        tell: Called with a destination's name and whether it is left alone, when that changes.
        clock: Monotonic seconds.
    """

    file: Path | None = None
    tell: Callable[[str, bool], None] = lambda _, __: None
    clock: Callable[[], float] = time.monotonic
    _circuits: dict[str, _Circuit] = field(default_factory=dict, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def __post_init__(self) -> None:
        self._show()

    @contextmanager
    def passage(self, destination: Destination, *, urgent: bool) -> Iterator[float]:
        """Ask for a try at a destination, and learn from how it ends.

        `Retryable` out of the block is a failure. `Rejected`, or no error, is an answer: the destination is there. Any
        other error tells nothing of it. Nor does a block that was told to wait.

        Args:
            destination: Whom to try.
            urgent: May be the probe before the pause is over.

        Yields:
            0 where it may be tried now; else seconds to wait.
        """
        wait_s, probe = self._admit(destination, urgent=urgent)
        if wait_s:
            yield wait_s
            return
        failed: bool | None = None
        try:
            yield 0.0
            failed = False
        except Retryable:
            failed = True
            raise
        except Rejected:
            failed = False
            raise
        finally:
            self._learn(destination, failed, probe=probe)

    def pauses(self, destination: Destination) -> bool:
        """Whether a destination is left alone and its next probe not due: who tries all the same risks no attempt."""
        with self._lock:
            circuit = self._circuits.get(destination.name)
            return circuit is not None and circuit.open and circuit.until > self.clock()

    def left_alone(self) -> tuple[LeftAlone, ...]:
        """What is left alone now."""
        offset = time.time() - self.clock()
        return tuple(
            LeftAlone(name, circuit.failures, circuit.until + offset)
            for name, circuit in sorted(self._circuits.items())
            if circuit.open
        )

    def _admit(self, destination: Destination, *, urgent: bool) -> tuple[float, bool]:
        with self._lock:
            circuit = self._circuits.setdefault(destination.name, _Circuit())
            if not circuit.open:
                return 0.0, False
            left_s = circuit.until - self.clock()
            if circuit.probing:
                return max(left_s, min(max(destination.timeout_s / 2, SHORTEST_WAIT_S), LONGEST_WAIT_S)), False
            if left_s > 0 and not urgent:
                return left_s, False
            circuit.probing = True
            return 0.0, True

    def _learn(self, destination: Destination, failed: bool | None, *, probe: bool) -> None:
        with self._lock:
            circuit = self._circuits[destination.name]
            was_open = circuit.open
            if probe:
                circuit.probing = False
            if failed is False:
                circuit.failures, circuit.pause_s = 0, 0.0
            elif failed and (probe or not was_open):
                self._fail(circuit, destination)
            changed = circuit.open != was_open
            if changed or (failed and probe):
                self._show()
        if changed:
            self.tell(destination.name, not was_open)
            event = "destination_answers_again" if was_open else "destination_left_alone"
            log.warning(event, destination=destination.name, failures=circuit.failures, pause_s=circuit.pause_s)

    def _fail(self, circuit: _Circuit, destination: Destination) -> None:
        """Count; a probe that came before its time (an urgent document) does not lengthen the pause."""
        circuit.failures += 1
        now = self.clock()
        if circuit.open and now >= circuit.until:
            circuit.pause_s = min(circuit.pause_s * 2, LONGEST_PAUSE_S)
            circuit.until = now + circuit.pause_s
        elif not circuit.open and circuit.failures >= destination.breaker_after:
            pause_s = destination.backoff_s * 2.0 ** min(destination.breaker_after - 1, 30)
            circuit.pause_s = min(pause_s, LONGEST_PAUSE_S)
            circuit.until = now + circuit.pause_s

    def _show(self) -> None:
        if self.file is None:
            return
        shown = [[each.destination, each.failures, each.until] for each in self.left_alone()]
        temporary = self.file.with_suffix(".tmp")
        # People look at it; a full disk must not stop a delivery.
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(shown))
            temporary.replace(self.file)


def file_of(run: Path, worker: str) -> Path:
    """Where a worker writes what it leaves alone."""
    return run / FOLDER / f"{worker}.json"


def left_alone(run: Path) -> Sequence[LeftAlone]:
    """What the workers of this host leave alone, each destination once; a file that cannot be read is left out."""
    found: dict[str, LeftAlone] = {}
    for file in sorted((run / FOLDER).glob("*.json")):
        with suppress(OSError, ValueError, TypeError):
            for name, failures, until in json.loads(file.read_text()):
                # Written by a worker that ended since: it would have probed by now.
                if until + LONGEST_PAUSE_S > time.time():
                    found[name] = LeftAlone(str(name), int(failures), float(until))
    return tuple(found.values())
