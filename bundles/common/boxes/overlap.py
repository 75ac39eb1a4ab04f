"""Intersection over union, and its generalisation that also tells how far apart two boxes are."""

import torch
from torch import Tensor

from bundles.common.boxes.geometry import area

SMALLEST = torch.finfo(torch.float32).eps
"""Added to every divisor, as MONAI does: two empty boxes have an overlap of 0."""


def iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of every box with every other.

    Args:
        first: (n, 4) floating point.
        second: (m, 4) of the same type.

    Returns:
        (n, m), 0 to 1.
    """
    intersection = _intersection(first[:, None], second[None])
    return intersection / (area(first)[:, None] + area(second) - intersection + SMALLEST)


def paired_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of the i-th box with the i-th other: (n, 4), (n, 4) → (n,)."""
    intersection = _intersection(first, second)
    return intersection / (area(first) + area(second) - intersection + SMALLEST)


def paired_giou(first: Tensor, second: Tensor) -> Tensor:
    """Generalised intersection over union of pairs, differentiable: IoU less the empty share of the enclosing box.

    Source: Rezatofighi et al., Generalized Intersection over Union, CVPR 2019, algorithm 1.

    Args:
        first: (n, 4).
        second: (n, 4).

    Returns:
        (n,), above -1 and at most 1. Boxes apart still get a gradient, unlike with IoU.
    """
    intersection = _intersection(first, second)
    union = area(first) + area(second) - intersection
    low = torch.minimum(first[:, :2], second[:, :2])
    high = torch.maximum(first[:, 2:], second[:, 2:])
    enclosing = (high - low).prod(dim=1)
    return intersection / (union + SMALLEST) - (enclosing - union) / (enclosing + SMALLEST)


def _intersection(first: Tensor, second: Tensor) -> Tensor:
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    size = (high - low).clamp(min=0)
    return size[..., 0] * size[..., 1]
