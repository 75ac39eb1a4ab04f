"""Gaussian filters, another width for each sample, in 2-D and 3-D.

Matrix products cost the same for any width. A narrow filter is a sum of a few shifted images, cheaper on a CPU.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

TRUNCATE = 4.0  # a kernel ends at this many standard deviations, as in scipy.ndimage.gaussian_filter
SLAB = 48  # pixels of an axis at once; beyond them the matrix is a narrow band of numbers among zeros
NARROW = 8  # radius up to which a CPU adds shifted images


def gaussian(images: Tensor, sigmas: Tensor) -> Tensor:
    """Blur every image with its own Gaussian; the image is mirrored at its edges (edge pixel repeated).

    Equals ``scipy.ndimage.gaussian_filter(mode="reflect", truncate=4)``.

    Args:
        images: (batch, 1, *spatial) float32 or float64.
        sigmas: (batch,) float64 on the CPU, in pixels; 0 leaves an image alone.

    Returns:
        New images of the same shape.
    """
    axes = images.ndim - 2
    radius = max(_radius(sigma) for sigma in sigmas.tolist())
    if radius == 0:
        return images.clone()
    if images.device.type == "cpu" and radius <= min(NARROW, *images.shape[2:]):
        weights = _weights(sigmas).to(images.dtype)
        for axis in range(2, images.ndim):
            images = _by_shifts(images, weights, axis, radius)
        return images
    matrices: dict[int, Tensor] = {}
    for axis in range(2, images.ndim):
        n = images.shape[axis]
        if n not in matrices:
            matrices[n] = _matrix(sigmas, n, images.dtype).to(images.device)
        images = _along(images, matrices[n], axis, radius, axes)
    return images


def _radius(sigma: float) -> int:
    return int(TRUNCATE * sigma + 0.5)


def _weights(sigmas: Tensor) -> Tensor:
    """(batch, taps) float64, each kernel's sum 1; one for all if all widths agree."""
    if bool((sigmas == sigmas[0]).all()):
        sigmas = sigmas[:1]
    radii = torch.tensor([_radius(sigma) for sigma in sigmas.tolist()])
    offsets = torch.arange(-int(radii.max()), int(radii.max()) + 1)
    weights = torch.exp(-0.5 * (offsets / sigmas[:, None].clamp(min=1e-12)).square())
    weights = torch.where(offsets.abs() <= radii[:, None], weights, 0.0)
    return weights / weights.sum(dim=1, keepdim=True)


def _by_shifts(images: Tensor, weights: Tensor, axis: int, radius: int) -> Tensor:
    """Filter along an axis of at least ``radius`` pixels: the weighted sum of the mirrored image's shifts."""
    n = images.shape[axis]
    ends = images.narrow(axis, 0, radius).flip(axis), images.narrow(axis, n - radius, radius).flip(axis)
    wide = torch.cat([ends[0], images, ends[1]], axis)
    columns = weights.view(*weights.shape, *[1] * (images.ndim - 1)).unbind(1)
    total = wide.narrow(axis, 0, n) * columns[0]
    for tap, column in enumerate(columns[1:], start=1):
        total.addcmul_(wide.narrow(axis, tap, n), column)
    return total


def _matrix(sigmas: Tensor, n: int, dtype: torch.dtype) -> Tensor:
    """(1 or batch, n, n) whose product with a column of n pixels blurs it."""
    weights = _weights(sigmas).to(dtype)
    radius = weights.shape[1] // 2
    offsets = torch.arange(-radius, radius + 1)
    # Mirrored beyond the edges, as often as it takes.
    wrapped = (torch.arange(n)[:, None] + offsets) % (2 * n)
    wrapped = torch.where(wrapped < n, wrapped, 2 * n - 1 - wrapped)
    matrix = torch.zeros(len(weights), n, n, dtype=dtype)
    return matrix.scatter_add_(2, wrapped.expand(len(weights), -1, -1), weights[:, None, :].expand(-1, n, -1))


def _along(images: Tensor, matrix: Tensor, axis: int, radius: int, axes: int) -> Tensor:
    """Apply (1 or batch, n, n) along an axis; a long axis slab by slab, since the matrix is a narrow band."""
    batch, n = len(images), images.shape[axis]
    before, after = math.prod(images.shape[2:axis]), math.prod(images.shape[axis + 1 :])
    last = axis == axes + 1
    flat = images.reshape(batch, -1, n) if last else images.reshape(batch * before, n, after)
    if not last and len(matrix) > 1 and before > 1:
        matrix = matrix.repeat_interleave(before, dim=0)
    blurred = torch.empty_like(flat)
    for start in range(0, n, SLAB):
        stop = min(start + SLAB, n)
        low, high = max(0, start - radius), min(n, stop + radius)
        band = matrix[:, start:stop, low:high]
        if last:
            blurred[..., start:stop] = flat[..., low:high] @ band.transpose(1, 2)
        else:
            blurred[:, start:stop] = band @ flat[:, low:high]
    return blurred.view(images.shape)
