"""Which location has to find which box while training (FCOS §3.2, with the centre sampling of its second version).

A location takes a box if it lies within the box and within `radius` strides of its centre, and if the farthest side is
in the range of its level, so that small boxes are found on fine levels. Of several boxes it takes the smallest.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from bundles.chest_radiograph.scripts.grid import STRIDES, Grid, encode
from bundles.common.boxes.geometry import area, edges_to_centres

LIMITS = (64.0, 128.0, 256.0, 512.0)
"""Pixels: the largest distance to a side on P3, P4, P5 and P6; FCOS's own. A range holds its end, not its start."""
RADIUS = 1.5
NOTHING = -1


def assign(boxes: Tensor, grid: Grid, limits: Sequence[float] = LIMITS, radius: float = RADIUS) -> Tensor:
    """The box that every location must find.

    Args:
        boxes: (boxes, 4) in pixels of the network's input, each with an area.
        grid: The locations.
        limits: See `LIMITS`.
        radius: Of the sampled middle of a box, in strides of the level.

    Returns:
        (locations,) int64: index of the box, `NOTHING` for background. Of boxes of equal area the first is taken. A box
        smaller than a cell may find no location.

    Raises:
        ValueError: The limits are not four that grow.
    """
    if len(limits) != len(STRIDES) - 1 or list(limits) != sorted(limits) or limits[0] <= 0:
        raise ValueError(
            f"limits {list(limits)}: expected {len(STRIDES) - 1} that grow, in pixels, one a level but the last"
        )
    if not len(boxes):
        return torch.full_like(grid.levels, NOTHING)
    fits = _central(boxes, grid, radius) & _of_level(boxes, grid, limits)
    areas = torch.where(fits, area(boxes), torch.inf)
    smallest = areas.argmin(dim=1)
    return torch.where(fits.any(dim=1), smallest, NOTHING)


def _central(boxes: Tensor, grid: Grid, radius: float) -> Tensor:
    """(locations, boxes): strictly within the box and within the square around its centre."""
    inside = encode(grid.points[:, None], boxes[None]).amin(dim=-1) > 0
    offset = (grid.points[:, None] - edges_to_centres(boxes)[None, :, :2]).abs().amax(dim=-1)
    return inside & (offset < radius * grid.strides[:, None])


def _of_level(boxes: Tensor, grid: Grid, limits: Sequence[float]) -> Tensor:
    """(locations, boxes): the farthest side lies in the level's range."""
    farthest = encode(grid.points[:, None], boxes[None]).amax(dim=-1)
    low = boxes.new_tensor((0.0, *limits))[grid.levels, None]
    high = boxes.new_tensor((*limits, torch.inf))[grid.levels, None]
    return (low < farthest) & (farthest <= high)
