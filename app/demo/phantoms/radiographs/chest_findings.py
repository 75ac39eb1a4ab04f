"""Nodules, masses and pneumothoraces in a chest."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from app.demo.phantoms.fields import stream
from app.demo.phantoms.radiographs.chest_body import MU_LUNG, MU_SOFT, Chest
from app.demo.phantoms.radiographs.plane import Array, Box, Plane, add_ellipsoid, box_of, smooth_noise
from app.demo.phantoms.radiographs.radiograph import LESION, PNEUMOTHORAX, Mark

AIR_MU = 0.0002


@dataclass(frozen=True, slots=True)
class Lesion:
    """A nodule (up to 30 mm) or mass.

    Attributes:
        centre: (x, y), mm.
        axes: Half axes, mm; the third along the rays.
        angle_deg: Turn in the plane.
        density: Its share of the difference between lung and soft tissue.
        softness: Width of its edge over its radius.
        spikes: Number of spicules.
        lobes: Depth of its lobulation over its radius.
    """

    centre: tuple[float, float]
    axes: tuple[float, float, float]
    angle_deg: float
    density: float
    softness: float
    spikes: int
    lobes: float

    @property
    def size_mm(self) -> float:
        """Largest diameter in the plane."""
        return 2 * max(self.axes[:2])


@dataclass(frozen=True, slots=True)
class Pneumothorax:
    """Air between lung and chest wall.

    Attributes:
        sign: -1 right, 1 left.
        width: Largest distance of the lung from the wall, mm.
        apical: Height of the lung's part that is off the wall, over the lung's height.
        lateral: Width at the side over the width at the top.
        collapse: How much denser the lung has become.
        line: Thickness of the pleural line, mm.
    """

    sign: int
    width: float
    apical: float
    lateral: float
    collapse: float
    line: float


def sample_findings(chest: Chest) -> tuple[int, Pneumothorax | None]:
    """Draw how many lesions there are, and whether there is a pneumothorax."""
    rng = stream(chest.seed, "findings")
    count = 0 if rng.random() < 0.55 else 1 + int(rng.choice([0, 0, 0, 1, 1, 2, 3]))
    return count, sample_pneumothorax(chest) if rng.random() < 0.28 else None


def sample_pneumothorax(chest: Chest) -> Pneumothorax:
    """Draw a pneumothorax: mostly a rim of 1 to 3.5 cm, now and then a large one with a collapsed lung."""
    rng = stream(chest.seed, "size of the pneumothorax")
    large = rng.random() < 0.12
    width = rng.uniform(38, 60) if large else rng.uniform(12, 36)
    apical = rng.uniform(0.9, 1.15) if large else rng.uniform(0.25, 0.95)
    return Pneumothorax(
        sign=int(rng.choice([-1, 1])),
        width=float(width),
        apical=float(apical),
        lateral=float(rng.uniform(0.35, 1.0)),
        collapse=float(rng.uniform(0.4, 0.9) if large else rng.uniform(0.0, 0.25)),
        line=float(rng.uniform(0.5, 1.1)),
    )


def sample_lesions(chest: Chest, count: int, plane: Plane, lung: Array) -> tuple[Lesion, ...]:
    """Draw lesions into places with lung enough, some of them behind heart or diaphragm."""
    rng = stream(chest.seed, "lesions")
    lesions: list[Lesion] = []
    whole = plane.whole()
    for number in range(count):
        mass = rng.random() < (0.25 if number == 0 else 0.1)
        radius = float(rng.uniform(15, 38) if mass else np.exp(rng.uniform(np.log(3.0), np.log(15.0))))
        room = (lung > max(30.0, 1.6 * radius)) & (np.abs(whole.x - np.float32(chest.turn)) > 28)
        for other in lesions:
            gap = other.size_mm / 2 + radius + 6
            room &= np.hypot(whole.x - other.centre[0], whole.y - other.centre[1]) > gap
        rows, columns = np.nonzero(room)
        if not len(rows):
            continue
        pick = int(rng.integers(len(rows)))
        at = rows[pick], columns[pick]
        radius = min(radius, float(lung[at]) / 2.0)
        flat = rng.uniform(0.7, 1.0)
        lesions.append(
            Lesion(
                centre=(float(whole.x[at]), float(whole.y[at])),
                axes=(radius, radius * float(flat), radius * float(rng.uniform(0.75, 1.0))),
                angle_deg=float(rng.uniform(0, 180)),
                density=float(rng.uniform(0.75, 1.0) if radius < 6 else rng.uniform(0.4, 0.9)),
                softness=float(rng.uniform(0.1, 0.5)),
                spikes=int(rng.integers(8, 22)) if rng.random() < 0.3 else 0,
                lobes=float(rng.uniform(0, 0.18)),
            )
        )
    return tuple(lesions)


def draw_lesion(lesion: Lesion, plane: Plane, out: Array, seed: int) -> Mark | None:
    """Add a lesion's attenuation; None where it lies outside the picture."""
    rng = stream(seed, f"lesion {lesion.centre}")
    reach = 1.9 * max(lesion.axes)
    x, y = lesion.centre
    window = plane.window((x - reach, y - reach), (x + reach, y + reach))
    if window is None:
        return None
    c, s = np.cos(np.deg2rad(lesion.angle_deg)), np.sin(np.deg2rad(lesion.angle_deg))
    dx, dy = window.x - np.float32(x), window.y - np.float32(y)
    u, v = (c * dx + s * dy) / lesion.axes[0], (c * dy - s * dx) / lesion.axes[1]
    around, radius = np.arctan2(v, u), np.hypot(u, v)
    bumps = sum(np.cos(k * around + rng.uniform(0, 6.3)) / k for k in (2, 3, 4, 5))
    radius = radius / (1 + np.float32(lesion.lobes) * bumps)
    soft = np.float32(lesion.softness)
    body = np.sqrt(np.maximum(1 - np.minimum(radius / (1 + 0.3 * soft), 1) ** 2, 0)) * np.clip(
        (1 + 0.3 * soft - radius) / soft, 0, 1
    )
    # Small nodules are denser than lung is on average around them, as vessels are: else the noise would hide them all.
    gain = lesion.density * (MU_SOFT - MU_LUNG) * (1.35 + 1.0 * np.exp(-max(lesion.axes[:2]) / 8))
    amount = 2 * lesion.axes[2] * body.astype(np.float32)
    if lesion.spikes:
        rays = np.zeros_like(amount)
        for _ in range(lesion.spikes):
            off = np.abs((around - rng.uniform(-np.pi, np.pi) + np.pi) % (2 * np.pi) - np.pi) * radius * lesion.axes[0]
            rays += (off < 0.8) * np.clip(rng.uniform(1.2, 1.75) - radius, 0, 0.5) * (radius > 0.7)
        amount += ndimage.gaussian_filter(rays.astype(np.float32), 0.6) * 4.0
    out[window.place] += np.float32(gain) * amount
    # The box follows the body of the lesion as readers draw it, not the tips of its spicules.
    box = box_of(body > 0.12, (window.rows.start, window.columns.start))
    if box is None:
        return None
    return Mark("mass" if lesion.size_mm > 30 else "nodule", LESION, box, round(lesion.size_mm, 1))


def _distance_to_wall(field: Array, sign: int, plane: Plane) -> Array:
    """How far each point of a lung lies from its outer and upper wall, mm; 0 outside that lung."""
    inside = field == (1 if sign < 0 else 2)
    if not inside.any():
        return np.zeros(plane.shape, dtype=np.float32)
    step = max(1, plane.rows // 384)
    small = inside[::step, ::step]
    window = plane.whole()
    x, y = window.x[::step, ::step] * sign, window.y[::step, ::step]
    # The wall is what lies outside this lung, but neither the mediastinum nor the diaphragm.
    innermost = np.where(small, x, np.inf).min()
    inner = np.where(small, x, np.inf).min(axis=1, keepdims=True)
    inner = np.where(np.isfinite(inner), inner, innermost)
    bottom = np.where(small, y, -np.inf).max(axis=0, keepdims=True)
    wall = ~small & ~((x <= inner + 2) & (y > y[small].min() + 6)) & ~((y >= bottom - 2) & np.isfinite(bottom))
    far = ndimage.distance_transform_edt(~wall).astype(np.float32) * step * plane.pitch_mm
    rows = np.clip((np.arange(plane.rows) / step), 0, small.shape[0] - 1)
    columns = np.clip((np.arange(plane.columns) / step), 0, small.shape[1] - 1)
    grid = np.meshgrid(rows, columns, indexing="ij")
    return np.asarray(ndimage.map_coordinates(far, grid, order=1) * inside, dtype=np.float32)


def pneumothorax_gap(found: Pneumothorax, chest: Chest, plane: Plane, field: Array) -> tuple[Array, Array]:
    """Distance of each point from the wall, and of the lung's surface from the wall at its height, mm."""
    rng = stream(chest.seed, "pneumothorax")
    far = _distance_to_wall(field, found.sign, plane)
    y = plane.whole().y
    down = (y + np.float32(chest.height / 2)) / np.float32(chest.height * found.apical)
    fade = np.clip(1.08 - down, 0, 1) ** np.float32(0.6)
    side = found.lateral + (1 - found.lateral) * np.clip(1 - 2.2 * down, 0, 1)
    wave = 1 + 0.07 * smooth_noise(rng, plane, 40.0)
    return far, np.asarray(found.width * fade * side * wave, dtype=np.float32)


def draw_pneumothorax(  # noqa: PLR0917
    found: Pneumothorax, chest: Chest, plane: Plane, attenuation: Array, vessels: Array, lung: Array, field: Array
) -> Mark | None:
    """Replace lung by air beyond the pleural line, in place; its vessels go, the rest of the lung may collapse.

    Args:
        found: What.
        chest: Of whom.
        plane: Of the picture.
        attenuation: Soft tissue and lung; changed.
        vessels: Their attenuation; changed.
        lung: Lengths of rays in lung, mm; becomes 0 where the air is, so that no lesion is put there.
        field: Outlines of the lungs.
    """
    far, gap = pneumothorax_gap(found, chest, plane, field)
    this = far > 0
    air = this & (far < gap) & (gap > 2.0)
    # Lung in front of and behind the air still lies in the ray: the rim is lucent, not black.
    open_share = np.clip((gap - far) / 8.0 + 0.5, 0, 0.92) * air
    attenuation -= np.asarray(open_share * lung * np.float32(MU_LUNG * (1 + chest.haze) - AIR_MU), dtype=np.float32)
    vessels *= 1 - air.astype(np.float32)
    rest = this & ~air
    attenuation += np.asarray(rest * np.float32(found.collapse * MU_LUNG * 0.6) * lung, dtype=np.float32)
    visible = this & (gap > 2.0)
    off = np.abs(far - gap)
    pleura = np.clip(1.2 - off / np.float32(max(found.line, 0.6 * plane.pitch_mm)), 0, 1) * visible
    attenuation += np.asarray(pleura * np.float32(0.085), dtype=np.float32)
    box = _largest(air, lung)
    lung[air] = 0
    if box is None:
        return None
    return Mark("pneumothorax", PNEUMOTHORAX, box, round(float(gap[air].max()), 1))


def _largest(air: NDArray[np.bool_], lung: Array) -> Box | None:
    """The box around the largest connected part of the air that lies before lung."""
    parts, count = ndimage.label(air & (lung > 5))
    if not count:
        return None
    sizes = np.bincount(parts.ravel())[1:]
    return box_of(parts == 1 + int(sizes.argmax()))


def draw_granulomas(chest: Chest, plane: Plane, out: Array, lung: Array) -> int:
    """Calcified granulomas: small, round and denser than any nodule of their size. Returns how many."""
    rng = stream(chest.seed, "granulomas")
    if rng.random() > 0.22:
        return 0
    rows, columns = np.nonzero(lung > 40)
    count = int(rng.integers(1, 5)) if len(rows) else 0
    window = plane.whole()
    for _ in range(count):
        at = int(rng.integers(len(rows)))
        centre = float(window.x[rows[at], columns[at]]), float(window.y[rows[at], columns[at]])
        size = rng.uniform(1.0, 2.6)
        add_ellipsoid(plane, out, centre, (size, size * 0.9, size), 0.065)
    return count
