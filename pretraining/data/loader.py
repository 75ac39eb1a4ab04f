"""Batches ahead of the training, in the sampler's order whatever the number of workers, with the wait measured.

`ImageStore`, `BalancedSampler` (as `batch_sampler`) and `collate` also fit torch's `DataLoader`, with any number of
worker processes; give it a `generator`, or it draws from the global one. Threads do better here: pixels are copied out
of the mapping, which releases the interpreter's lock, and nothing passes between processes.
"""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pretraining.data.sampler import BalancedSampler
from pretraining.data.store import ImageStore, collate
from pretraining.samples import RawBatch


@dataclass(frozen=True, slots=True)
class Fetched:
    """A batch, how long the training stood still for it, and where a training that has used it goes on.

    Attributes:
        batch: The images.
        data_wait_s: Seconds between asking and getting.
        position: State for `BalancedSampler.load_state_dict`.
    """

    batch: RawBatch
    data_wait_s: float
    position: dict[str, Any]


class Prefetcher:
    """Read batches ahead. One iteration is as long as the sampler's: the rest of its epoch, or without end.

    While iterating, `sampler.position` is that after the batch last handed out, not of those read ahead, so that
    `sampler.state_dict()` is right in a checkpoint at any step.
    """

    def __init__(self, store: ImageStore, sampler: BalancedSampler, *, workers: int = 1, ahead: int = 2) -> None:
        """Keep what to read.

        Args:
            store: The images.
            sampler: Their order.
            workers: Threads; 0 reads when asked.
            ahead: Batches that are ready or being read while one is in use; at least 1 where there are workers.
        """
        self.store, self.sampler, self.workers, self.ahead = store, sampler, workers, max(1, ahead)

    def __iter__(self) -> Iterator[Fetched]:
        position = self.sampler.position
        size = self.sampler.batch * self.sampler.world
        for batch, waited in self._read() if self.workers < 1 else self._read_ahead():
            position += size
            self.sampler.position = position
            yield Fetched(batch, waited, self.sampler.state_dict())

    def _batch(self, indices: list[int]) -> RawBatch:
        return collate([self.store[index] for index in indices])

    def _read(self) -> Iterator[tuple[RawBatch, float]]:
        for indices in self.sampler:
            start = time.perf_counter()
            batch = self._batch(indices)
            yield batch, time.perf_counter() - start

    def _read_ahead(self) -> Iterator[tuple[RawBatch, float]]:
        order = iter(self.sampler)
        waiting: deque[Future[RawBatch]] = deque()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="prefetch")
        try:
            while True:
                start = time.perf_counter()
                while len(waiting) <= self.ahead and (indices := next(order, None)) is not None:
                    waiting.append(pool.submit(self._batch, indices))
                if not waiting:
                    return
                batch = waiting.popleft().result()
                yield batch, time.perf_counter() - start
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
