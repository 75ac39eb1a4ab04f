"""What a bright-pixel threshold can do: the number that the network has to beat."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import MapTransform
from torch import Tensor
from torch.nn import functional

BLOOD_HU = (50.0, 95.0)
BONE_HU = 150.0
BONE_DISTANCE = 5


class BrightVolumed(MapTransform):  # type: ignore[misc]
    """Writes `bright_share`: the share of smoothed brain voxels of blood's density; see `bright_share`."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item whose image is a box in HU."""
        item = dict(data)
        for key in self.key_iterator(item):
            item["bright_share"] = bright_share(item[key])
        return item


def bright_share(box: Tensor) -> float:
    """Share of the box whose density is that of fresh blood, away from bone.

    Smoothing over 5×5 pixels takes the noise, and a margin of `BONE_DISTANCE` pixels around bone takes partial volumes.

    Args:
        box: (1, depth, rows, columns), HU.
    """
    smooth = functional.avg_pool3d(box.float(), (1, 5, 5), stride=1, padding=(0, 2, 2))
    size = 2 * BONE_DISTANCE + 1
    near_bone = (
        functional.max_pool3d((box > BONE_HU).float(), (1, size, size), 1, (0, BONE_DISTANCE, BONE_DISTANCE)) > 0
    )
    blood = (smooth > BLOOD_HU[0]) & (smooth < BLOOD_HU[1]) & ~near_bone
    return float(torch.count_nonzero(blood)) / blood.numel()
