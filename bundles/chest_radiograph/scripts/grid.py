"""Where the detector looks, and how a box is said from there: distances to its four sides, and how central one is.

Source: Tian et al., FCOS: Fully Convolutional One-Stage Object Detection, ICCV 2019, §3.1 to 3.3.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

STRIDES = (8, 16, 32, 64, 128)
"""Of P3 to P7, in pixels of the network's input."""


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """All locations of all levels, in the order of the network's outputs: by level, row, column.

    Attributes:
        points: (locations, 2) x, y in pixels of the network's input: the middle of each cell.
        levels: (locations,) index into `STRIDES`.
        strides: (locations,) pixels between neighbours.
    """

    points: Tensor
    levels: Tensor
    strides: Tensor


def grid_of(rows: int, columns: int, device: torch.device | str = "cpu") -> Grid:
    """The locations for an input of this many rows and columns, float32; every level rounds its size up."""
    points, levels = [], []
    for level, stride in enumerate(STRIDES):
        down = (torch.arange(-(-rows // stride), device=device, dtype=torch.float32) + 0.5) * stride
        across = (torch.arange(-(-columns // stride), device=device, dtype=torch.float32) + 0.5) * stride
        y, x = torch.meshgrid(down, across, indexing="ij")
        points.append(torch.stack((x.flatten(), y.flatten()), dim=1))
        levels.append(torch.full((x.numel(),), level, device=device))
    each = torch.cat(levels)
    return Grid(torch.cat(points), each, torch.tensor(STRIDES, device=device, dtype=torch.float32)[each])


def encode(points: Tensor, boxes: Tensor) -> Tensor:
    """Distances from points to the left, upper, right and lower side of boxes; negative for a side that was passed.

    Args:
        points: (…, 2) x, y.
        boxes: (…, 4) x0, y0, x1, y1.
    """
    return torch.cat((points - boxes[..., :2], boxes[..., 2:] - points), dim=-1)


def decode(points: Tensor, distances: Tensor) -> Tensor:
    """The boxes whose sides lie at these distances from the points: the inverse of `encode`."""
    return torch.cat((points - distances[..., :2], points + distances[..., 2:]), dim=-1)


def centreness(distances: Tensor) -> Tensor:
    """(…, 4) distances ≥ 0 → (…,): 1 in the middle of a box, 0 at its sides (FCOS, equation 3)."""
    pairs = torch.stack((distances[..., 0::2], distances[..., 1::2]), dim=-2)
    ratios = pairs.amin(dim=-1) / pairs.amax(dim=-1).clamp(min=torch.finfo(distances.dtype).tiny)
    return ratios.prod(dim=-1).sqrt()
