"""Slices with their neighbours: what the 2.5-D network reads, for training and for inference."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import torch
from monai.inferers import Inferer
from monai.transforms import Randomizable, Transform
from monai.utils import convert_to_tensor
from torch import Tensor

NEIGHBOURS = 2
CHANNELS = 2 * NEIGHBOURS + 1
"""Five neighbouring slices in, the mask of the middle one out (paper §4.4)."""


def with_neighbours(volume: Tensor, chosen: Tensor) -> Tensor:
    """Chosen slices, each with two neighbours on both sides; the first and last slice stand for what lies beyond.

    Args:
        volume: (slices, rows, columns).
        chosen: (n,) indices.

    Returns:
        (n, 5, rows, columns), from inferior to superior.
    """
    offsets = torch.arange(-NEIGHBOURS, NEIGHBOURS + 1, device=chosen.device)
    return volume[(chosen[:, None] + offsets).clamp(0, len(volume) - 1)]


class NeighbourInferer(Inferer):  # type: ignore[misc]
    """Runs a 2.5-D network over every slice of one volume, some at a time, so that memory stays bounded.

    Args:
        batch_size: Slices at a time.
    """

    def __init__(self, batch_size: int = 16) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, expected 1 or more")
        self.batch_size = batch_size

    def __call__(
        self, inputs: Tensor, network: Callable[..., Mapping[str, Tensor]], *args: Any, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Logits of all slices.

        Args:
            inputs: (1, 1, slices, rows, columns).
            network: (n, 5, rows, columns) → `mask` (n, 1, rows, columns) and `slices` (n, 1).
            args: Passed on.
            kwargs: Passed on.

        Returns:
            `mask` (1, slices, rows, columns) and `slices` (1, slices), float32.

        Raises:
            ValueError: More than one volume.
        """
        if inputs.ndim != 5 or inputs.shape[:2] != (1, 1):
            raise ValueError(f"expected one volume (1, 1, slices, rows, columns), got {tuple(inputs.shape)}")
        volume: Tensor = convert_to_tensor(inputs[0, 0], track_meta=False)
        masks = torch.empty(volume.shape, dtype=torch.float32, device=volume.device)
        scores = torch.empty(len(volume), dtype=torch.float32, device=volume.device)
        for start in range(0, len(volume), self.batch_size):
            chosen = torch.arange(start, min(start + self.batch_size, len(volume)), device=volume.device)
            logits = network(with_neighbours(volume, chosen), *args, **kwargs)
            masks[chosen] = logits["mask"][:, 0].float()
            scores[chosen] = logits["slices"][:, 0].float()
        return {"mask": masks[None], "slices": scores[None]}


class RandSlicesd(Randomizable, Transform):  # type: ignore[misc]
    """Draws slices of a head for training: a share of them among those with metastases, where there are any.

    Reads what the cache holds: `image` (1, slices, rows, columns) and `mask` (slices, rows, columns), uint8, and
    `slices` (slices,). Writes `image` (count · 5, rows, columns) float32 in 0 to 1, `mask` (count, rows, columns)
    float32 and `slices` (count,); `training.prepare_batch` takes the channels apart after augmentation. No transform
    before this one may be random: it begins what a cache leaves out.

    Args:
        count: Slices of one head.
        positive_share: Of them with metastases; the others are drawn among all.
    """

    def __init__(self, count: int = 8, positive_share: float = 0.5) -> None:
        self.count, self.positive_share = int(count), float(positive_share)
        if self.count < 1 or not 0 <= self.positive_share <= 1:
            raise ValueError(f"expected 1 slice or more and a share of 0 to 1, got {count} and {positive_share}")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item."""
        positive = torch.nonzero(data["slices"] > 0)[:, 0].numpy()
        wanted = round(self.count * self.positive_share) if len(positive) else 0
        drawn = [int(self.R.choice(positive)) for _ in range(wanted)]
        drawn += [int(self.R.randint(len(data["slices"]))) for _ in range(self.count - wanted)]
        return _chosen(data, torch.tensor(drawn))


class EverySliced(Transform):  # type: ignore[misc]
    """Takes every so-manieth slice of a head, for validation during training; writes what `RandSlicesd` writes.

    Args:
        step: 1 takes all.
    """

    def __init__(self, step: int = 4) -> None:
        if step < 1:
            raise ValueError(f"step is {step}, expected 1 or more")
        self.step = int(step)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item."""
        return _chosen(data, torch.arange(self.step // 2, len(data["slices"]), self.step))


def _chosen(data: Mapping[Hashable, Any], chosen: Tensor) -> dict[Hashable, Any]:
    image = with_neighbours(data["image"][0], chosen).float() / 255
    return {
        "image": image.flatten(0, 1),
        "mask": data["mask"][chosen].float(),
        "slices": data["slices"][chosen],
        "mask_known": data["mask_known"],
    }
