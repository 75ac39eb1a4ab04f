"""Non-maximum suppression: of boxes that overlap too much, the one with the highest score stays.

Greedy and exact, like MONAI's `non_max_suppression`, whose arithmetic (float32) and order of ties are kept to the bit.
MONAI picks box by box. Here a block of the best boxes is settled at once: overlaps within the block, a short loop over
bit sets, and one pass that removes what the block's survivors overlap. On the CPU, whatever the device: the loop is
sequential, and a few thousand boxes are copied in microseconds.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bundles.common.boxes.overlap import SMALLEST

BLOCK = 64
Columns = tuple[NDArray[np.float32], ...]


def non_maximum_suppression(boxes: Tensor, scores: Tensor, threshold: float, limit: int = 0) -> Tensor:
    """Indices of the boxes that stay, best first; equal scores in the order given.

    Args:
        boxes: (n, 4) edges in pixels; half precision is computed in float32.
        scores: (n,).
        threshold: A box is dropped if its IoU with a better one that stays is greater than this.
        limit: Keep at most so many; 0 keeps all.

    Returns:
        (kept,) int64, on the device of `boxes`.

    Raises:
        ValueError: Lengths differ, a number is not finite, or an area does not fit float32.
    """
    columns, order = _sorted_columns(boxes, scores)
    cut = np.float64(threshold) if boxes.dtype == torch.float64 else np.float32(threshold)
    kept = _greedy(columns, cut, limit)
    return torch.from_numpy(order[kept]).to(boxes.device)


def batched_nms(boxes: Tensor, scores: Tensor, groups: Tensor, threshold: float, limit: int = 0) -> Tensor:
    """`non_maximum_suppression` within each group, such as a class, or a class of one image in a batch.

    Boxes are not shifted apart, as is usual elsewhere: that rounds coordinates and can change who survives.

    Args:
        boxes: (n, 4).
        scores: (n,).
        groups: (n,) whole numbers; boxes of different groups never suppress each other.
        threshold: See `non_maximum_suppression`.
        limit: Keep at most so many of all groups together, the best; 0 keeps all.

    Returns:
        (kept,) int64, best first over all groups; equal scores in the order given.

    Raises:
        ValueError: As `non_maximum_suppression`.
    """
    if len(groups) != len(boxes):
        raise ValueError(f"{len(boxes)} boxes and {len(groups)} groups; expected as many")
    members = [torch.nonzero(groups == group).flatten() for group in sorted(set(groups.tolist()))]
    kept = [own[non_maximum_suppression(boxes[own], scores[own], threshold)] for own in members]
    every = torch.cat(kept).sort().values if kept else groups.new_zeros(0, dtype=torch.int64)
    best = torch.argsort(scores[every], descending=True, stable=True)
    chosen: Tensor = every[best][: limit or None]
    return chosen


def _sorted_columns(boxes: Tensor, scores: Tensor) -> tuple[Columns, NDArray[np.int64]]:
    """x0, y0, x1, y1 and area, best score first, and the index of each box before sorting."""
    if boxes.shape != (len(scores), 4):
        raise ValueError(f"boxes {tuple(boxes.shape)} and scores {tuple(scores.shape)}; expected (n, 4) and (n,)")
    # Scores in the boxes' type, as MONAI has them: rounding makes ties, and ties decide who comes first.
    rounded = scores.detach().cpu().to(boxes.dtype)
    keys = (rounded if rounded.dtype == torch.float64 else rounded.float()).numpy()
    order = np.argsort(-keys, kind="stable")
    x0, y0, x1, y1 = np.ascontiguousarray(boxes.detach().cpu().float().numpy()[order].T)
    with np.errstate(over="ignore", invalid="ignore"):
        areas = (x1 - x0) * (y1 - y0)
    if not (np.isfinite(areas).all() and np.isfinite(keys).all()):
        raise ValueError("boxes or scores are not finite; look at the network's outputs before suppression")
    return (x0, y0, x1, y1, areas), order


def _greedy(columns: Columns, cut: np.floating, limit: int) -> NDArray[np.intp]:
    waiting = np.arange(len(columns[0]))
    kept: list[NDArray[np.intp]] = []
    found = 0
    while len(waiting) and not (limit and found >= limit):
        block, waiting = waiting[:BLOCK], waiting[BLOCK:]
        best = tuple(column[block] for column in columns)
        survivors = _survivors(_overlapping(best, best, cut))
        kept.append(block[survivors])
        found += len(survivors)
        if len(waiting):
            best = tuple(column[survivors] for column in best)
            rest = tuple(column[waiting] for column in columns)
            waiting = waiting[~_overlapping(best, rest, cut).any(axis=0)]
    joined = np.concatenate(kept) if kept else np.zeros(0, dtype=np.intp)
    return joined[: limit or None]


def _survivors(overlapping: NDArray[np.bool_]) -> list[int]:
    """Indices that stay in a block, from its (n, n) overlaps: one bit set a row, best first."""
    rows = np.packbits(overlapping, axis=1, bitorder="little")
    width, content = rows.shape[1], rows.tobytes()
    removed, staying = 0, []
    for index in range(len(rows)):
        if not removed >> index & 1:
            staying.append(index)
            removed |= int.from_bytes(content[index * width : (index + 1) * width], "little")
    return staying


def _overlapping(first: Columns, second: Columns, cut: np.floating) -> NDArray[np.bool_]:
    """(n,), (m,) → (n, m): whether the IoU is greater than the threshold; the operations of MONAI's `box_iou`."""
    ax0, ay0, ax1, ay1, areas = (column[:, np.newaxis] for column in first)
    bx0, by0, bx1, by1, others = second
    width = np.minimum(ax1, bx1)
    width -= np.maximum(ax0, bx0)
    np.maximum(width, 0, out=width)
    height = np.minimum(ay1, by1)
    height -= np.maximum(ay0, by0)
    np.maximum(height, 0, out=height)
    width *= height
    union = areas + others
    union -= width
    union += np.float32(SMALLEST)
    width /= union
    result: NDArray[np.bool_] = width > cut
    return result
