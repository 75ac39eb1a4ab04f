"""Which samples come in which order: balanced over the groups, split over processes, resumable at any step.

The order is a pure function of (seed, epoch, group), so that the whole state is one number: how many samples all
processes together have seen. Nothing touches a global random generator.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from pretraining.data.errors import ArchiveError


@dataclass(slots=True)
class _Permutation:
    """The latest permutation of a group; drawing a position of the same pass again costs nothing."""

    turn: int = -1
    order: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))


class BalancedSampler(Sampler[list[int]]):
    """Batches of sample indices with equal parts of every group (Ghesu et al., 001: modality-wise clustering).

    A global batch holds `batch` samples for each process. Its places are dealt to the groups in turn, so that the parts
    differ by one at most, and which groups get one more rotates from batch to batch. Each group walks through its own
    permutations without repeating a sample until all have been seen; a small group comes round more often.
    An epoch is `len(groups) // (batch · world)` batches, at least 1. Iterating gives the rest of the current epoch;
    with `infinite`, batches without end.

    Resume: `state_dict` holds the position in samples over all processes. With as many processes as before the order
    goes on exactly. With another world size or batch the walk through the samples goes on where it stood, none twice
    and none left out; only how they are dealt into batches changes, and the length of an epoch.
    A loader that prefetches asks the sampler ahead of the training: `pretraining.data.loader` sets the position back.

    Attributes:
        batch: Samples a process.
        position: Samples that all processes have been given since the beginning.
    """

    def __init__(
        self,
        groups: Sequence[int] | NDArray[np.int64],
        batch: int,
        *,
        seed: int,
        rank: int = 0,
        world: int = 1,
        infinite: bool = False,
    ) -> None:
        """Take the group of every sample of the store.

        Args:
            groups: (samples,) the group of each sample; any integers.
            batch: Samples a process and batch.
            seed: The order follows from it.
            rank: This process, from 0.
            world: Processes.
            infinite: Iterate without end instead of to the end of the epoch.

        Raises:
            ArchiveError: No samples; a global batch smaller than the number of groups; a rank outside of the world.
        """
        given = np.asarray(groups, dtype=np.int64)
        if given.ndim != 1 or given.size == 0:
            raise ArchiveError("the sampler was given no samples; is the split empty?")
        if not 0 <= rank < world or batch < 1:
            raise ArchiveError(f"rank {rank} of {world} processes with batches of {batch}: no such process or batch")
        self._members = tuple(np.flatnonzero(given == group) for group in np.unique(given))
        if batch * world < len(self._members):
            raise ArchiveError(
                f"a batch of {batch} on {world} processes holds {batch * world} samples, fewer than the "
                f"{len(self._members)} groups that it must balance; enlarge the batch or train on fewer groups"
            )
        self.batch, self.seed, self.rank, self.world, self.infinite = batch, seed, rank, world, infinite
        self.position = 0
        self._samples = int(given.size)
        self._permutations = [_Permutation() for _ in self._members]

    @property
    def batches_per_epoch(self) -> int:
        """Batches of this process in one epoch."""
        return max(1, self._samples // (self.batch * self.world))

    @property
    def epoch(self) -> int:
        """The epoch of the next batch, from 0."""
        return self.position // (self.batches_per_epoch * self.batch * self.world)

    def __len__(self) -> int:
        return self.batches_per_epoch

    def __iter__(self) -> Iterator[list[int]]:
        size = self.batch * self.world
        end = (self.epoch + 1) * self.batches_per_epoch * size
        start = self.position
        while self.infinite or start < end:
            indices = self.indices(start)
            start += size
            self.position = start
            yield indices

    def indices(self, position: int) -> list[int]:
        """Return this process's part of the global batch that begins at `position`."""
        size = self.batch * self.world
        places = np.arange(position, position + size)
        groups = len(self._members)
        chosen = np.empty(size, dtype=np.int64)
        # Place p belongs to group p mod G and is that group's sample number p div G: one running deal over all batches.
        for group in range(groups):
            mine = places % groups == group
            chosen[mine] = self._draw(group, places[mine] // groups)
        # Dealing the batch out by a permutation gives every process a mixture, whatever batch and group counts divide.
        order = np.random.default_rng((self.seed, 1, position)).permutation(size)
        return [int(index) for index in chosen[order][self.rank :: self.world]]

    def state_dict(self) -> dict[str, Any]:
        """Return the position, with what the order depends on."""
        return {"position": self.position, "seed": self.seed, "samples": self._samples}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken.

        Raises:
            ArchiveError: The state is of another seed or of a store with another number of samples.
        """
        for name, own in (("seed", self.seed), ("samples", self._samples)):
            if state[name] != own:
                raise ArchiveError(
                    f"the checkpoint's sampler has {name} {state[name]}, this one {own}; "
                    "resume with the same store, split and seed"
                )
        self.position = int(state["position"])

    def _draw(self, group: int, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        members, cache = self._members[group], self._permutations[group]
        drawn = np.empty(len(numbers), dtype=np.int64)
        for turn in np.unique(numbers // len(members)):
            if cache.turn != turn:
                cache.order = np.random.default_rng((self.seed, 2, group, int(turn))).permutation(len(members))
                cache.turn = int(turn)
            mine = numbers // len(members) == turn
            drawn[mine] = members[cache.order[numbers[mine] % len(members)]]
        return drawn
