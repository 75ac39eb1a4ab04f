"""Ribs, clavicles, scapulae, shoulders and spine of a frontal chest radiograph."""

import numpy as np
from numpy.typing import NDArray

from app.demo.phantoms.fields import stream
from app.demo.phantoms.radiographs.chest_body import Chest, half_widths
from app.demo.phantoms.radiographs.plane import Array, Plane, add_ellipsoid, curve, draw_tube, edge, smooth_noise, tube

MU_CORTEX, MU_SPONGE = 0.030, 0.010  # above soft tissue, per mm


def _shell(across: Array, rim: float) -> Array:
    """Share of the full depth that a ray has in the cortex and, lightly, in the marrow of an oval bone.

    Args:
        across: Distance from the middle over the half height; 1 at the edge.
        rim: Thickness of the cortex over the half height.
    """
    full = np.sqrt(np.maximum(1 - across**2, 0))
    inner = (1 - rim) * np.sqrt(np.maximum(1 - (across / np.float32(1 - rim)) ** 2, 0))
    return np.asarray(full - inner + np.float32(0.22) * inner, dtype=np.float32)


def _rib(  # noqa: PLR0917
    chest: Chest, plane: Plane, out: Array, rng: np.random.Generator, sign: int, y0: float, drop: float, share: float
) -> None:
    """One rib: its arc behind, from the spine to the side, and its arc in front down to the cartilage."""
    height, depth = rng.uniform(5.2, 7.0) * (0.8 + 0.2 * share), rng.uniform(5.5, 8.0)
    side = np.array([[y0 + 0.45 * drop]], dtype=np.float32)
    width = float(half_widths(chest, side)[0][0, 0]) + 4.0
    hump, strength = rng.uniform(3, 9), rng.uniform(0.75, 1.15) * (0.6 if share == 0 else 1)
    stop = rng.uniform(0.40, 0.58)
    for front in (False, True):
        low, high = (stop * width if front else 17.0), width
        window = plane.window(
            (min(sign * low, sign * high) - 8, y0 - 30), (max(sign * low, sign * high) + 8, y0 + drop + 30)
        )
        if window is None:
            continue
        x = np.float32(sign) * (window.x - np.float32(0.3 * chest.turn * (-1 if front else 1)))
        local = half_widths(chest, window.y)[0] + np.float32(4)
        angle = np.arcsin(np.clip(x / local, 0, 1))
        around = np.float32(np.pi) - angle if front else angle
        turn = around / np.float32(np.pi)
        middle = (
            np.float32(y0) + np.float32(drop) * (turn**1.15) - np.float32(hump) * np.sin(np.minimum(2 * around, np.pi))
        )
        slope = np.float32(drop / np.pi / width) / np.maximum(np.cos(angle), 0.06)
        across = (window.y - middle) / np.sqrt(1 + slope**2) / np.float32(height * (0.92 if front else 1))
        chord = np.float32(2 * depth) * _shell(across, 0.22) / np.maximum(np.cos(angle), 0.42)
        chord *= edge(np.maximum(np.float32(low) - x, x - local), 2.0)
        out[window.place] += np.float32(MU_CORTEX * strength * (0.55 if front else 0.85)) * chord


def _ribs(chest: Chest, plane: Plane, out: Array) -> None:
    rng = stream(chest.seed, "ribs")
    count = int(rng.integers(10, 13))
    first, step = -chest.height / 2 - rng.uniform(-4, 10), (chest.height + 50) / rng.uniform(9.6, 10.8)
    steep = rng.uniform(0.75, 1.25)
    for index in range(count):
        share = index / (count - 1)
        drop = steep * (52 + 62 * share**0.8)
        for sign in (-1, 1):
            y0 = first + step * index * (0.88 + 0.12 * share) + rng.normal(0, 1.2)
            _rib(chest, plane, out, rng, sign, y0, 0.75 * drop if index == 0 else drop, share)
        if chest.age > 55 and 0 < index < 9 and rng.random() < 0.5:
            _cartilage(chest, plane, out, rng, first + step * index + drop)


def _cartilage(chest: Chest, plane: Plane, out: Array, rng: np.random.Generator, y: float) -> None:
    """Calcified rib cartilage: rows of specks between the end of a rib and the breastbone."""
    for sign in (-1, 1):
        for _ in range(int(rng.integers(2, 9))):
            centre = (sign * rng.uniform(28, 0.45 * chest.half_width + 8), y + rng.normal(0, 4))
            size = rng.uniform(0.8, 3.0)
            add_ellipsoid(plane, out, centre, (size, size * rng.uniform(0.5, 1.2), size), MU_CORTEX * 0.9)


def bone_tube(  # noqa: PLR0917
    plane: Plane, out: Array, line: NDArray[np.float64], radii: NDArray[np.float64], rim: float, gain: float = 1.0
) -> None:
    """Add a tube with a cortex of `rim` mm and spongy inside."""
    drawn = tube(plane, line, radii)
    if drawn is None:
        return
    window, whole = drawn
    inner = np.zeros_like(whole)
    draw_tube(plane, inner, line, np.maximum(radii - rim, 0.1), (window.rows.start, window.columns.start))
    out[window.place] += np.float32(gain * MU_CORTEX) * (whole - inner) + np.float32(gain * MU_SPONGE) * inner


def _shoulders(chest: Chest, plane: Plane, out: Array) -> None:
    """Clavicles, scapulae and the heads of the upper arms; in AP pictures the scapulae lie over the lungs."""
    rng = stream(chest.seed, "shoulders")
    top, portable = -chest.height / 2, chest.view == "AP"
    high = rng.uniform(-8, 10) + (-14 if portable else 8)
    tilt = rng.uniform(-6, 26) * (1 if not portable else 0.3)
    for sign in (-1, 1):
        inner = (sign * 17 + 0.9 * chest.turn, top + 34 + high + rng.normal(0, 2))
        outer = (sign * (chest.half_width + chest.wall * 0.6 + 20), inner[1] - 14 - tilt)
        middle = ((0.65 * inner[0] + 0.35 * outer[0]), 0.65 * inner[1] + 0.35 * outer[1] + 5)
        bend = (0.3 * inner[0] + 0.7 * outer[0], 0.3 * inner[1] + 0.7 * outer[1] - 6)
        line = curve([inner, middle, bend, outer], 24)
        radii = np.interp(np.linspace(0, 1, 24), [0, 0.12, 0.5, 0.9, 1], [8.5, 6.6, 5.6, 6.5, 7.2]) * rng.uniform(
            0.9, 1.1
        )
        bone_tube(plane, out, line, radii, 1.8, 1.15)
        joint = (outer[0] - sign * 4, outer[1] + 26)
        inward = rng.uniform(-0.02, 0.10) if portable else rng.uniform(-0.20, -0.05)
        blade = [
            joint,
            (chest.half_width * sign * (0.92 - inward), top + 150),
            (sign * chest.half_width * (0.62 - inward), top + 55),
        ]
        blade = [*blade, (joint[0] - sign * 20, joint[1] - 12), joint]
        edges = curve(blade, 60)
        bone_tube(plane, out, edges, np.full(60, 2.6), 1.0, 1.1)
        arm = [
            (joint[0] + sign * 22, joint[1] + 6),
            (joint[0] + sign * 34, joint[1] + 60),
            (joint[0] + sign * 52, joint[1] + 280),
        ]
        bone_tube(plane, out, np.array(arm), np.array([22.0, 13.0, 11.0]), 3.0, 0.8)


def _spine(chest: Chest, plane: Plane, out: Array) -> None:
    rng = stream(chest.seed, "spine")
    bend = rng.normal(0, 5)
    y, step, half = -chest.height / 2 - 95.0, 19.0, 13.0
    while y < chest.height / 2 + 190:
        x = bend * np.sin((y + chest.height / 2) / 110) + 0.2 * chest.turn
        window = plane.window((x - 40, y - 16), (x + 40, y + 16))
        if window is not None:
            dx, dy = np.abs(window.x - np.float32(x)), np.abs(window.y - np.float32(y))
            waist = np.float32(half) - 1.5 * edge(dy - 5, 8)
            box = edge(np.maximum(dx - waist, dy - np.float32(step * 0.41)), 2.2)
            rim = box * (1 - edge(np.maximum(dx - waist + 2, dy - np.float32(step * 0.41 - 1.8)), 1.5))
            part = 0.10 * box + 0.07 * rim
            for sign in (-1, 1):
                eye = ((window.x - np.float32(x + sign * half * 0.62)) / 3.2) ** 2 + (
                    (window.y - np.float32(y - 2)) / 4.6
                ) ** 2
                part += 0.08 * np.exp(-((eye - 1) ** 2) * 3)
                wing = edge(np.hypot((dx - half - 7) / 10, (window.y - np.float32(y - 3)) / 4.0) - 1, 0.4)
                part += 0.05 * wing
            part += 0.10 * edge(
                np.hypot((window.x - np.float32(x)) / 2.8, (window.y - np.float32(y + 5)) / 6.0) - 1, 0.4
            )
            out[window.place] += part.astype(np.float32)
        y, step, half = y + step, step * 1.025, half * 1.022


def draw_bones(chest: Chest, plane: Plane) -> Array:
    """What bones attenuate more than soft tissue, (rows, columns)."""
    out = np.zeros(plane.shape, dtype=np.float32)
    _ribs(chest, plane, out)
    _shoulders(chest, plane, out)
    _spine(chest, plane, out)
    rng = stream(chest.seed, "bone texture")
    porous = 1 - 0.004 * max(chest.age - 50, 0)
    return np.asarray(out * np.float32(porous) * (1 + 0.10 * smooth_noise(rng, plane, 1.6)), dtype=np.float32)
