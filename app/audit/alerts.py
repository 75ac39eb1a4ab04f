"""How often the same refusal is told: at once, then at most once a minute with the number of those between."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

EVERY_S: Final = 60.0
MOST: Final = 10_000


@dataclass
class Alerts:
    """What was told when, by reason and address; of too many the oldest are forgotten."""

    clock: Callable[[], float] = time.monotonic
    _told: OrderedDict[tuple[str, str], tuple[float, int]] = field(default_factory=OrderedDict, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def passes(self, key: tuple[str, str]) -> int | None:
        """Whether one is to be told now: how many before it were not; None where it is not."""
        with self._lock:
            at, untold = self._told.get(key, (None, 0))
            now = self.clock()
            if at is not None and now - at < EVERY_S:
                self._told[key] = (at, untold + 1)
                return None
            self._told[key] = (now, 0)
            self._told.move_to_end(key)
            while len(self._told) > MOST:
                self._told.popitem(last=False)
            return untold
