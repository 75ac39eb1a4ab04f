"""What lies on and in patients and is no finding: tubes, lines, electrodes, pacemakers, nipples, healed fractures."""

import numpy as np

from app.demo.phantoms.fields import stream
from app.demo.phantoms.radiographs.chest_body import MU_SOFT, Chest
from app.demo.phantoms.radiographs.plane import Array, Plane, add_ellipsoid, curve, draw_tube, tube

METAL = 0.6  # per mm


def _add_tube(  # noqa: PLR0917
    plane: Plane, out: Array, points: list[tuple[float, float]], radius: float, wall: float, mu: float
) -> None:
    """Add a hollow tube along a smooth line."""
    line = curve(points, 10 + 5 * len(points))
    drawn = tube(plane, line, radius)
    if drawn is None:
        return
    window, whole = drawn
    inner = np.zeros_like(whole)
    draw_tube(plane, inner, line, max(radius - wall, 0.05), (window.rows.start, window.columns.start))
    out[window.place] += np.float32(mu) * (whole - inner)


def _tubes(chest: Chest, plane: Plane, out: Array, rng: np.random.Generator) -> list[str]:
    """Breathing tube, stomach tube, central line, chest drain."""
    top, found = -chest.height / 2, []
    if rng.random() < 0.5:
        low = top + rng.uniform(0.12, 0.3) * chest.height
        _add_tube(plane, out, [(2, top - 120), (1 + chest.turn / 2, top - 20), (chest.turn - 1, low)], 5.0, 1.2, 0.035)
        found.append("breathing tube")
    if rng.random() < 0.5:
        line = [(6, top - 120), (chest.turn + 4, top + 60), (chest.turn + 10, chest.height / 2 - 20)]
        _add_tube(plane, out, [*line, (rng.uniform(35, 70), chest.height / 2 + rng.uniform(25, 70))], 2.4, 0.9, 0.06)
        found.append("stomach tube")
    if rng.random() < 0.6:
        side = int(rng.choice([-1, -1, 1]))
        start = (
            (side * rng.uniform(30, 60), top - rng.uniform(30, 60)) if rng.random() < 0.5 else (side * 115, top + 30)
        )
        tip = (chest.turn - 22, top + rng.uniform(0.38, 0.6) * chest.height)
        _add_tube(plane, out, [start, (side * 25 - 4, top + 30), (chest.turn - 20, top + 75), tip], 1.2, 0.6, 0.09)
        found.append("central line")
    if rng.random() < 0.2:
        side = int(rng.choice([-1, 1]))
        y = rng.uniform(0.0, 0.3) * chest.height
        points = [(side * (chest.half_width + 60), y + 40), (side * chest.half_width * 0.95, y)]
        _add_tube(plane, out, [*points, (side * chest.half_width * 0.55, top + rng.uniform(40, 80))], 3.6, 1.2, 0.04)
        found.append("chest drain")
    return found


def _electrodes(chest: Chest, plane: Plane, out: Array, rng: np.random.Generator) -> None:
    """Round ECG electrodes with their leads."""
    for _ in range(int(rng.integers(2, 6))):
        sign = int(rng.choice([-1, 1]))
        x, y = sign * rng.uniform(0.2, 1.05) * chest.half_width, rng.uniform(-0.5, 0.55) * chest.height
        add_ellipsoid(plane, out, (x, y), (5.2, 5.2, 0.5), 0.16)
        add_ellipsoid(plane, out, (x, y), (2.2, 2.2, 1.0), METAL)
        away = (x + sign * rng.uniform(40, 110), y + rng.uniform(10, 130))
        between = ((x + away[0]) / 2 + rng.normal(0, 18), (y + away[1]) / 2 + rng.normal(0, 18))
        _add_tube(plane, out, [(x, y), between, away], 0.7, 0.7, 0.25)


def _pacemaker(chest: Chest, plane: Plane, out: Array, rng: np.random.Generator) -> None:
    top = -chest.height / 2
    sign = 1 if rng.random() < 0.85 else -1
    x, y = sign * rng.uniform(0.66, 0.85) * chest.half_width, top + rng.uniform(28, 60)
    add_ellipsoid(plane, out, (x, y), (23, 19, 3.5), 0.42, rng.uniform(-20, 20))
    add_ellipsoid(plane, out, (x - 4, y + 3), (9, 8, 3.0), 0.35)
    apex = (chest.turn + 0.75 * chest.heart, chest.height / 2 - 0.22 * chest.heart)
    line = [
        (x, y - 12),
        (sign * 38, top + 22),
        (chest.turn - 16, top + 80),
        (chest.turn - 22, chest.height * 0.28),
        apex,
    ]
    _add_tube(plane, out, line, 0.9, 0.9, 0.5)
    if rng.random() < 0.6:
        atrium = (chest.turn - 30, chest.height * 0.2)
        _add_tube(plane, out, [(x, y - 10), (sign * 34, top + 25), (chest.turn - 18, top + 85), atrium], 0.8, 0.8, 0.5)


def _nipples(chest: Chest, plane: Plane, out: Array, rng: np.random.Generator) -> None:
    for sign in (-1, 1):
        if rng.random() < 0.75:
            centre = sign * rng.uniform(0.58, 0.74) * chest.half_width, chest.height * rng.uniform(0.22, 0.42)
            size = rng.uniform(3.0, 5.5)
            add_ellipsoid(plane, out, centre, (size, size * rng.uniform(0.8, 1.0), size), MU_SOFT * rng.uniform(0.6, 1))


def _callus(chest: Chest, plane: Plane, out: Array, rng: np.random.Generator) -> None:
    """Healed rib fractures: spindle-shaped swellings in a row at the side."""
    sign, y = int(rng.choice([-1, 1])), rng.uniform(-0.3, 0.1) * chest.height
    for _ in range(int(rng.integers(1, 5))):
        centre = (sign * chest.half_width * rng.uniform(0.86, 0.97), y)
        add_ellipsoid(
            plane, out, centre, (rng.uniform(5, 9), rng.uniform(4.5, 7), 4.5), 0.016, sign * rng.uniform(20, 60)
        )
        y += chest.height / 9


def draw_devices(chest: Chest, plane: Plane, out: Array) -> list[str]:
    """Add what this patient wears to the attenuation, in place; returns the names."""
    rng = stream(chest.seed, "devices")
    portable, found = chest.view == "AP", []
    if portable and rng.random() < 0.6:
        found += _tubes(chest, plane, out, rng)
    if rng.random() < (0.5 if portable else 0.06):
        _electrodes(chest, plane, out, rng)
        found.append("electrodes")
    if rng.random() < (0.1 if chest.age > 55 else 0.01):
        _pacemaker(chest, plane, out, rng)
        found.append("pacemaker")
    if rng.random() < 0.3:
        _nipples(chest, plane, out, rng)
        found.append("nipples")
    if rng.random() < 0.15:
        _callus(chest, plane, out, rng)
        found.append("healed rib fractures")
    return found
