"""Area, centre and size, clipping, and checks of boxes."""

from collections.abc import Sequence

import torch
from torch import Tensor

OVERHANG_PX = 1.0
"""How far a box may stick out of its image and still be meant: labels that name the last pixel instead of its edge."""


def area(boxes: Tensor) -> Tensor:
    """(boxes, 4) → (boxes,) square pixels."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def edges_to_centres(boxes: Tensor) -> Tensor:
    """(…, 4) x0, y0, x1, y1 → (…, 4) centre x, centre y, width, height."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat(((low + high) / 2, high - low), dim=-1)


def centres_to_edges(boxes: Tensor) -> Tensor:
    """(…, 4) centre x, centre y, width, height → (…, 4) x0, y0, x1, y1."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def clip(boxes: Tensor, rows: float, columns: float) -> Tensor:
    """Cut (…, 4) boxes at the edges of an image of this many rows and columns; one outside becomes empty."""
    x0, y0, x1, y1 = boxes.unbind(-1)
    return torch.stack((x0.clamp(0, columns), y0.clamp(0, rows), x1.clamp(0, columns), y1.clamp(0, rows)), dim=-1)


def as_boxes(values: Sequence[Sequence[float]], name: str) -> Tensor:
    """Lists of four numbers as (boxes, 4) float64, (0, 4) for none.

    Args:
        values: The boxes.
        name: Of the file they belong to, for the error.

    Raises:
        ValueError: One has not four finite numbers, or has no area.
    """
    wrong = [box for box in values if len(box) != 4]
    if wrong:
        raise ValueError(f"{name}: box {list(wrong[0])} has not four numbers x0, y0, x1, y1")
    boxes = torch.tensor([list(box) for box in values], dtype=torch.float64).reshape(-1, 4)
    sound = torch.isfinite(boxes).all(dim=1) & (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    if not bool(sound.all()):
        first = boxes[~sound][0].tolist()
        raise ValueError(
            f"{name}: box {first} has no area; expected edges x0 < x1 and y0 < y1 in pixels (is it width and height?)"
        )
    return boxes


def inside_image(boxes: Tensor, rows: int, columns: int, name: str) -> Tensor:
    """The boxes, cut at the image's edges where they stick out by no more than one pixel.

    Raises:
        ValueError: One sticks out further; the message names the file.
    """
    limits = boxes.new_tensor([columns, rows, columns, rows])
    beyond = torch.maximum(-boxes, boxes - limits).amax(dim=1)
    if bool((beyond > OVERHANG_PX).any()):
        first = boxes[beyond > OVERHANG_PX][0].tolist()
        raise ValueError(
            f"{name}: box {first} reaches out of the image of {columns} columns and {rows} rows; "
            "are the boxes those of another size of this image?"
        )
    clipped = clip(boxes, rows, columns)
    if bool((area(clipped) <= 0).any()):
        first = boxes[area(clipped) <= 0][0].tolist()
        raise ValueError(f"{name}: box {first} lies outside of the image of {columns} columns and {rows} rows")
    return clipped
