"""Where a classifier of a whole radiograph looked: from its heat map to pixels of the source, without the padding."""

import torch
from torch import Tensor

from bundles.common.gradcam import SHARE, Box, hottest_box, hottest_pixel, to_source
from bundles.common.radiograph.placement import Placement


def region_of(heat: Tensor, placement: Placement, share: float = SHARE) -> Box | None:
    """The hottest part of a heat map (rows, columns) of the input, in pixels of the source; None without heat."""
    box = hottest_box(heat.numpy(), share, content_of(placement))
    return None if box is None else to_source(box, content_of(placement), placement.source)


def point_of(heat: Tensor, placement: Placement) -> Tensor:
    """(0 or 1, 2): where a heat map is hottest, (x, y) in pixels of the source."""
    pixel = hottest_pixel(heat.numpy(), content_of(placement))
    if pixel is None:
        return torch.zeros(0, 2)
    box = to_source(pixel, content_of(placement), placement.source)
    return torch.tensor([[(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2]])


def over_source(heat: Tensor, placement: Placement) -> Tensor:
    """The part of a heat map (..., rows, columns) of the input that the source covers, without the padding."""
    rows, columns = placement.scaled
    return heat[..., :rows, :columns].clone()


def content_of(placement: Placement) -> Box:
    """Where the radiograph lies in the input."""
    rows, columns = placement.scaled
    return Box(0.0, 0.0, float(columns), float(rows))
