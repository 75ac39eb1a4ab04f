"""Slow and plain: what resampling means, pixel by pixel, in float64."""

import itertools

import numpy as np
import torch

from pretraining.samples import RawBatch


def batch_of(*images: torch.Tensor, ranges: tuple[float, float] | None = None) -> RawBatch:
    """A batch of images, (*spatial) each; the range is 0 to 1 for floats, else 0 to 255."""
    given = [ranges or ((0.0, 1.0) if image.is_floating_point() else (0.0, 255.0)) for image in images]
    return RawBatch(
        images=tuple(image[None] for image in images),
        ranges=torch.tensor(given),
        groups=torch.zeros(len(images), dtype=torch.int64),
        keys=tuple(f"key{place}" for place in range(len(images))),
    )


def source_position(matrix, centre, distortion, size, pixel):
    """The image position (pixel indices) of one pixel of a crop."""
    offset = np.array(pixel, dtype=float) - (np.array(size) - 1) / 2
    factor = 1 + distortion * (offset @ offset) / (max(size) / 2) ** 2
    return np.asarray(centre) + factor * (np.asarray(matrix) @ offset)


def interpolated(image, position):
    """Linear interpolation between pixel centres; the edge pixel's value beyond the outermost centres."""
    position = np.clip(position, 0, np.array(image.shape) - 1)
    below = np.minimum(np.floor(position).astype(int), np.array(image.shape) - 1)
    total = 0.0
    for corner in itertools.product((0, 1), repeat=image.ndim):
        at = np.minimum(below + corner, np.array(image.shape) - 1)
        weight = np.prod([p - b if c else 1 - (p - b) for p, b, c in zip(position, below, corner, strict=True)])
        total += weight * image[tuple(at)]
    return total


def coverage(shape, position, span):
    """Share of a crop's pixel, ``span`` source pixels wide on each axis, that lies in the image."""
    share = 1.0
    for n, p, w in zip(shape, position, span, strict=True):
        share *= np.clip((n / 2 - abs(p - (n - 1) / 2)) / w + 0.5, 0, 1)
    return share


def crop(image, matrix, centre, distortion, size):
    """A crop without any averaging: exact where a crop's pixel spans less than 1.5 source pixels."""
    matrix = np.asarray(matrix)
    span = np.sqrt((matrix**2).sum(axis=1))
    result = np.empty(size)
    for pixel in itertools.product(*(range(n) for n in size)):
        position = source_position(matrix, centre, distortion, size, pixel)
        result[pixel] = interpolated(image, position) * coverage(image.shape, position, span)
    return result
