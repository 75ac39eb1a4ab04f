"""Every study, the newest first, as a search tells it: from what is kept beside the index, or from the headers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import structlog
from pydicom.dataset import Dataset

from app.errors import Retryable
from app.tables import asking
from app.web.dicomweb.holdings import Held, Holdings
from app.web.dicomweb.told import Told
from app.worklist import Worklist
from app.worklist_told import Marked, Sought, by_change, keep

AT_ONCE = 250
"""Revisions that are asked of the index at a time."""

log = structlog.get_logger()

Fits = Callable[[Dataset], bool]


@dataclass(frozen=True)
class Listed:
    """The studies of an installation.

    Attributes:
        holdings: Their instances, and the index; where that cannot be used, every folder is looked through.
    """

    holdings: Holdings

    @property
    def worklist(self) -> Worklist:
        """The index of studies."""
        return self.holdings.worklist

    def studies(self, sought: Sought, fits: Fits) -> Iterator[Told]:
        """Candidates of a search; each is looked at as a whole only where what all its instances share fits.

        Args:
            sought: What the index can leave out others by.
            fits: Whether the header of one instance does; asked where nothing is kept of a study.

        Raises:
            Retryable: The index broke off in the midst of it.
        """
        try:
            whole = self.worklist.is_whole()
        except Retryable as error:
            log.warning("listed_without_index", reason=str(error))
            whole = False
        if not whole:
            yield from self._from_headers(self.holdings.keys(), fits)
            return
        # What is coming at this moment may not be indexed yet, or may be more than is.
        coming = self.holdings.coming()
        yield from chain(self._from_headers(coming, fits), self._indexed(sought, fits, set(coming)))

    def instances(self, key: str, fits: Fits) -> tuple[Held, ...]:
        """The instances of a study by the hash of its UID; () where there are none, or the first does not fit."""
        first = self.holdings.first_of_key(key)
        if first is None or not fits(first.header):
            return ()
        return tuple(each for each in self.holdings.of_key(key) if each.study_uid == first.study_uid)

    def _from_headers(self, keys: Sequence[str], fits: Fits) -> Iterator[Told]:
        return (Told.of(held) for key in keys if (held := self.instances(key, fits)))

    def _indexed(self, sought: Sought, fits: Fits, seen: set[str]) -> Iterator[Told]:
        after: tuple[int, str] | None = None
        while True:
            with asking(self.worklist.engine) as connection:
                some = by_change(connection, sought, after, AT_ONCE)
            fresh = list({each.study: each for each in some if each.study not in seen}.values())
            seen.update(each.study for each in fresh)
            yield from self._told(fresh, fits)
            if len(some) < AT_ONCE:
                return
            after = some[-1].changed, some[-1].key

    def _told(self, some: Sequence[Marked], fits: Fits) -> Iterator[Told]:
        """Whoever stops listening in the midst of it: what was read by then is kept."""
        made: dict[str, tuple[str, str]] = {}
        try:
            for each in some:
                stamp = f"{self.holdings.stamp(each.study)}.{each.stamp}"
                if each.kept is not None and each.kept[0] == stamp:
                    yield Told.from_text(each.kept[1])
                elif held := self.instances(each.study, fits):
                    told = Told.of(held)
                    made[each.study] = stamp, told.to_text()
                    yield told
        finally:
            if made:
                self._keep(made)

    def _keep(self, made: dict[str, tuple[str, str]]) -> None:
        try:
            with asking(self.worklist.engine) as connection:
                keep(connection, made)
        except Retryable as error:
            log.warning("search_not_kept", reason=str(error))
