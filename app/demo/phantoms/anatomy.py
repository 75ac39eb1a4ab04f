"""A head without disease, described by a handful of numbers, and the surfaces of its parts on a grid.

Positions are in the head's own frame in millimetres: x to the left, y to the back, z to the top, origin in the middle
of the brain. Nothing here is measured from a patient: sizes and densities are textbook values (Barkovich, Pediatric
Neuroimaging, and Osborn's Brain give 37-41 HU for grey and 27-32 HU for white matter).
"""

from dataclasses import dataclass, replace

import numpy as np

from app.demo.phantoms.fields import Array, Grid, cover, smooth_field, stream


@dataclass(frozen=True, slots=True)
class Head:
    """One head.

    Attributes:
        seed: Of every random field drawn for this head.
        age: Years; drives `atrophy`.
        atrophy: 0 to 1: widens sulci, cisterns and ventricles.
        axes_mm: Half axes of the cranial cavity (x, y, z).
        skull_mm, scalp_mm: Mean thickness.
        cortical_hu, diploe_hu: Compact and spongy bone.
        grey_hu, white_hu, csf_hu, dura_hu, blood_hu: Soft tissues; blood is that of the venous sinuses.
        ventricle_mm: Added to the radius of the lateral ventricles, left and right.
        warp_mm: Amplitude of the smooth deformation that makes the head asymmetric.
        hair: 0 to 1.
    """

    seed: int
    age: float
    atrophy: float
    axes_mm: tuple[float, float, float]
    skull_mm: float
    scalp_mm: float
    cortical_hu: float
    diploe_hu: float
    grey_hu: float
    white_hu: float
    csf_hu: float
    dura_hu: float
    blood_hu: float
    ventricle_mm: tuple[float, float]
    warp_mm: float
    hair: float


def sample_head(seed: int) -> Head:
    """Draw a head; the same seed gives the same head, bit for bit."""
    rng = stream(seed, "head")
    age = float(rng.uniform(18, 92))
    atrophy = float(np.clip((age - 35) / 75 + rng.normal(0, 0.12), 0, 1))
    size = rng.normal(1, 0.035)
    axes = tuple(float(axis * size * rng.normal(1, 0.025)) for axis in (66, 83, 70))
    ventricle = rng.normal(-1.0 + 5 * atrophy, 0.9)
    return Head(
        seed=seed,
        age=age,
        atrophy=atrophy,
        axes_mm=(axes[0], axes[1], axes[2]),
        skull_mm=float(rng.uniform(4.8, 8.5)),
        scalp_mm=float(rng.uniform(3.5, 8)),
        cortical_hu=float(rng.uniform(1150, 1650)),
        diploe_hu=float(rng.uniform(450, 850)),
        grey_hu=float(rng.uniform(37, 41)),
        white_hu=float(rng.uniform(27.5, 31.5)),
        csf_hu=float(rng.uniform(4, 9)),
        dura_hu=float(rng.uniform(48, 58)),
        blood_hu=float(rng.uniform(46, 60)),
        ventricle_mm=(float(ventricle + rng.normal(0, 0.7)), float(ventricle + rng.normal(0, 0.7))),
        warp_mm=float(rng.uniform(1.5, 3.5)),
        hair=float(rng.uniform(0, 1)),
    )


@dataclass(frozen=True, slots=True)
class Frame:
    """Where every voxel of the grid lies in the undeformed head.

    Attributes:
        grid: The grid.
        z, y, x: Position of each voxel in the undeformed head, mm; shape of the grid.
        depth: Signed distance to the inner surface of the skull, mm, positive inside the cranial cavity. A first-order
            approximation, good to a millimetre within 30 mm of the surface.
    """

    grid: Grid
    z: Array
    y: Array
    x: Array
    depth: Array


def cut(frame: Frame, part: tuple[slice, slice, slice]) -> Frame:
    """The arrays of a frame within a window, as views; its grid stays the whole one."""
    return replace(frame, z=frame.z[part], y=frame.y[part], x=frame.x[part], depth=frame.depth[part])


def ellipsoid(frame: Frame, center: tuple[float, float, float], axes: tuple[float, float, float]) -> Array:
    """Signed distance to an ellipsoid (first order), negative inside; centre and half axes as (x, y, z), mm."""
    return ellipsoid_distance(frame.x - center[0], frame.y - center[1], frame.z - center[2], axes)


def ellipsoid_distance(x: Array, y: Array, z: Array, axes: tuple[float, float, float]) -> Array:
    """First-order signed distance of points relative to the centre of an ellipsoid with these half axes, mm."""
    u, v, w = x / np.float32(axes[0]), y / np.float32(axes[1]), z / np.float32(axes[2])
    radius = np.sqrt(u * u + v * v + w * w) + np.float32(1e-3)
    u /= np.float32(axes[0])
    v /= np.float32(axes[1])
    w /= np.float32(axes[2])
    slope = np.sqrt(u * u + v * v + w * w) + np.float32(1e-5)
    return np.asarray((radius - 1) * radius / slope, dtype=np.float32)


def _base_height(x: Array, y: Array) -> Array:
    """Height of the floor of the anterior and middle fossae, and of the tentorium behind them, mm."""
    anterior = cover(y + 24, 12.0)
    posterior = 1 - cover(y - 16, 14.0)
    central = cover(np.abs(x) - 15, 10.0)
    middle = -43 + 12 * central
    return np.asarray(anterior * -24 + posterior * -16 + (1 - anterior - posterior) * middle, dtype=np.float32)


def cavity_depth(head: Head, x: Array, y: Array, z: Array) -> Array:
    """Depth below the inner surface of the skull, positive inside, mm."""
    cerebrum = np.maximum(ellipsoid_distance(x, y, z, head.axes_mm), _base_height(x, y) - z)
    posterior_axes = (0.77 * head.axes_mm[0], 0.50 * head.axes_mm[1], 34.0)
    posterior = ellipsoid_distance(x, y - np.float32(0.46 * head.axes_mm[1]), z + 40, posterior_axes)
    return np.asarray(-np.minimum(cerebrum, posterior), dtype=np.float32)


def frame_of(head: Head, grid: Grid) -> Frame:
    """Deform the grid smoothly, and measure the depth below the skull everywhere."""
    rng = stream(head.seed, "warp")
    bend = [smooth_field(rng, grid, 48.0) for _ in range(3)]
    axes = [grid.axis(0)[:, None, None], grid.axis(1)[None, :, None], grid.axis(2)[None, None, :]]
    z, y, x = (axis + np.float32(head.warp_mm) * field for axis, field in zip(axes, bend, strict=True))
    return Frame(grid, z, y, x, cavity_depth(head, x, y, z))
