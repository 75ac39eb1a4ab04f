"""The chest without bones and vessels: outline, lungs, heart, mediastinum, diaphragm, breasts.

Frame: x to the patient's left, y down from the middle of the lungs, mm; the lungs' tops lie near `-height / 2`.
"""

from dataclasses import dataclass

import numpy as np

from app.demo.phantoms.fields import stream
from app.demo.phantoms.radiographs.plane import Array, Plane, add_ellipsoid, draw_tube, edge, ellipsoid, smooth_noise

MU_SOFT, MU_LUNG = 0.0200, 0.0055  # per mm, for the spectrum behind a grid


@dataclass(frozen=True, slots=True)
class Chest:
    """One person's chest, and how it stood before the detector.

    Attributes:
        seed: Of everything that is drawn at random in it.
        view: PA or AP.
        age, sex: Of the person.
        half_width: Of the inside of the rib cage at its widest, mm.
        height: From the lungs' tops to the right dome, mm; small in poor inspiration.
        half_depth: Of the inside of the cage, mm.
        wall: Soft tissue beside the ribs, mm.
        heart: Half width of the heart, mm.
        turn: Shift of the mediastinum by rotation of the body, mm.
        left_drop: How much lower the left dome is, mm.
        dome: How much the domes fall towards the side, mm.
        breast: Thickness of the breasts, mm; 0 for none that shows.
        haze: How much denser than usual the lungs are.
    """

    seed: int
    view: str
    age: int
    sex: str
    half_width: float
    height: float
    half_depth: float
    wall: float
    heart: float
    turn: float
    left_drop: float
    dome: float
    breast: float
    haze: float


@dataclass(frozen=True, slots=True)
class Torso:
    """What was drawn of a chest.

    Attributes:
        attenuation: Line integrals, (rows, columns).
        lung: Length of each ray in aerated lung, mm.
        field: The lungs' outlines without what lies before them: 0 outside, 1 the right, 2 the left lung.
    """

    attenuation: Array
    lung: Array
    field: Array


def sample_chest(seed: int) -> Chest:
    """Draw a person and a view."""
    rng = stream(seed, "chest")
    view = "AP" if rng.random() < 0.4 else "PA"
    portable = view == "AP"
    sex = str(rng.choice(["F", "M"]))
    width = rng.normal(134 if sex == "M" else 122, 8)
    height = width * rng.uniform(1.35, 1.75) * (rng.uniform(0.78, 0.95) if portable else 1)
    return Chest(
        seed=seed,
        view=view,
        age=int(rng.integers(18, 93)),
        sex=sex,
        half_width=float(width),
        height=float(height),
        half_depth=float(rng.uniform(72, 100)),
        wall=float(np.clip(rng.gamma(3.5, 7.0), 10, 60)),
        heart=float(width * rng.uniform(0.40, 0.52) * (rng.uniform(1.05, 1.25) if portable else 1)),
        turn=float(rng.normal(0, 9 if portable else 4)),
        left_drop=float(rng.normal(10, 7)),
        dome=float(rng.uniform(38, 75)),
        breast=float(rng.uniform(8, 34)) if sex == "F" and rng.random() < 0.85 else 0.0,
        haze=float(np.clip(rng.normal(0, 0.12) + (0.1 if portable else 0), -0.2, 0.5)),
    )


def half_widths(chest: Chest, y: Array) -> tuple[Array, Array]:
    """Outer edge of the lungs at each height, and the share of the full depth there; 0 above the tops."""
    level = np.clip((y + np.float32(chest.height / 2)) / np.float32(chest.height * 0.78), 0, 1)
    shape = np.sqrt(np.maximum(1 - (1 - level) ** np.float32(2.5), 0))
    apex = 0.34 * chest.half_width
    return np.float32(apex) + np.float32(chest.half_width - apex) * shape, shape


def _medial(chest: Chest, y: Array) -> Array:
    """Distance of the lungs' inner edges from the midline."""
    apex = 0.34 * chest.half_width
    _, shape = half_widths(chest, y)
    inward = np.float32(apex + 10) * np.minimum(shape * np.float32(1.4), 1)
    return np.asarray(np.float32(apex) - inward, dtype=np.float32)


def _cage(chest: Chest, x: Array, y: Array) -> tuple[Array, Array]:
    """Depth of the inside of the cage where there is lung, before anything lies in it; and the two outlines."""
    outer, shape = half_widths(chest, y)
    across = np.clip(np.abs(x) / outer, 0, 1)
    depth = 2 * np.float32(chest.half_depth) * shape ** np.float32(0.8) * np.sqrt(1 - across ** np.float32(2.6))
    depth *= edge(_medial(chest, y) - np.abs(x), 5.0) * (y > -chest.height / 2)
    field = np.where(depth > 0, np.where(x < 0, 1, 2), 0).astype(np.float32)
    return depth, field


def _abdomen(chest: Chest, x: Array, y: Array) -> Array:
    """Depth of what lies below the diaphragm: two domes, higher in front than behind."""
    depth = np.zeros(x.shape, dtype=np.float32)
    for sign in (-1, 1):
        top = chest.height / 2 + (chest.left_drop if sign > 0 else 0.0)
        middle = sign * 0.46 * chest.half_width
        away = (x - np.float32(middle)) / np.float32(0.60 * chest.half_width)
        away = np.where(away * sign < 0, np.float32(0.5) * away, away)
        under = (y - np.float32(top)) / np.float32(chest.dome) - away**2
        dome = 2 * np.float32(chest.half_depth) * 1.05 * np.sqrt(np.maximum(under, 0))
        np.maximum(depth, dome, out=depth)
    return depth


def heart_axes(chest: Chest) -> tuple[tuple[float, float], tuple[float, float, float], float]:
    """The main ellipsoid of the heart: centre, half axes and turn."""
    centre = (0.30 * chest.heart + chest.turn, chest.height * 0.5 - 0.52 * chest.heart)
    return centre, (1.16 * chest.heart, 0.80 * chest.heart, 0.66 * chest.heart), 38.0


def _mediastinum(chest: Chest, plane: Plane, x: Array, y: Array) -> Array:
    """Depth of heart, great vessels and mediastinal fat."""
    rng = stream(chest.seed, "mediastinum")
    depth = np.zeros(x.shape, dtype=np.float32)
    centre, axes, angle = heart_axes(chest)
    shift, top = np.float32(chest.turn), -chest.height / 2
    depth += ellipsoid(x, y, centre, axes, angle)
    right = (-0.22 * chest.heart + chest.turn, centre[1] - 4)
    atrium = ellipsoid(x, y, right, (0.50 * chest.heart, 0.78 * chest.heart, 0.6 * chest.heart))
    np.maximum(depth, atrium, out=depth)
    half = np.float32(rng.uniform(23, 31)) + 6 * edge(np.abs(y - np.float32(top + 20)) - 30, 60)
    level = np.interp(y, [top, 0, chest.height / 2], [170, 150, 140]).astype(np.float32)
    wave = 2.5 * np.sin(y / np.float32(rng.uniform(17, 26)) + np.float32(rng.uniform(0, 6)))
    column = np.abs(x - shift) / (half + wave)
    np.maximum(depth, level * np.sqrt(np.maximum(1 - column**2, 0)), out=depth)
    knob_y = top + rng.uniform(0.26, 0.33) * chest.height
    radius = rng.uniform(15, 21) + 0.06 * max(chest.age - 50, 0)
    knob = np.zeros(x.shape, dtype=np.float32)
    arch = [
        (chest.turn + 8, knob_y + 12),
        (chest.turn + 20, knob_y),
        (chest.turn + 17, knob_y + 30),
        (chest.turn + 12, 90),
    ]
    draw_tube(plane, knob, arch, [radius * 0.9, radius, radius * 0.8, radius * 0.7])
    np.maximum(depth, 2.6 * knob, out=depth)
    return depth


def _outline(chest: Chest, x: Array, y: Array) -> Array:
    """Depth of the body: neck, shoulders and trunk, without the arms."""
    top = -chest.height / 2
    side = chest.half_width + chest.wall
    level = np.array([top - 110, top - 55, top - 30, top + 5, top + 38, top + 100, 260])
    neck = 52 + 0.35 * chest.wall
    width = np.array([neck, neck * 1.05, neck * 1.45, side * 1.05, side * 1.22, side * 1.02, side * 1.02])
    depth = np.array([55, 58, 62, 76, 0.92 * (chest.half_depth + 25), chest.half_depth + 26, chest.half_depth + 24])
    depth = depth + 0.35 * chest.wall
    half = np.interp(y, level, width).astype(np.float32)
    thick = np.interp(y, level, depth).astype(np.float32)
    across = np.clip(np.abs(x) / half, 0, 1)
    return np.asarray(2 * thick * np.sqrt(1 - across ** np.float32(3.2)), dtype=np.float32)


def _breasts(chest: Chest, plane: Plane, out: Array) -> None:
    rng = stream(chest.seed, "breasts")
    size, y = rng.uniform(62, 84), chest.height * rng.uniform(0.16, 0.34)
    for sign in (-1, 1):
        x = sign * (chest.half_width * rng.uniform(0.58, 0.72))
        for share in (0.55, 0.45):
            axes = (size * (0.6 + share * 0.6), size * (0.5 + share * 0.6), 0.5 * chest.breast * share)
            add_ellipsoid(plane, out, (x, y + rng.normal(0, 3)), axes, MU_SOFT, sign * 12)


def _airways_and_gas(chest: Chest, plane: Plane, out: Array) -> None:
    """Trachea and main bronchi, and the gas of stomach and colon."""
    rng = stream(chest.seed, "airways")
    top, shift = -chest.height / 2, chest.turn
    carina = top + rng.uniform(0.36, 0.42) * chest.height
    air = np.zeros(plane.shape, dtype=np.float32)
    draw_tube(plane, air, [(shift * 0.6, top - 90), (shift * 0.8 - 1, top), (shift - 3, carina)], rng.uniform(7.5, 10))
    draw_tube(plane, air, [(shift - 3, carina), (shift - 30, carina + 30)], [7.5, 6])
    draw_tube(plane, air, [(shift - 3, carina), (shift + 36, carina + 34)], [7, 5])
    out -= np.float32(MU_SOFT * 0.8) * air
    if rng.random() < 0.75:
        y = chest.height / 2 + chest.left_drop + rng.uniform(22, 50)
        axes = (rng.uniform(14, 38), rng.uniform(10, 24), rng.uniform(15, 35))
        add_ellipsoid(plane, out, (rng.uniform(0.3, 0.6) * chest.half_width, y), axes, -MU_SOFT)
    for _ in range(int(rng.integers(0, 7))):
        centre = (rng.uniform(-0.8, 0.9) * chest.half_width, chest.height / 2 + rng.uniform(75, 150))
        add_ellipsoid(plane, out, centre, (rng.uniform(8, 26), rng.uniform(7, 15), rng.uniform(8, 18)), -MU_SOFT)


def _arms(chest: Chest, plane: Plane, out: Array) -> None:
    rng = stream(chest.seed, "arms")
    top = -chest.height / 2
    for sign in (-1, 1):
        away = chest.half_width + chest.wall + rng.uniform(32, 60)
        arm = np.zeros(plane.shape, dtype=np.float32)
        line = [
            (sign * away * 0.84, top + 40),
            (sign * (away + 8), top + 95),
            (sign * (away + rng.uniform(15, 70)), top + 330),
        ]
        draw_tube(plane, arm, line, [38 + 0.4 * chest.wall, 40 + 0.4 * chest.wall, 36 + 0.4 * chest.wall])
        np.maximum(out, arm, out=out)


def draw_torso(chest: Chest, plane: Plane) -> Torso:
    """Draw all soft parts and the air in them."""
    whole = plane.whole()
    x, y = whole.x, whole.y
    cage, field = _cage(chest, x, y)
    body = np.maximum(_outline(chest, x, y), cage)
    _arms(chest, plane, body)
    rng = stream(chest.seed, "unevenness")
    body *= 1 + np.float32(0.02) * smooth_noise(rng, plane, 45.0)
    abdomen = _abdomen(chest, x, y)
    lung = np.maximum(cage - abdomen - _mediastinum(chest, plane, x, y), 0)
    density = (
        MU_LUNG * (1 + chest.haze) * (1 + 0.08 * smooth_noise(rng, plane, 30.0) + 0.05 * smooth_noise(rng, plane, 4.0))
    )
    attenuation = np.float32(MU_SOFT) * body - lung * (np.float32(MU_SOFT) - density.astype(np.float32))
    if chest.breast:
        _breasts(chest, plane, attenuation)
    _airways_and_gas(chest, plane, attenuation)
    return Torso(np.asarray(attenuation, dtype=np.float32), lung, field * (lung > 4))
