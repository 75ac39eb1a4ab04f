"""Connected lesions of a mask: their numbers, and what is measured of them. Needs numpy and scipy, never torch.

An affine may be anisotropic, oblique or sheared (a tilted gantry); it maps the index of a voxel (i, j, k, 1) to the
millimetres of its centre. Points are in the space of that affine: RAS in, RAS out; LPS in, LPS out.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull

Labels = NDArray[np.int32]
Points = NDArray[np.float64]

NEIGHBOURS = np.ones((3, 3, 3), dtype=bool)
"""26-connected: voxels that touch by a corner belong together."""

BLOCK = 1024


@dataclass(frozen=True, slots=True)
class Lesion:
    """One lesion, as measured on the grid of its mask.

    Attributes:
        number: Its value in the label array, from 1.
        voxels: Count.
        volume_mm3: Voxels times the volume of one, |det| of the affine.
        longest_diameter_mm: Largest distance between the centres of two of its voxels, in any direction. Nothing is
            added for the half voxels at the ends: a single voxel has 0.
        centre_mm: Mean of its voxels' centres, in the space of the affine.
        certainty: 0 to 1; None where only the labels are known.
    """

    number: int
    voxels: int
    volume_mm3: float
    longest_diameter_mm: float
    centre_mm: tuple[float, float, float]
    certainty: float | None = None


def label_lesions(
    mask: ArrayLike, probability: ArrayLike, affine: ArrayLike, *, min_volume_mm3: float
) -> tuple[Labels, tuple[Lesion, ...]]:
    """Part a mask into 26-connected lesions, drop the small ones, and order them by falling certainty.

    The certainty of a lesion is the largest probability of its voxels: the mean would fall with the share of voxels at
    its rim, which is large for small lesions. Equal certainties are ordered by falling volume, then by first voxel.

    Args:
        mask: (i, j, k), zero outside of lesions.
        probability: Of the same shape, 0 to 1; read inside of the mask alone.
        affine: (4, 4) from voxel index to millimetres.
        min_volume_mm3: Smaller components are no lesions; 0 keeps all.

    Returns:
        Labels (i, j, k): 0 background, 1 to n the lesions; and the lesions 1 to n, with their certainty.

    Raises:
        ValueError: The shapes differ, the affine is singular, or a probability within the mask is not from 0 to 1.
    """
    inside, values = np.asarray(mask) != 0, np.asarray(probability)
    if inside.ndim != 3 or inside.shape != values.shape:
        raise ValueError(f"a mask {inside.shape} needs three axes and a probability of its shape, not {values.shape}")
    matrix = _checked(affine)
    labels = np.zeros(inside.shape, np.int32)
    box = _bounding_box(inside)
    if box is None:
        return labels, ()
    components, count = ndimage.label(inside[box], structure=NEIGHBOURS, output=np.int32)
    certainty = _certainties(components, values[box], count)
    voxels = np.bincount(components.ravel(), minlength=count + 1)[1:]
    enough = np.flatnonzero(voxels * _voxel_mm3(matrix) >= min_volume_mm3)
    order = enough[np.lexsort((-voxels[enough], -certainty[enough]))]
    renumbered = np.zeros(count + 1, np.int32)
    renumbered[order + 1] = np.arange(1, len(order) + 1)
    labels[box] = renumbered[components]
    lesions = measure(labels, matrix)
    return labels, tuple(
        replace(lesion, certainty=float(certainty[component])) for lesion, component in zip(lesions, order, strict=True)
    )


def measure(labels: ArrayLike, affine: ArrayLike) -> tuple[Lesion, ...]:
    """Measure labelled lesions, in the order of their numbers; a number that no voxel has is left out.

    Args:
        labels: (i, j, k) integers: 0 background, n the lesion n (connected or not).
        affine: (4, 4) from voxel index to millimetres.

    Returns:
        The lesions, with certainty None.

    Raises:
        ValueError: The labels are no integers, are negative or have not three axes, or the affine is singular.
    """
    numbers = np.asarray(labels)
    if numbers.ndim != 3 or numbers.dtype.kind not in "iub":
        raise ValueError(f"labels must be integers with three axes, not {numbers.dtype} {numbers.shape}")
    if numbers.dtype.kind == "i" and numbers.size and numbers.min() < 0:
        raise ValueError(f"labels must not be negative; the smallest is {numbers.min()}")
    matrix = _checked(affine)
    numbers = numbers.astype(np.uint8) if numbers.dtype.kind == "b" else numbers
    return tuple(
        _measured(number, numbers[box] == number, [part.start for part in box], matrix)
        for number, box in enumerate(ndimage.find_objects(numbers), start=1)
        if box is not None
    )


def _measured(number: int, inside: NDArray[np.bool_], start: list[int], affine: Points) -> Lesion:
    count = int(np.count_nonzero(inside))
    centre = affine[:3, :3] @ (_mean_index(inside, count) + start) + affine[:3, 3]
    return Lesion(
        number=number,
        voxels=count,
        volume_mm3=count * _voxel_mm3(affine),
        longest_diameter_mm=_largest_distance(corners(_ends(inside)) @ affine[:3, :3].T),
        centre_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
    )


def _mean_index(inside: NDArray[np.bool_], count: int) -> Points:
    sums = [
        inside.sum(axis=other) @ np.arange(inside.shape[axis]) for axis, other in enumerate(((1, 2), (0, 2), (0, 1)))
    ]
    return np.asarray(sums, dtype=np.float64) / count


def _ends(inside: NDArray[np.bool_]) -> NDArray[np.intp]:
    """First and last voxel of every line along the first axis, (points, 3): all others lie between two of these."""
    j, k = np.nonzero(inside.any(axis=0))
    lines = inside[:, j, k]
    first, last = lines.argmax(axis=0), len(lines) - 1 - lines[::-1].argmax(axis=0)
    return np.concatenate((np.stack((first, j, k), axis=1), np.stack((last, j, k), axis=1)))


def corners(indices: NDArray[np.intp]) -> Points:
    """Of points on an integer grid, those that span their convex hull: the farthest two are among them.

    An affine keeps convex hulls, so that this holds in millimetres too.

    Args:
        indices: (points, 3) integers, at least one.
    """
    axes = _spanning_axes(indices - indices[0])
    if len(axes) == 0:
        return indices[:1].astype(np.float64)
    if len(axes) == 1:
        along = indices[:, axes[0]]
        return indices[[int(along.argmin()), int(along.argmax())]].astype(np.float64)
    return np.asarray(indices[ConvexHull(indices[:, axes].astype(np.float64)).vertices], dtype=np.float64)


def _spanning_axes(offsets: NDArray[np.intp]) -> list[int]:
    """Axes onto which points of a line, a plane or a body project without falling together (1, 2 or 3 of them)."""
    gram = (offsets.T @ offsets).astype(np.float64)
    axes: list[int] = []
    for axis in range(3):
        tried = [*axes, axis]
        if np.linalg.matrix_rank(gram[np.ix_(tried, tried)]) == len(tried):
            axes = tried
    return axes


def _largest_distance(points: Points) -> float:
    """Between any two of the points, in blocks, because a large region has thousands of corners."""
    squares = (
        ((points[start : start + BLOCK, None] - points[None, start:]) ** 2).sum(axis=-1).max()
        for start in range(0, len(points), BLOCK)
    )
    return float(np.sqrt(max(squares)))


def _certainties(components: Labels, probability: NDArray[np.generic], count: int) -> Points:
    inside = components > 0
    values = probability[inside].astype(np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("a probability within the mask is not from 0 to 1")
    largest = np.zeros(count + 1)
    np.maximum.at(largest, components[inside], values)
    return np.asarray(largest[1:], dtype=np.float64)


def _bounding_box(inside: NDArray[np.bool_]) -> tuple[slice, slice, slice] | None:
    used = [np.flatnonzero(inside.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
    if len(used[0]) == 0:
        return None
    first, second, third = (slice(int(places[0]), int(places[-1]) + 1) for places in used)
    return first, second, third


def _checked(affine: ArrayLike) -> Points:
    matrix = np.asarray(affine, dtype=np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or _voxel_mm3(matrix) < 1e-9:
        raise ValueError(f"an affine must be (4, 4), finite and with a volume for each voxel, not {matrix.tolist()}")
    return matrix


def _voxel_mm3(affine: Points) -> float:
    return float(abs(np.linalg.det(affine[:3, :3])))
