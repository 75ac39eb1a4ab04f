"""Vessels finer than the drawing grid: arteries of the base, veins of the surface and in the depth of sulci."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from app.demo.phantoms.fields import Array, stream
from app.demo.phantoms.mr.scan import Scan
from app.demo.phantoms.mr.scene import Scene

Points = NDArray[np.float64]
_STEP_MM = 2.5

# Courses in the undeformed head (x, y, z), mm, and the radii of their ends; those off the midline have a twin.
_COURSES: tuple[tuple[tuple[tuple[float, float, float], ...], float, float], ...] = (
    (((12, -12, -54), (13, -22, -42), (11, -14, -33), (9, -12, -25)), 2.2, 1.7),
    (((9, -12, -24), (19, -14, -21), (29, -10, -17), (36, -2, -8), (38, 6, 4), (44, 12, 8)), 1.5, 0.8),
    (((9, -12, -24), (3, -22, -20), (1.5, -33, -5), (1.5, -30, 10), (1.5, -15, 24), (1.5, 12, 31)), 1.2, 0.8),
    (((0, 1, -62), (0, -2, -45), (0, -3, -28)), 1.8, 1.6),
    (((1, -3, -27), (10, 0, -24), (18, 12, -18), (16, 30, -12), (14, 50, -6)), 1.3, 0.8),
    (((9, 8, -84), (5, 4, -70), (1, 1, -61)), 1.7, 1.6),
    (((2, -8, 4), (2.5, 10, 8), (1, 24, 3)), 0.9, 1.4),
    (((0, 24, 3), (0, 30, 1), (0, 33, -8)), 2.0, 2.4),
    (((18, -6, -20), (16, 12, -14), (1, 26, 2)), 0.8, 1.1),
    (((2, -8, 4), (11, -2, 14), (18, 14, 18)), 1.0, 0.6),
    (((49, 32, -28), (42, 16, -44), (31, 9, -60), (29, 8, -68)), 3.4, 3.4),
)


@dataclass(frozen=True, slots=True)
class Tube:
    """One vessel: a chain of rounded pieces in the head's frame.

    Attributes:
        points_mm: (n, 3) as (x, y, z).
        radii_mm: (n,).
    """

    points_mm: Points
    radii_mm: Points


def _at(volume: Array, scene: Scene, points: Points) -> Points:
    """Values of a volume at points (…, 3) of the head's frame."""
    grid = scene.frame.grid
    index = (points[..., ::-1] - np.array(grid.origin_mm)) / grid.pitch_mm
    return np.asarray(ndimage.map_coordinates(volume, np.moveaxis(index, -1, 0), order=1, mode="nearest"))


def _deformed(scene: Scene, points: Points) -> Points:
    """Where points of the undeformed head lie in this one."""
    moved = points.copy()
    frame = scene.frame
    for _ in range(2):
        seen = np.stack([_at(field, scene, moved) for field in (frame.x, frame.y, frame.z)], axis=-1)
        moved += points - seen
    return moved


def _smooth_course(knots: Points) -> Points:
    """Points along a polyline, with its corners rounded."""
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    at = np.linspace(0, lengths[-1], max(3, int(lengths[-1] / _STEP_MM) + 1))
    line = np.stack([np.interp(at, lengths, knots[:, axis]) for axis in range(3)], axis=1)
    return np.asarray(ndimage.gaussian_filter1d(line, 1.2, axis=0, mode="nearest"))


def _named(scene: Scene, rng: np.random.Generator) -> list[Tube]:
    tubes = []
    for course, first, last in _COURSES:
        for side in (-1, 1) if any(point[0] for point in course) else (1,):
            knots = np.array(course) * (side, 1, 1) + rng.normal(0, 1.0, (len(course), 3)) * (0.5, 1, 1)
            points = _deformed(scene, _smooth_course(knots))
            points += ndimage.gaussian_filter1d(rng.normal(0, 1.2, points.shape), 1.5, axis=0)
            radii = np.linspace(first, last, len(points)) * float(rng.uniform(0.75, 1.2))
            tubes.append(Tube(points, radii))
    return tubes


def _starts(scene: Scene, rng: np.random.Generator, count: int) -> Points:
    """Points just under the inner table, above the skull base."""
    depth = scene.frame.depth
    shell = np.flatnonzero((np.abs(depth.ravel() - 2) < 0.8) & (scene.frame.z.ravel() > -32))
    index = np.stack(np.unravel_index(rng.choice(shell, count), depth.shape), axis=1)
    grid = scene.frame.grid
    return np.asarray((np.array(grid.origin_mm) + grid.pitch_mm * index)[:, ::-1] + rng.uniform(-0.5, 0.5, (count, 3)))


def _wander(scene: Scene, rng: np.random.Generator) -> list[Tube]:
    """Veins and small arteries that keep to the fluid: along the surface, or down into a sulcus."""
    count, steps, offers = int(rng.integers(70, 130)), 24, 7
    points = _starts(scene, rng, count)
    sink = np.where(rng.random(count) < 0.45, rng.uniform(0.5, 2.2, count), 0.0)
    heading = rng.normal(size=(count, 3))
    chains = [points]
    for step in range(1, steps):
        turned = heading[:, None] / np.linalg.norm(heading, axis=1)[:, None, None] + rng.normal(
            0, 0.4, (count, offers, 3)
        )
        turned /= np.linalg.norm(turned, axis=2, keepdims=True)
        ahead = points[:, None] + _STEP_MM * turned
        wanted = (2.0 + sink * step)[:, None]
        miss = np.abs(_at(scene.frame.depth, scene, ahead) - np.minimum(wanted, 22))
        score = 1.5 * _at(scene.fluid, scene, ahead) - 0.35 * miss
        best = score.argmax(axis=1)
        rows = np.arange(count)
        points, heading = ahead[rows, best], turned[rows, best]
        chains.append(points)
    lines = np.stack(chains, axis=1)
    lengths = rng.integers(6, steps + 1, count)
    first = np.exp(rng.normal(np.log(0.75), 0.35, count)).clip(0.4, 1.8)
    return [
        Tube(line[:length], np.linspace(radius, 0.55 * radius, length))
        for line, length, radius in zip(lines, lengths, first, strict=True)
    ]


def _anomaly(scene: Scene, rng: np.random.Generator) -> list[Tube]:
    """In one head of eight a developmental venous anomaly: fine veins of white matter that join one large vein."""
    if rng.random() > 0.125:
        return []
    start = _starts(scene, rng, 1)[0]
    inward = -start / np.linalg.norm(start)
    hub = start + inward * float(rng.uniform(14, 24))
    tubes = [Tube(_smooth_course(np.stack([start, hub])), np.array([1.3]))]
    for _ in range(int(rng.integers(5, 9))):
        spread = inward + rng.normal(0, 0.6, 3)
        end = hub + spread / np.linalg.norm(spread) * float(rng.uniform(8, 16))
        tubes.append(Tube(_smooth_course(np.stack([hub, end])), np.array([0.6])))
    return [Tube(tube.points_mm, np.full(len(tube.points_mm), tube.radii_mm[0])) for tube in tubes]


def sample_vessels(scene: Scene) -> tuple[Tube, ...]:
    """Draw all vessels of a head."""
    rng = stream(scene.head.seed, "mr vessels")
    return tuple(_named(scene, rng) + _wander(scene, rng) + _anomaly(scene, rng))


def _piece(volume: Array, ends: Points, radii: Points, scan: Scan, blood: float) -> None:
    """Draw one rounded piece between two points given as (slice, row, column)."""
    spacing = scan.spacing_mm
    width = float(spacing.max())
    reach = (float(radii.max()) + width) / spacing
    low = np.maximum(np.floor(ends.min(axis=0) - reach).astype(int), 0)
    high = np.minimum(np.ceil(ends.max(axis=0) + reach).astype(int) + 1, scan.shape)
    if np.any(high <= low):
        return
    part = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    lines = [
        ((np.arange(a, b) - e) * s).astype(np.float32) for a, b, e, s in zip(low, high, ends[0], spacing, strict=True)
    ]
    d0, d1, d2 = lines[0][:, None, None], lines[1][None, :, None], lines[2]
    axis = ((ends[1] - ends[0]) * spacing).astype(np.float32)
    length = np.float32(float(axis @ axis) + 1e-6)
    along = np.clip((d0 * axis[0] + d1 * axis[1] + d2 * axis[2]) / length, 0, 1)
    away = np.sqrt((d0 - along * axis[0]) ** 2 + (d1 - along * axis[1]) ** 2 + (d2 - along * axis[2]) ** 2)
    radius = np.float32(radii[0]) + along * np.float32(radii[1] - radii[0])
    # A vessel thinner than a voxel fills only a part of it: drawn as wide as the voxel, and fainter.
    amount = np.clip(0.5 - (away - np.maximum(radius, width / 2)) / np.float32(width), 0, 1)
    amount *= np.minimum(1, 2 * radius / np.float32(width))
    view = volume[part]
    view += amount * np.maximum(blood - view, 0) if blood > 1 else amount * (blood - view)


def draw_vessels(volume: Array, tubes: tuple[Tube, ...], scan: Scan, blood: float) -> None:
    """Draw vessels into a scan, in place.

    Args:
        volume: (slices, rows, columns), in units of white matter.
        tubes: What to draw.
        scan: Where the voxels lie.
        blood: Signal of blood: above 1 it brightens, below it darkens.
    """
    for tube in tubes:
        ends = scan.to_index(tube.points_mm)
        for first in range(len(ends) - 1):
            _piece(volume, ends[first : first + 2], tube.radii_mm[first : first + 2], scan, blood)
