"""Which prototypes belong to which modality (seed 001, Eq. 4: C_m).

The paper leaves open whether the C_m are sets of their own or parts of one set. Both are masks over one matrix:
disjoint sets (the default), one set for all, or any mask.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class Prototypes(nn.Module):
    """Unit vectors without bias, one subset for each modality.

    Args:
        count: prototypes a modality has; with a mask, all of them together.
        dimension: of a vector.
        groups: number M of modalities.
        sets: ``disjoint`` (M · count vectors), ``shared`` (count vectors for all), or a bool mask (M, count).
        seed: of their first directions.

    Raises:
        ValueError: fewer than 2 prototypes for a modality, or a mask of another shape.
    """

    def __init__(self, count: int, dimension: int, groups: int, sets: str | Tensor, seed: int) -> None:
        super().__init__()
        mask = _membership(count, groups, sets)
        if int(mask.sum(dim=1).min()) < 2:
            raise ValueError(
                f"SwAV needs at least 2 prototypes for every modality, not {mask.sum(dim=1).tolist()}: with one, every "
                "image has the same code"
            )
        generator = torch.Generator().manual_seed(seed)
        vectors = torch.randn(mask.shape[1], dimension, generator=generator)
        self.vectors = nn.Parameter(functional.normalize(vectors, dim=1))
        self.counts = tuple(mask.sum(dim=1).tolist())
        self._all = bool(mask.all())
        for group in range(groups):
            self.register_buffer(f"members_{group}", mask[group].nonzero()[:, 0], persistent=False)

    @torch.no_grad()
    def normalise(self) -> None:
        """Bring every vector back to length 1, outside of the gradient (SwAV's reference does so every step)."""
        self.vectors.copy_(functional.normalize(self.vectors, dim=1))

    def of(self, group: int) -> Tensor:
        """(count, dimension): the vectors of one modality."""
        return self.vectors if self._all else self.vectors[self.get_buffer(f"members_{group}")]

    @property
    def collapse_value(self) -> float | None:
        """The loss ln K; None where modalities have different numbers of prototypes."""
        return math.log(self.counts[0]) if len(set(self.counts)) == 1 else None


def _membership(count: int, groups: int, sets: str | Tensor) -> Tensor:
    """(groups, prototypes) bool."""
    if isinstance(sets, Tensor):
        if sets.shape != (groups, count):
            raise ValueError(
                f"the prototypes' mask must be (modalities, prototypes) = {(groups, count)}, not {tuple(sets.shape)}"
            )
        return sets.bool()
    if sets == "shared":
        return torch.ones(groups, count, dtype=torch.bool)
    if sets == "disjoint":
        return torch.eye(groups, dtype=torch.bool).repeat_interleave(count, dim=1)
    raise ValueError(f"prototype_sets must be 'disjoint', 'shared' or a mask, not {sets!r}")
