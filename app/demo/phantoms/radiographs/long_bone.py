"""Bones of arm and hand as a radiograph shows them: cortex, spongy inside, growth plates; broken and whole."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from app.demo.phantoms.radiographs.plane import Array, Box, Plane, box_of, edge

MU_CORTEX, MU_SPONGE = 0.052, 0.013  # above soft tissue, per mm, at 55 kV
_GRAIN_MM = 0.16


@dataclass(frozen=True, slots=True)
class Fracture:
    """A break of one bone.

    Attributes:
        kind: line, torus or greenstick.
        at_mm: Its distance from the bone's far end.
        slope: Of the line, mm along the bone for each mm across it.
        step_mm: Shift of the far fragment; height of a buckle.
        angle_deg: Bend of the far fragment.
        width_mm: Of the gap.
        depth: Share of the bone's attenuation that is missing in the gap.
        side: Which cortex breaks or buckles: -1, 1, or 0 for both.
    """

    kind: str
    at_mm: float
    slope: float
    step_mm: float
    angle_deg: float
    width_mm: float
    depth: float
    side: int


@dataclass(frozen=True, slots=True)
class LongBone:
    """A tubular bone.

    Attributes:
        end: (x, y) of its far end in the body's frame, mm.
        angle_deg: Turn of its axis from the body's y axis.
        levels: Distances from the far end, mm, rising.
        halves: Half widths there, mm.
        cortex: Thickness of the cortex there, mm.
        flat: Depth along the rays over width.
        density: Factor on all attenuation.
        slope: Of its far end: how much lower it lies for each mm across.
        arch: How much lower the corners of its far end lie than the middle, mm.
    """

    end: tuple[float, float]
    angle_deg: float
    levels: tuple[float, ...]
    halves: tuple[float, ...]
    cortex: tuple[float, ...]
    flat: float
    density: float
    slope: float = 0.0
    arch: float = 0.8


def grain(rng: np.random.Generator) -> Array:
    """A tile of trabecular texture, streaks along the first axis, mean 0, deviation 1."""
    tile = ndimage.gaussian_filter(rng.standard_normal((256, 256)), (7.0, 1.1), mode="wrap")
    tile += 0.7 * ndimage.gaussian_filter(rng.standard_normal((256, 256)), 1.3, mode="wrap") * 0.6
    return np.asarray(tile / tile.std(), dtype=np.float32)


def _textured(tile: Array, along: Array, across: Array) -> Array:
    """The tile's value at places in a bone, (rows, columns)."""
    row, column = (along / _GRAIN_MM).astype(np.int32) % 256, (across / _GRAIN_MM).astype(np.int32) % 256
    return tile[row, column]


def _axis(bone: LongBone, x: Array, y: Array) -> tuple[Array, Array]:
    """Distance along the bone from its far end, and across it."""
    angle = np.deg2rad(bone.angle_deg)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    dx, dy = x - np.float32(bone.end[0]), y - np.float32(bone.end[1])
    return c * dy - s * dx, c * dx + s * dy


def _break(fracture: Fracture, along: Array, across: Array) -> tuple[Array, Array]:
    """Move the far fragment, and say how far each point lies from the gap, mm along the bone."""
    jagged = 0.5 * np.sin(1.9 * across + 7 * fracture.slope) + 0.35 * np.sin(4.3 * across)
    gap = along - np.float32(fracture.at_mm) - np.float32(fracture.slope) * across - jagged.astype(np.float32)
    beyond = np.clip(-gap, 0, None)
    if fracture.kind == "torus":
        return across, gap
    shift = np.float32(fracture.step_mm) * (gap < 0) + np.float32(np.tan(np.deg2rad(fracture.angle_deg))) * beyond
    return across + shift, gap


def _gap_factor(fracture: Fracture, gap: Array, across: Array, half: Array) -> Array:
    """What is left of the attenuation around the gap; a buckle and an impaction are denser instead."""
    if fracture.kind == "torus":
        return np.asarray(1 + np.float32(0.10) * np.exp(-((gap / 1.6) ** 2)), dtype=np.float32)
    line = np.exp(-((gap / np.float32(fracture.width_mm)) ** 2))
    if fracture.side:
        line = line * edge(-np.float32(fracture.side) * across - 0.15 * half, 2.0)
    return np.asarray(1 - np.float32(fracture.depth) * line, dtype=np.float32)


def draw_long(bone: LongBone, plane: Plane, out: Array, tile: Array, fracture: Fracture | None = None) -> Box | None:
    """Add a bone's attenuation beyond soft tissue, in place; returns the box around its fracture, in pixels."""
    angle, length, reach = np.deg2rad(bone.angle_deg), bone.levels[-1], max(bone.halves) + 9.0
    tip = np.array(bone.end)
    foot = tip + length * np.array([-np.sin(angle), np.cos(angle)])
    window = plane.window(np.minimum(tip, foot) - reach, np.maximum(tip, foot) + reach)
    if window is None:
        return None
    along, across = _axis(bone, window.x, window.y)
    gap = np.zeros_like(along)
    if fracture is not None:
        across, gap = _break(fracture, along, across)
    half = np.interp(along, bone.levels, bone.halves).astype(np.float32)
    rim = np.interp(along, bone.levels, bone.cortex).astype(np.float32)
    if fracture is not None and fracture.kind == "torus":
        bulge = np.float32(fracture.step_mm) * np.exp(-((gap / 2.2) ** 2))
        half = half + bulge * np.where(fracture.side * across >= 0, np.float32(1), np.float32(0.25))
    below = along - np.float32(bone.slope) * across - np.float32(bone.arch) * (across / half) ** 2
    inside = edge(-below, 0.7) * edge(along - np.float32(length), 0.7)
    full = np.sqrt(np.maximum(half**2 - across**2, 0))
    core = np.sqrt(np.maximum(np.maximum(half - rim, 0.05) ** 2 - across**2, 0)) * edge(0.7 - below, 0.7)
    spongy = MU_SPONGE * (1 + 0.30 * _textured(tile, along, across))
    value = 2 * np.float32(bone.flat * bone.density) * (MU_CORTEX * (full - core) + spongy * core) * inside
    box = None
    if fracture is not None:
        value = value * _gap_factor(fracture, gap, across, half)
        reach_mm = 2.0 + (2.5 if fracture.kind == "torus" else abs(fracture.step_mm))
        site = (np.abs(gap) < reach_mm) & (full > 0) & (inside > 0.5)
        box = box_of(site, (window.rows.start, window.columns.start))
    out[window.place] += value.astype(np.float32)
    return box


def draw_block(  # noqa: PLR0917
    plane: Plane,
    out: Array,
    tile: Array,
    centre: tuple[float, float],
    axes: tuple[float, float, float],
    angle_deg: float,
    lobes: NDArray[np.float64],
    rim_mm: float,
    density: float = 1.0,
) -> None:
    """Add a short bone (carpal, epiphysis): a rounded block with a shell, in place.

    Args:
        plane: Where.
        out: Attenuation beyond soft tissue; changed.
        tile: Of `grain`.
        centre: (x, y), mm.
        axes: Half axes, mm; the third along the rays.
        angle_deg: Its turn.
        lobes: Amplitudes and phases of its outline's waves, (n, 2), from the second harmonic up.
        rim_mm: Thickness of the shell.
        density: Factor on all attenuation.
    """
    reach = 1.35 * max(axes[:2])
    window = plane.window((centre[0] - reach, centre[1] - reach), (centre[0] + reach, centre[1] + reach))
    if window is None:
        return
    c, s = np.float32(np.cos(np.deg2rad(angle_deg))), np.float32(np.sin(np.deg2rad(angle_deg)))
    dx, dy = window.x - np.float32(centre[0]), window.y - np.float32(centre[1])
    u, v = (c * dx + s * dy) / np.float32(axes[0]), (c * dy - s * dx) / np.float32(axes[1])
    around = np.arctan2(v, u)
    wave = sum(a * np.cos((k + 2) * around + p) for k, (a, p) in enumerate(lobes))
    radius = (np.abs(u) ** 2.6 + np.abs(v) ** 2.6) ** np.float32(1 / 2.6) / (1 + np.float32(1) * wave)
    inner = radius / np.float32(max(1 - rim_mm / min(axes[:2]), 0.3))
    full, core = np.sqrt(np.maximum(1 - radius**2, 0)), np.sqrt(np.maximum(1 - inner**2, 0))
    spongy = MU_SPONGE * (1 + 0.30 * _textured(tile, dy + 300, dx + 300))
    value = 2 * axes[2] * density * (0.55 * MU_CORTEX * (full - core) + spongy * core)
    out[window.place] += value.astype(np.float32)


def tapered(points: list[tuple[float, float, float]]) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """Levels, half widths and cortex from (level, half, cortex), with smooth steps between.

    Raises:
        ValueError: The levels do not rise.
    """
    if any(two[0] <= one[0] for one, two in pairwise(points)):
        raise ValueError(f"levels of a bone must rise, got {[point[0] for point in points]}")
    table = np.array(points)
    dense = np.linspace(table[0, 0], table[-1, 0], 60)
    columns = [np.interp(dense, table[:, 0], table[:, k]) for k in (1, 2)]
    smooth = [ndimage.gaussian_filter1d(column, 1.2, mode="nearest") for column in columns]
    return tuple(dense.tolist()), tuple(smooth[0].tolist()), tuple(smooth[1].tolist())
