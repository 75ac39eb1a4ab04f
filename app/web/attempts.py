"""Failed log-ins, counted by address: after too many in a while an address has to wait."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

TOO_MANY: Final = 10
WITHIN_S: Final = 300.0
MOST_ADDRESSES: Final = 10_000


@dataclass
class Attempts:
    """The failures of each address within the last minutes; of too many addresses the oldest are forgotten."""

    clock: Callable[[], float] = time.monotonic
    _failures: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def wait_s(self, address: str) -> float:
        """How long an address has to wait before it may try again; 0 where it may now."""
        with self._lock:
            times = self._recent(address)
            return max(times[0] + WITHIN_S - self.clock(), 0.0) if len(times) >= TOO_MANY else 0.0

    def failed(self, address: str) -> None:
        """Note a failure."""
        with self._lock:
            times = self._recent(address)
            times.append(self.clock())
            self._failures[address] = times
            self._failures.move_to_end(address)
            while len(self._failures) > MOST_ADDRESSES:
                self._failures.popitem(last=False)

    def _recent(self, address: str) -> deque[float]:
        times = self._failures.get(address, deque(maxlen=TOO_MANY))
        while times and times[0] <= self.clock() - WITHIN_S:
            times.popleft()
        return times
