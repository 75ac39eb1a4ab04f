"""Which bones a child's wrist shows at an age, and where they lie in the PA and the lateral projection.

Frame: x to the thumb's side (PA) or to the palm (lateral), y towards the elbow, 0 at the joint, in mm of an adult.
"""

from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from app.demo.phantoms.fields import stream
from app.demo.phantoms.radiographs.long_bone import Fracture, LongBone, draw_block, draw_long, grain, tapered
from app.demo.phantoms.radiographs.plane import Array, Box, Plane, edge

# Name: years at which it shows, PA centre, PA half axes, PA turn, lateral centre, lateral half axes.
_CARPALS = MappingProxyType(
    {
        "capitate": (0.2, (1, -20), (6.3, 10.0), 2, (1, -19), (6.5, 9.5)),
        "hamate": (0.3, (-9.5, -21), (6.2, 8.2), 18, (-1, -20), (7.0, 8.0)),
        "triquetrum": (2.5, (-11, -11), (6.2, 5.0), 35, (-5, -10), (5.5, 6.5)),
        "lunate": (3.5, (1, -7.5), (6.8, 5.6), 0, (0, -8), (6.5, 6.5)),
        "scaphoid": (5.0, (13.5, -9.5), (8.6, 5.4), -48, (5, -12), (5.0, 9.0)),
        "trapezium": (5.2, (19, -21.5), (6.2, 5.8), 20, (9, -24), (6.0, 6.0)),
        "trapezoid": (5.6, (10.5, -22), (4.8, 4.8), 0, (4, -24), (4.5, 5.0)),
        "pisiform": (10.0, (-12, -10), (4.0, 4.0), 0, (10, -10), (4.5, 4.0)),
    }
)
# Base and head of each metacarpal: PA, then lateral.
_METACARPALS = (
    ((23, -27), (44, -62), (14, -30), (34, -58)),
    ((11, -31), (19, -92), (1, -32), (-2, -94)),
    ((2, -32), (4, -96), (-1, -33), (-5, -96)),
    ((-6.5, -31), (-10, -88), (-2, -32), (-4, -88)),
    ((-14, -29), (-23, -80), (-1, -30), (0, -80)),
)


@dataclass(frozen=True, slots=True)
class Wrist:
    """One child's wrist in one projection.

    Attributes:
        seed: Of everything drawn at random in it.
        age: Years.
        scale: Size over an adult's.
        projection: PA or LATERAL.
        closing: Age at which the growth plates close.
        density: Factor on the bones' attenuation.
    """

    seed: int
    age: float
    scale: float
    projection: str
    closing: float
    density: float

    @property
    def plate_mm(self) -> float:
        """Width of the growth plate; 0 when closed."""
        return 0.0 if self.age >= self.closing else 0.9 + 1.3 * (self.closing - self.age) / 16


def _outline(rng: np.random.Generator, amount: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.stack([rng.normal(0, amount, 4) / np.arange(1, 5), rng.uniform(0, 2 * np.pi, 4)], axis=1)


def forearm(wrist: Wrist) -> dict[str, LongBone]:
    """Radius and ulna down from their growth plates; drawn alike in health and fracture."""
    rng = stream(wrist.seed, "forearm")
    g, lateral = wrist.scale * rng.uniform(0.93, 1.07), wrist.projection == "LATERAL"
    flare = rng.uniform(0.92, 1.1)
    wide = (9.5 if lateral else 14.3) * g * flare
    shaft = rng.uniform(5.6, 6.8) * g
    length = 190.0 * g
    points = [(0, wide * 0.93, 0.5), (2.5 * g, wide, 0.55), (10 * g, wide * 0.86, 0.8), (26 * g, shaft * 1.22, 1.5 * g)]
    points += [(48 * g, shaft, 2.5 * g), (length, shaft * 1.05, 2.9 * g)]
    levels, halves, cortex = tapered(points)
    top = 8.0 * g if wrist.plate_mm else 1.0 * g
    x = 0.0 if lateral else 12.0 * g
    radius = LongBone(
        (x, top), float(rng.normal(-3 if not lateral else 0, 1.5)), levels, halves, cortex, 0.75, wrist.density
    )
    if not wrist.plate_mm:
        radius = replace(radius, slope=-0.05 if lateral else -0.24, arch=-1.5 * g)
    head, thin = (6.3 if lateral else 7.6) * g, rng.uniform(4.6, 5.6) * g
    points = [(0, head * 0.9, 0.5), (2 * g, head, 0.6), (9 * g, head * 0.86, 0.8), (22 * g, thin * 1.08, 1.6 * g)]
    points += [(40 * g, thin, 2.3 * g), (length, thin * 1.1, 2.6 * g)]
    levels, halves, cortex = tapered(points)
    x = rng.uniform(-5, 3) * g if lateral else -14.5 * g
    drop = (9.5 if wrist.plate_mm else 3.5) * g + rng.normal(0, 1.2) * g
    ulna = LongBone(
        (x, drop), float(rng.normal(2 if not lateral else 0, 2)), levels, halves, cortex, 0.9, wrist.density
    )
    return {"radius": radius, "ulna": ulna}


def _epiphyses(wrist: Wrist, plane: Plane, out: Array, tile: Array, bones: dict[str, LongBone]) -> None:
    rng = stream(wrist.seed, "epiphyses")
    for name, onset, height in (("radius", 1.0, 3.9), ("ulna", 6.0, 3.0)):
        if wrist.age < onset or not wrist.plate_mm:
            continue
        bone = bones[name]
        share = min(0.45 + 0.55 * (wrist.age - onset) / 7, 1.0)
        wide, high = max(bone.halves[:6]) * share, height * wrist.scale * (0.7 + 0.3 * share)
        angle = np.deg2rad(bone.angle_deg)
        up = wrist.plate_mm + high
        centre = (bone.end[0] + up * np.sin(angle), bone.end[1] - up * np.cos(angle))
        turn = bone.angle_deg + (rng.uniform(-14, -6) if name == "radius" and wrist.projection == "PA" else 0)
        axes = (wide, high, wide * (0.62 if wrist.projection == "PA" else 1.3))
        draw_block(plane, out, tile, centre, axes, turn, _outline(rng, 0.04), 0.9, wrist.density)


def _carpals(wrist: Wrist, plane: Plane, out: Array, tile: Array) -> None:
    rng = stream(wrist.seed, "carpals")
    lateral, g = wrist.projection == "LATERAL", wrist.scale
    for onset, place, axes, turn, side_place, side_axes in _CARPALS.values():
        grown = 0.4 + 0.6 * min(max(wrist.age - onset, 0) / 7, 1)
        shape = _outline(rng, 0.06)
        shift = rng.normal(0, 0.9, 2)
        angle, late = rng.normal(0, 6), rng.normal(0, 0.6)
        if wrist.age < onset + late:
            continue
        centre, half = (side_place, side_axes) if lateral else (place, axes)
        middle = ((centre[0] + shift[0]) * g, (centre[1] + shift[1]) * g)
        sizes = (half[0] * g * grown, half[1] * g * grown, min(half) * g * grown * (1.5 if lateral else 1.1))
        draw_block(plane, out, tile, middle, sizes, (0 if lateral else turn) + angle, shape, 0.8, wrist.density)


def _metacarpals(wrist: Wrist, plane: Plane, out: Array, tile: Array) -> None:
    rng = stream(wrist.seed, "metacarpals")
    lateral, g = wrist.projection == "LATERAL", wrist.scale
    for number, ends in enumerate(_METACARPALS):
        base, head = (np.array(ends[2]), np.array(ends[3])) if lateral else (np.array(ends[0]), np.array(ends[1]))
        base, head = (base + rng.normal(0, 1, 2)) * g, (head + rng.normal(0, 2, 2)) * g
        along = base - head
        length = float(np.hypot(*along))
        shaft = (3.5 if number else 4.2) * g * rng.uniform(0.92, 1.08)
        points = [(0, shaft * 1.45, 0.5), (6 * g, shaft * 1.35, 0.6), (16 * g, shaft * 1.02, 1.3 * g)]
        points += [(length * 0.6, shaft, 1.6 * g), (length - 8 * g, shaft * 1.3, 0.9), (length, shaft * 1.55, 0.5)]
        levels, halves, cortex = tapered(points)
        turn = float(np.rad2deg(np.arctan2(-along[0], along[1])))
        bone = LongBone((float(head[0]), float(head[1])), turn, levels, halves, cortex, 0.95, wrist.density)
        draw_long(bone, plane, out, tile)
        # The first metacarpal grows at its base, the others at their heads.
        near = base if number == 0 else head
        sign = 1 if number == 0 else -1
        if wrist.plate_mm and wrist.age > 2:
            unit = sign * along / length
            high = 2.4 * g
            middle = near + unit * (wrist.plate_mm * 0.7 + high)
            axes = (shaft * 1.35, high, shaft * 1.2)
            draw_block(plane, out, tile, (middle[0], middle[1]), axes, turn, _outline(rng, 0.04), 0.6, wrist.density)


def _lines(wrist: Wrist, plane: Plane, out: Array, bones: dict[str, LongBone]) -> list[str]:
    """Dense lines across the ends: where a plate closed, and where growth once paused."""
    rng, found = stream(wrist.seed, "dense lines"), []
    for name, bone in bones.items():
        places = [7.0 * wrist.scale] if not wrist.plate_mm else []
        if rng.random() < 0.25:
            places += [float(rng.uniform(4, 16)) for _ in range(int(rng.integers(1, 3)))]
            found.append(f"growth lines of the {name}")
        for at in places:
            x, y, reach = bone.end[0], bone.end[1] + at, max(bone.halves)
            window = plane.window((x - reach, y - 4), (x + reach, y + 4))
            if window is None:
                continue
            half = np.float32(np.interp(at, bone.levels, bone.halves) * 0.94)
            wave = 0.5 * np.sin(window.x * np.float32(rng.uniform(0.2, 0.5)) + np.float32(rng.uniform(0, 6)))
            line = np.exp(-(((window.y - np.float32(y) - wave) / np.float32(rng.uniform(0.3, 0.6))) ** 2))
            line *= edge(np.abs(window.x - np.float32(x)) - half, 1.5)
            out[window.place] += (np.float32(rng.uniform(0.03, 0.11)) * line).astype(np.float32)
    return found


def draw_bones(wrist: Wrist, plane: Plane, breaks: dict[str, Fracture]) -> tuple[Array, dict[str, Box], list[str]]:
    """Draw all bones of a wrist.

    Returns:
        Attenuation beyond soft tissue, the box of each fracture in the picture by bone, and names of distractors.
    """
    out = np.zeros(plane.shape, dtype=np.float32)
    tile = grain(stream(wrist.seed, "grain"))
    bones = forearm(wrist)
    boxes = {}
    for name, bone in bones.items():
        box = draw_long(bone, plane, out, tile, breaks.get(name))
        if box is not None:
            boxes[name] = box
    found = _lines(wrist, plane, out, bones)
    _epiphyses(wrist, plane, out, tile, bones)
    _carpals(wrist, plane, out, tile)
    _metacarpals(wrist, plane, out, tile)
    return out, boxes, found
