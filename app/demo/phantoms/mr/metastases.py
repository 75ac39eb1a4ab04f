"""Metastases: how many, how large, where, and how they look; all sizes in millimetres."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.demo.phantoms.fields import Array, stream
from app.demo.phantoms.mr.scan import Scan
from app.demo.phantoms.mr.scene import Scene, cerebellum

MIN_DIAMETER_MM, MAX_DIAMETER_MM = 2.0, 30.0
_RING_FROM_MM, _OEDEMA_FROM_MM = 6.0, 7.0
_APART_MM = 4.0
_MASK_FRACTION = 0.5
Points = NDArray[np.float64]
_DIRECTIONS = np.array([(a, b, c) for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1) if a or b or c], float)
_DIRECTIONS /= np.linalg.norm(_DIRECTIONS, axis=1, keepdims=True)


@dataclass(frozen=True, slots=True)
class Metastasis:
    """One metastasis: a ball with a wavy surface.

    Attributes:
        kind: Solid, or a ring of enhancement around a dead middle.
        center_mm: In the head's frame (x, y, z).
        diameter_mm: Of the ball before its surface is made wavy.
        signal: Of what enhances, in units of white matter.
        rim_mm: Thickness of a ring.
        core: Signal of the dead middle of a ring.
        oedema_mm: How far the surrounding white matter is swollen and dark; 0 for none.
        waves: (n, 5): direction times frequency (3), phase and amplitude of the surface's waves.
    """

    kind: Literal["solid", "ring"]
    center_mm: tuple[float, float, float]
    diameter_mm: float
    signal: float
    rim_mm: float
    core: float
    oedema_mm: float
    waves: tuple[tuple[float, float, float, float, float], ...]


def sample_diameters(seed: int, count: int) -> list[float]:
    """Draw diameters, largest first: half of all metastases are smaller than about 6 mm."""
    rng = stream(seed, "mr diameters")
    drawn = np.exp(rng.normal(np.log(6.0), 0.62, count))
    return sorted((float(d) for d in np.clip(drawn, MIN_DIAMETER_MM, MAX_DIAMETER_MM)), reverse=True)


def sample_count(seed: int) -> int:
    """Draw how many: none in half of the heads, else 1 to 10, mostly few."""
    rng = stream(seed, "mr presence")
    if rng.random() < 0.5:
        return 0
    return int(np.clip(1 + rng.geometric(0.38) - 1, 1, 10))


def _weights(scene: Scene) -> Array:
    """How likely a metastasis starts in each voxel: at the border of grey and white, sometimes in the cerebellum."""
    border = 4 * scene.grey * (1 - scene.grey) * (scene.frame.depth > 3) + np.float32(0.02)
    below = cerebellum(scene.frame)
    stem = (np.abs(scene.frame.x) < 12) & (scene.frame.z < -18) & (scene.frame.y < 22)
    weight = border * (1 - below) + 0.27 * below * (1 - 0.5 * scene.grey)
    weight *= (scene.inside > 0.99) * np.clip(1 - 2 * scene.fluid, 0, 1) * (1 - 0.85 * stem)
    return np.asarray(weight * (scene.sinuses < 0.01), dtype=np.float32)


def _appearance(rng: np.random.Generator, diameter: float, center: Points) -> Metastasis:
    ring = diameter > _RING_FROM_MM and rng.random() < 0.3 + 0.5 * min(1.0, (diameter - _RING_FROM_MM) / 10)
    swollen = diameter > _OEDEMA_FROM_MM and rng.random() < 0.75
    waves = []
    for _ in range(5):
        direction = rng.normal(size=3)
        direction *= float(rng.uniform(1.5, 3.5)) / np.linalg.norm(direction)
        amplitude = float(rng.uniform(0.02, 0.1))
        a, b, c = (float(value) for value in direction)
        waves.append((a, b, c, float(rng.uniform(0, 2 * np.pi)), amplitude))
    return Metastasis(
        kind="ring" if ring else "solid",
        center_mm=(float(center[0]), float(center[1]), float(center[2])),
        diameter_mm=diameter,
        signal=float(rng.uniform(1.25, 1.95)),
        rim_mm=float(np.clip(diameter * rng.uniform(0.1, 0.22), 1.2, 4.5)),
        core=float(rng.uniform(0.3, 0.85)),
        oedema_mm=float(rng.uniform(3, 9) + 0.3 * diameter) if swollen else 0.0,
        waves=tuple(waves),
    )


def _fits(scene: Scene, index: NDArray[np.intp], diameter: float) -> bool:
    """Whether a ball around a voxel stays in the brain: under the skull, out of ventricles, on its side of the falx."""
    frame = scene.frame
    if frame.depth[tuple(index)] <= 0.62 * diameter + 1.0:
        return False
    around = np.rint(index + 0.45 * diameter / frame.grid.pitch_mm * _DIRECTIONS).astype(int)
    around = np.clip(around, 0, np.array(frame.grid.shape) - 1)
    places = tuple(around.T)
    across = (np.sign(frame.x[places]) != np.sign(frame.x[tuple(index)])) & (frame.z[places] > 14)
    full = (scene.ventricles[places] > 0.3) | (scene.sinuses[places] > 0.1) | across
    return not bool(full.any())


def sample_metastases(scene: Scene, diameters: list[float]) -> tuple[Metastasis, ...]:
    """Place metastases of these diameters, wholly inside the skull and apart from each other.

    Raises:
        ValueError: There is no room for one of them.
    """
    rng = stream(scene.head.seed, "metastases")
    grid = scene.frame.grid
    flat = _weights(scene).ravel()
    places = np.flatnonzero(flat > 0)
    total = np.cumsum(flat[places], dtype=np.float64)
    placed: list[Metastasis] = []
    for diameter in diameters:
        for _ in range(400):
            chosen = places[min(int(np.searchsorted(total, rng.random() * total[-1])), len(places) - 1)]
            index = np.array(np.unravel_index(int(chosen), grid.shape))
            center = (np.array(grid.origin_mm) + grid.pitch_mm * (index + rng.uniform(-0.5, 0.5, 3)))[::-1]
            if _fits(scene, index, diameter) and all(
                np.linalg.norm(center - other.center_mm) > 0.62 * (diameter + other.diameter_mm) + _APART_MM
                for other in placed
            ):
                placed.append(_appearance(rng, diameter, center))
                break
        else:
            raise ValueError(f"seed {scene.head.seed}: no room for a metastasis of {diameter:.1f} mm in this head")
    return tuple(placed)


def swell(scene: Scene, metastases: tuple[Metastasis, ...]) -> None:
    """Darken white matter around metastases with oedema, in place; it creeps along white matter and spares cortex."""
    frame = scene.frame
    for one in metastases:
        if not one.oedema_mm:
            continue
        reach = one.diameter_mm / 2 + 1.7 * one.oedema_mm
        (x, y, z) = one.center_mm
        part = frame.grid.window((z - reach, y - reach, x - reach), (z + reach, y + reach, x + reach))
        axes = [frame.grid.axis(index)[part[index]] for index in range(3)]
        away = np.sqrt(
            (axes[0][:, None, None] - z) ** 2 + (axes[1][None, :, None] - y) ** 2 + (axes[2][None, None, :] - x) ** 2
        )
        wave = 0.35 * np.sin((axes[0] * 0.21)[:, None, None] + (axes[1] * 0.27)[None, :, None] + axes[2] * 0.24)
        share = np.clip((one.diameter_mm / 2 + one.oedema_mm * (1 + wave) - away) / 4, 0, 1)
        white = scene.inside[part] * (1 - scene.grey[part]) * (1 - scene.fluid[part])
        scene.signal[part] *= 1 - np.float32(0.32) * share * white


def _surface(one: Metastasis, to_head: Points, offset_mm: tuple[Array, Array, Array]) -> Array:
    """Signed distance to the surface (to first order), mm, negative inside, of points given along the array's axes."""
    d0, d1, d2 = offset_mm
    away = np.sqrt(d0 * d0 + d1 * d1 + d2 * d2) + np.float32(1e-4)
    radius = np.ones_like(away)
    for *wave, phase, amplitude in one.waves:
        a, b, c = (np.array(wave) @ to_head).astype(np.float32)
        radius += np.float32(amplitude) * np.sin((a * d0 + b * d1 + c * d2) / away + np.float32(phase))
    return np.asarray(away - np.float32(one.diameter_mm / 2) * radius, dtype=np.float32)


def paint(volume: Array, mask: NDArray[np.uint8], number: int, one: Metastasis, scan: Scan) -> None:
    """Draw a metastasis into a scan, in place, with the partial volume of eight points a voxel.

    Args:
        volume: (slices, rows, columns), in units of white matter.
        mask: Same shape; receives `number` where the metastasis, dead middle and all, fills half of a voxel, or in the
            voxel it fills most where there is none such.
        number: 1 to 255.
        one: What to draw.
        scan: Where the voxels lie.
    """
    spacing = scan.spacing_mm
    middle = scan.to_index(np.array([one.center_mm]))[0]
    reach = 0.75 * one.diameter_mm / spacing + 2
    low = np.maximum(np.floor(middle - reach).astype(int), 0)
    high = np.minimum(np.ceil(middle + reach).astype(int) + 1, scan.shape)
    if np.any(high <= low):
        return
    part = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    to_head = scan.pose.T @ (scan.affine_lps[:3, :3] / spacing)
    amount = np.zeros(tuple(int(n) for n in high - low), dtype=np.float32)
    light = np.zeros_like(amount)
    phase = one.waves[0][3] if one.waves else 0.0
    for shift in np.ndindex(2, 2, 2):
        lines = [
            ((np.arange(a, b) + 0.5 * s - 0.25 - m) * step).astype(np.float32)
            for a, b, s, m, step in zip(low, high, shift, middle, spacing, strict=True)
        ]
        mesh = np.meshgrid(*lines, indexing="ij")
        distance = _surface(one, to_head, (mesh[0], mesh[1], mesh[2]))
        within = np.clip(0.5 - distance / np.float32(spacing.min() / 2), 0, 1) / 8
        rim = np.float32(one.rim_mm) * (1 + 0.45 * np.sin(mesh[0] * 0.31 + mesh[1] * 0.37 + mesh[2] * 0.28))
        dead = np.clip((-distance - rim) / np.float32(0.6), 0, 1) if one.kind == "ring" else 0.0
        amount += within
        grain = np.sin(mesh[0] * 0.9 + phase) * np.sin(mesh[1] * 0.8 + 2 * phase) * np.sin(mesh[2] * 0.7 + 3 * phase)
        light += within * (one.signal + dead * (one.core - one.signal)) * (1 + np.float32(0.13) * grain)
    volume[part] += light - amount * volume[part]
    inside = amount >= _MASK_FRACTION
    if not inside.any():
        inside = amount == amount.max()
    mask[part][inside] = number
