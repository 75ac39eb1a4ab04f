"""Who looked at a study, told once in a while and not once a slice: a stack of 300 is one sight, not 300, and a viewer
by DICOMweb asks for every frame by itself.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

from app.audit.messages import StudyObject
from app.outcomes import StudyOutcome
from app.web.guard import Visitor
from app.web.witness import Witness

ONE_SIGHT_S: Final = 600.0
MOST: Final = 10_000


@dataclass
class Sights:
    """Tells the audit trail of sights of a study's parts.

    Attributes:
        witness: Writes it down.
        clock: Seconds.
    """

    witness: Witness
    clock: Callable[[], float] = time.monotonic
    _told: OrderedDict[tuple[str, str, str], float] = field(default_factory=OrderedDict, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def saw(self, visitor: Visitor, outcome: StudyOutcome) -> None:
        """Somebody looks at a part of a study; what was told in the last minutes is not told again.

        Raises:
            HTTPException: 503, that cannot be written down, and has to be; nothing is shown then.
        """
        self._once(visitor, outcome.key, lambda: self.witness.saw(visitor, outcome))

    def saw_object(self, visitor: Visitor, study: StudyObject) -> None:
        """The same of a study that may have no outcome yet, as DICOMweb gives it; raises as `saw`."""
        self._once(visitor, study.study_uid, lambda: self.witness.saw_study(visitor, study))

    def opened(self, visitor: Visitor, outcome: StudyOutcome) -> None:
        """Somebody opens the page of a study, or a document of it: told each time; raises as `saw`."""
        self.witness.saw(visitor, outcome)
        with self._lock:
            self._told[visitor.name, visitor.address, outcome.key] = self.clock()

    def _once(self, visitor: Visitor, study: str, tell: Callable[[], None]) -> None:
        name, now = (visitor.name, visitor.address, study), self.clock()
        with self._lock:
            told = self._told.get(name)
        if told is not None and now - told < ONE_SIGHT_S:
            return
        tell()
        with self._lock:
            self._told[name] = now
            self._told.move_to_end(name)
            while len(self._told) > MOST:
                self._told.popitem(last=False)
