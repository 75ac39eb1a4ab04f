"""Radiographs that no detector is for: lateral chest, hand, hip and others. Simple, only for telling views apart."""

import numpy as np

from app.demo.phantoms.fields import stream
from app.demo.phantoms.radiographs import more_views
from app.demo.phantoms.radiographs.chest_bones import bone_tube
from app.demo.phantoms.radiographs.detector import expose, sample_exposure
from app.demo.phantoms.radiographs.framing import collimate, lead_marker
from app.demo.phantoms.radiographs.long_bone import LongBone, draw_block, draw_long, grain, tapered
from app.demo.phantoms.radiographs.plane import (
    Array,
    Plane,
    add_ellipsoid,
    curve,
    draw_tube,
    edge,
    ellipsoid,
    smooth_noise,
)
from app.demo.phantoms.radiographs.radiograph import Radiograph

OTHER_KINDS = ("chest-lateral", "hand", "hip", "leg", "knee", "foot", "elbow", "shoulder", "abdomen", "skull")
SMALL_PARTS = frozenset({"hand", "foot", "elbow"})
"""Thin: they scatter little, and lie on the detector as they come."""
UNPAIRED = frozenset({"chest-lateral", "abdomen", "skull"})
"""Parts without a side; DICOM wants no Laterality of them (PS3.3 C.7.3.1)."""


def make_other(seed: int, kind: str, size: int = 512) -> Radiograph:
    """Draw one of `OTHER_KINDS`.

    Args:
        seed: Same seed and arguments, same picture.
        kind: Which.
        size: Rows and columns.

    Raises:
        ValueError: The kind is not known.
    """
    drawers = {
        "chest-lateral": (_lateral_chest, 390.0),
        "hand": (_hand, 230.0),
        "hip": (_hip, 400.0),
        "leg": (more_views.leg, 340.0),
        "knee": (more_views.knee, 260.0),
        "foot": (more_views.foot, 270.0),
        "elbow": (more_views.elbow, 250.0),
        "shoulder": (more_views.shoulder, 270.0),
        "abdomen": (more_views.abdomen, 400.0),
        "skull": (more_views.skull, 280.0),
    }
    if kind not in drawers:
        raise ValueError(f"no radiograph of kind {kind}; choose one of {', '.join(OTHER_KINDS)}")
    draw, extent = drawers[kind]
    rng = stream(seed, kind)
    pitch = extent * rng.uniform(0.8, 1.15) / size
    angle = float(rng.normal(0, 12 if kind in SMALL_PARTS else 4))
    centre = (float(rng.normal(0, 10)), float(rng.normal(0, 10)))
    plane = Plane(size, size, float(pitch), angle, centre, mirrored=bool(rng.random() < 0.5))
    attenuation = draw(rng, plane)
    side = str(rng.choice(["L", "R"]))
    if rng.random() < 0.8:
        lead_marker(rng, plane, attenuation, side, rng.uniform(10, 16), right=bool(rng.random() < 0.5))
    picture = expose(attenuation, plane, sample_exposure(rng, small_part=kind in SMALL_PARTS), seed)
    if rng.random() < 0.5:
        collimate(rng, plane, picture, 0.06)
    chest = kind == "chest-lateral"
    return Radiograph(
        seed=seed,
        kind=kind,
        picture=np.clip(picture, 0, 1),
        pitch_mm=plane.pitch_mm,
        view="LL" if chest else "PA" if kind == "hand" else "AP",
        side="" if kind in UNPAIRED else side,
        age=int(rng.integers(18, 90)),
        sex=str(rng.choice(["F", "M"])),
        body_part="CHEST" if chest else kind.upper(),
        marks=(),
        labels={},
    )


def _lateral_chest(rng: np.random.Generator, plane: Plane) -> Array:
    """Breastbone to the left, spine to the right, ribs across, both diaphragms, heart in front."""
    whole = plane.whole()
    x, y = whole.x, whole.y
    deep, high = rng.uniform(88, 118), rng.uniform(190, 250)
    width = rng.uniform(230, 290)
    flat = np.interp(y, [-220, -150, -90, 0, 200], [45, 60, deep + 24, deep + 32, deep + 30]).astype(np.float32)
    body = width * np.sqrt(np.maximum(1 - np.clip(np.abs(x) / flat, 0, 1) ** 3, 0))
    level = np.clip((y + np.float32(high / 2)) / np.float32(high * 0.8), 0, 1)
    half = np.float32(deep) * np.sqrt(np.maximum(1 - (1 - level) ** 2.2, 0)) + 0.1
    lung = np.float32(0.62 * width) * np.sqrt(np.maximum(1 - np.clip(np.abs(x) / half, 0, 1) ** 2.4, 0))
    for shift in (0.0, rng.uniform(5, 20)):
        dome = y - np.float32(high * 0.36 + shift) - np.float32(0.0045) * (x + 25) ** 2
        lung = lung * (1 - 0.5 * edge(-dome, 2.0))
    heart = ellipsoid(x, y, (-deep * 0.35, high * 0.18), (rng.uniform(42, 58), rng.uniform(55, 70), 60), 25)
    out = np.float32(0.02) * body - np.float32(0.0145) * np.maximum(lung - heart - 20 * (np.abs(x + 5) < 18), 0)
    bones = np.zeros(plane.shape, dtype=np.float32)
    for index in range(11):
        top = -high / 2 + index * high / 10
        line = curve([(deep * 0.75, top), (0, top + 28), (-deep * 0.7, top + 75)], 24)
        bone_tube(plane, bones, line, np.full(24, 5.0), 1.2, 0.6)
        box = np.maximum(np.abs(x - np.float32(deep * 0.72 - 6)) - 15, np.abs(y - np.float32(top + 8)) - high / 24)
        bones += np.float32(0.35) * edge(box, 2.0)
    sternum = curve([(-deep * 0.55, -high * 0.42), (-deep * 0.9, -high * 0.1), (-deep * 1.0, high * 0.12)], 16)
    bone_tube(plane, bones, sternum, np.full(16, 6.0), 1.5, 0.8)
    return np.asarray(out + bones * (1 + 0.1 * smooth_noise(rng, plane, 2.0)), dtype=np.float32)


def _hand(rng: np.random.Generator, plane: Plane) -> Array:
    """Five rays of a whole hand."""
    tile = grain(rng)
    soft, bones = np.zeros(plane.shape, dtype=np.float32), np.zeros(plane.shape, dtype=np.float32)
    spread = rng.uniform(0.6, 1.4)
    add_ellipsoid(plane, soft, (0, 40), (40, 45, 14), 1.0)
    draw_tube(plane, soft, [(0, 50), (0, 160)], 28.0)
    for number, (bend, lengths) in enumerate(
        (
            (38, (44, 32, 24)),
            (9, (66, 42, 24, 18)),
            (0, (64, 46, 29, 19)),
            (-9, (57, 42, 28, 19)),
            (-18, (52, 34, 20, 18)),
        )
    ):
        at = np.array([26.0 - 3 * number if number == 0 else 18.0 - 10 * number + 5, 52.0 if number else 60.0])
        turn = np.deg2rad(bend * spread + rng.normal(0, 3))
        unit = np.array([np.sin(turn), -np.cos(turn)])
        draw_tube(plane, soft, [at, at + unit * (sum(lengths) + 12)], [10.0, 7.5])
        for step, length in enumerate(lengths):
            tip = at + unit * (length - 2)
            thick = 4.6 - 0.75 * step + (0.5 if number == 0 else 0)
            points = [
                (0, thick * 1.3, 0.5),
                (0.2 * length, thick, 1.2),
                (0.7 * length, thick, 1.3),
                (length - 2, thick * 1.5, 0.5),
            ]
            levels, halves, cortex = tapered(points)
            bone = LongBone((tip[0], tip[1]), float(np.rad2deg(turn)), levels, halves, cortex, 0.95, 1.0)
            draw_long(bone, plane, bones, tile)
            at = at + unit * (length + 0.5)
    for centre in ((14, 62), (4, 62), (-6, 62), (-15, 63), (16, 72), (2, 74), (-12, 74)):
        draw_block(plane, bones, tile, centre, (6, 6, 5), float(rng.uniform(0, 180)), rng.normal(0, 0.03, (3, 2)), 0.8)
    for x, thick in ((11, 14.0), (-13, 8.0)):
        levels, halves, cortex = tapered([(0, thick, 0.6), (25, thick * 0.6, 1.5), (120, thick * 0.5, 2.5)])
        draw_long(LongBone((x, 82.0), 0.0, levels, halves, cortex, 0.8, 1.0), plane, bones, tile)
    return np.asarray(np.float32(0.023) * soft + bones, dtype=np.float32)


def _hip(rng: np.random.Generator, plane: Plane) -> Array:
    """One or both hips with pelvis and femora."""
    whole = plane.whole()
    x, y = whole.x, whole.y
    shift = np.float32(0 if rng.random() < 0.5 else rng.uniform(60, 90))
    x = x + shift
    width = np.interp(y, [-200, 0, 80, 200], [165, 185, 180, 170]).astype(np.float32)
    body = 210 * np.sqrt(np.maximum(1 - np.clip(np.abs(x) / width, 0, 1) ** 2.4, 0))
    body *= 1 - 0.9 * edge(60 - y, 30.0) * edge(np.abs(x) - (y - 60) * 0.18, 6.0)
    out = np.float32(0.018) * body.astype(np.float32)
    bones = np.zeros(plane.shape, dtype=np.float32)
    for sign in (-1, 1):

        def at(px: float, py: float, sign: int = sign) -> tuple[float, float]:
            return sign * px - float(shift), py

        head, neck = at(88, 10), at(115, 30)
        add_ellipsoid(plane, bones, head, (24, 24, 22), 0.013)
        shaft = np.array([head, neck, at(128, 55), at(122, 120), at(112, 260)])
        bone_tube(
            plane,
            bones,
            curve(shaft, 30),
            np.interp(np.linspace(0, 1, 30), [0, 0.12, 0.25, 0.5, 1], [21, 17, 24, 15, 14]),
            5.0,
            0.9,
        )
        wing = curve([at(75, 0), at(105, -45), at(135, -110), at(80, -130), at(38, -80), at(55, -20), at(75, 0)], 60)
        bone_tube(plane, bones, wing, np.full(60, 5.0), 2.0, 0.9)
        add_ellipsoid(plane, bones, at(90, -70), (45, 48, 8), 0.012)
        ring = curve([at(70, -10), at(40, 15), at(5, 30), at(12, 48), at(45, 75), at(66, 60), at(75, 20)], 50)
        bone_tube(plane, bones, ring, np.full(50, 7.0), 2.0, 0.9)
    add_ellipsoid(plane, bones, (-float(shift), -85), (42, 60, 18), 0.012)
    return np.asarray(out + bones * (1 + 0.1 * smooth_noise(rng, plane, 1.6)), dtype=np.float32)
