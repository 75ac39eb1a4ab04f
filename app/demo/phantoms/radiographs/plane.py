"""The detector's plane, and the lengths of rays through simple solids, in millimetres.

Rays are parallel and perpendicular to the plane. The body's frame has x to the right of the picture and y down, in mm.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float32]
Box = tuple[float, float, float, float]
"""Edges (x0, y0, x1, y1) in pixels: x to the right, y down, the first pixel from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of the plane, with the body coordinates of its pixels.

    Attributes:
        rows, columns: Where it lies in an array of the whole plane.
        x, y: (rows, columns) of the window, mm.
    """

    rows: slice
    columns: slice
    x: Array
    y: Array

    @property
    def place(self) -> tuple[slice, slice]:
        """Index of the window in an array of the whole plane."""
        return self.rows, self.columns


@dataclass(frozen=True, slots=True)
class Plane:
    """A grid of pixels and how it lies over the body.

    Attributes:
        rows, columns: Of the picture.
        pitch_mm: Edge of a pixel.
        angle_deg: How far the body is turned in the picture, clockwise.
        centre_mm: What the centre of the picture shows, (x, y).
        mirrored: The body's x runs to the left of the picture.
    """

    rows: int
    columns: int
    pitch_mm: float
    angle_deg: float = 0.0
    centre_mm: tuple[float, float] = (0.0, 0.0)
    mirrored: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.rows, self.columns

    def _turn(self) -> tuple[float, float, float]:
        angle = np.deg2rad(self.angle_deg)
        return float(np.cos(angle)), float(np.sin(angle)), -1.0 if self.mirrored else 1.0

    def pixels(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where body points lie in the picture, (column, row) as edges count them."""
        c, s, sign = self._turn()
        dx, dy = np.asarray(x, float) - self.centre_mm[0], np.asarray(y, float) - self.centre_mm[1]
        column = sign * (c * dx - s * dy) / self.pitch_mm + self.columns / 2
        return column, (s * dx + c * dy) / self.pitch_mm + self.rows / 2

    def window(self, low: ArrayLike, high: ArrayLike) -> Window | None:
        """The pixels around a rectangle of the body from `low` to `high`, each (x, y); None outside the picture."""
        (x0, y0), (x1, y1) = np.asarray(low, float), np.asarray(high, float)
        column, row = self.pixels([x0, x1, x0, x1], [y0, y0, y1, y1])
        rows = slice(max(int(row.min()) - 1, 0), min(int(row.max()) + 2, self.rows))
        columns = slice(max(int(column.min()) - 1, 0), min(int(column.max()) + 2, self.columns))
        if rows.stop <= rows.start or columns.stop <= columns.start:
            return None
        return self._at(rows, columns)

    def whole(self) -> Window:
        """All pixels."""
        return self._at(slice(0, self.rows), slice(0, self.columns))

    def _at(self, rows: slice, columns: slice) -> Window:
        c, s, sign = self._turn()
        px = np.float32(sign * self.pitch_mm) * (
            np.arange(columns.start, columns.stop, dtype=np.float32) + np.float32(0.5 - self.columns / 2)
        )
        py = np.float32(self.pitch_mm) * (
            np.arange(rows.start, rows.stop, dtype=np.float32) + np.float32(0.5 - self.rows / 2)
        )
        x = np.float32(c) * px[None, :] + np.float32(s) * py[:, None] + np.float32(self.centre_mm[0])
        y = np.float32(-s) * px[None, :] + np.float32(c) * py[:, None] + np.float32(self.centre_mm[1])
        return Window(rows, columns, x, y)


def box_of(mask: NDArray[np.bool_], offset: tuple[int, int] = (0, 0)) -> Box | None:
    """The smallest box around a mask's pixels, moved by (rows, columns); None around nothing."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    top, left = offset
    return float(columns[0] + left), float(rows[0] + top), float(columns[-1] + 1 + left), float(rows[-1] + 1 + top)


def edge(distance: Array, width: float) -> Array:
    """1 inside (negative distance), 0 outside, and a ramp of `width` between."""
    return np.asarray(np.clip(0.5 - distance / np.float32(width), 0, 1), dtype=np.float32)


def ellipsoid(
    x: Array, y: Array, centre: tuple[float, float], axes: tuple[float, float, float], angle_deg: float = 0.0
) -> Array:
    """Length of rays in an ellipsoid.

    Args:
        x: Of the rays, mm.
        y: Likewise.
        centre: (x, y), mm.
        axes: Half axes along its own x and y, and along the rays, mm.
        angle_deg: Its turn in the plane, clockwise.
    """
    c, s = np.float32(np.cos(np.deg2rad(angle_deg))), np.float32(np.sin(np.deg2rad(angle_deg)))
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    radius = ((c * dx + s * dy) / np.float32(axes[0])) ** 2 + ((c * dy - s * dx) / np.float32(axes[1])) ** 2
    return np.asarray(2 * np.float32(axes[2]) * np.sqrt(np.maximum(1 - radius, 0)), dtype=np.float32)


def add_ellipsoid(  # noqa: PLR0917
    plane: Plane,
    out: Array,
    centre: tuple[float, float],
    axes: tuple[float, float, float],
    gain: float,
    angle: float = 0,
) -> None:
    """Add an ellipsoid's ray lengths times `gain` to an array of the plane."""
    reach = max(axes[0], axes[1])
    window = plane.window((centre[0] - reach, centre[1] - reach), (centre[0] + reach, centre[1] + reach))
    if window is not None:
        out[window.place] += np.float32(gain) * ellipsoid(window.x, window.y, centre, axes, angle)


def _segment(window: Window, one: NDArray[np.float64], two: NDArray[np.float64], radii: tuple[float, float]) -> Array:
    """Length of rays in a rounded cone between two points."""
    along = two - one
    length2 = float(along @ along) or 1e-6
    dx, dy = window.x - np.float32(one[0]), window.y - np.float32(one[1])
    share = np.clip((dx * np.float32(along[0]) + dy * np.float32(along[1])) / np.float32(length2), 0, 1)
    away2 = (dx - share * np.float32(along[0])) ** 2 + (dy - share * np.float32(along[1])) ** 2
    radius = np.float32(radii[0]) + share * np.float32(radii[1] - radii[0])
    return np.asarray(2 * np.sqrt(np.maximum(radius**2 - away2, 0)), dtype=np.float32)


def draw_tube(plane: Plane, out: Array, points: ArrayLike, radii: ArrayLike, origin: tuple[int, int] = (0, 0)) -> None:
    """Draw a tube into a layer: joints and crossings within one layer do not add up, two layers do.

    Args:
        plane: Where.
        out: Layer of ray lengths, mm; takes the larger of what is there and the tube.
        points: (n, 2), mm.
        radii: (n,), or one for all, mm.
        origin: Row and column of the plane where the layer begins; it must hold the whole tube.
    """
    line = np.asarray(points, dtype=np.float64)
    radius = np.broadcast_to(np.asarray(radii, dtype=np.float64), (len(line),))
    for index in range(len(line) - 1):
        one, two = line[index], line[index + 1]
        reach = max(radius[index], radius[index + 1])
        window = plane.window(np.minimum(one, two) - reach, np.maximum(one, two) + reach)
        if window is not None:
            rows, columns = window.place
            part = out[
                rows.start - origin[0] : rows.stop - origin[0], columns.start - origin[1] : columns.stop - origin[1]
            ]
            np.maximum(part, _segment(window, one, two, (radius[index], radius[index + 1])), out=part)


def tube(plane: Plane, points: ArrayLike, radii: ArrayLike) -> tuple[Window, Array] | None:
    """A tube in a layer of its own, just large enough; None outside the picture."""
    line, reach = np.asarray(points, dtype=np.float64), float(np.max(radii))
    window = plane.window(line.min(axis=0) - reach, line.max(axis=0) + reach)
    if window is None:
        return None
    layer = np.zeros(window.x.shape, dtype=np.float32)
    draw_tube(plane, layer, points, radii, (window.rows.start, window.columns.start))
    return window, layer


def curve(points: ArrayLike, count: int) -> NDArray[np.float64]:
    """A smooth line through a few points, (count, 2)."""
    from scipy.interpolate import CubicSpline

    knots = np.asarray(points, dtype=np.float64)
    at = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    return np.asarray(CubicSpline(at, knots)(np.linspace(0, at[-1], count)))


def smooth_noise(rng: np.random.Generator, plane: Plane, knot_mm: float) -> Array:
    """A smooth random picture of mean 0 and deviation of about 1, whose blobs do not depend on the pitch.

    Args:
        rng: Draws the knots.
        plane: What it covers; its turn is ignored.
        knot_mm: Distance of knots.
    """
    counts = [int(size * plane.pitch_mm / knot_mm) + 4 for size in plane.shape]
    value = rng.standard_normal(counts, dtype=np.float32)
    sides = []
    for size, count in zip(plane.shape, counts, strict=True):
        at = ((np.arange(size) + 0.5) * plane.pitch_mm / knot_mm)[:, None] + 1.0 - np.arange(count)[None, :]
        far = np.abs(at)
        near = 2 / 3 - far**2 + far**3 / 2
        sides.append(np.where(far < 1, near, np.clip(2 - far, 0, None) ** 3 / 6).astype(np.float32))
    return np.asarray(sides[0] @ value @ sides[1].T / np.float32(0.48), dtype=np.float32)
