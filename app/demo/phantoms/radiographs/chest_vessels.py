"""Branching vessels of the lungs and their roots."""

import numpy as np
from numpy.typing import NDArray

from app.demo.phantoms.fields import stream
from app.demo.phantoms.radiographs.chest_body import MU_LUNG, MU_SOFT, Chest
from app.demo.phantoms.radiographs.plane import Array, Plane, draw_tube

_MIN_RADIUS = 0.5


def roots(chest: Chest) -> dict[int, tuple[float, float]]:
    """Where the vessels of each side enter, (x, y) mm; the left root lies higher."""
    y = -chest.height / 2 + 0.50 * chest.height
    return {-1: (-36.0 + chest.turn, y), 1: (38.0 + chest.turn, y - 12)}


def _branch(  # noqa: PLR0917
    rng: np.random.Generator, start: NDArray[np.float64], angle: float, radius: float, layers: list[Array], plane: Plane
) -> None:
    """Draw one vessel and, from a stack, all that spring from it."""
    todo = [(start, angle, radius)]
    while todo:
        at, heading, width = todo.pop()
        length = rng.uniform(8, 13) * width**0.6 + 8
        steps = 3
        points = [at]
        bend = rng.normal(0, 0.10)
        for _ in range(steps):
            heading += bend + rng.normal(0, 0.06)
            points.append(points[-1] + length / steps * np.array([np.cos(heading), np.sin(heading)]))
        end = width * 0.84
        draw_tube(plane, layers[int(rng.integers(len(layers)))], points, np.linspace(width, end, steps + 1))
        if end < _MIN_RADIUS:
            continue
        share = rng.uniform(0.55, 0.85)
        fan = rng.uniform(0.35, 0.75)
        side = 1 if rng.random() < 0.5 else -1
        todo.append((points[-1], heading + side * fan * (1 - share), end * share**0.33))
        todo.append((points[-1], heading - side * fan * share, end * (1 - share) ** 0.45))
        if width > 0.9 and rng.random() < 0.3:
            todo.append((points[2], heading + side * rng.uniform(0.5, 1.1), end * rng.uniform(0.25, 0.45)))


def draw_vessels(chest: Chest, plane: Plane) -> Array:
    """Lengths of rays in vessels, mm, (rows, columns); crossings add up."""
    rng = stream(chest.seed, "vessels")
    layers = [np.zeros(plane.shape, dtype=np.float32) for _ in range(3)]
    for sign, root in roots(chest).items():
        for angle in (-1.3, -0.85, -0.3, 0.35, 0.8, 1.2):
            heading = angle + rng.normal(0, 0.10)
            if sign < 0:
                heading = np.pi - heading
            big = 1.25 if angle > 0.7 else 1.0
            away = np.array([sign * rng.uniform(-12, 4), rng.normal(0, 8) + 13 * angle])
            _branch(rng, np.array(root) + away, heading, big * rng.uniform(2.6, 4.0), layers, plane)
        trunk = [(root[0] - sign * 16, root[1] - 10), (root[0], root[1] + 2), (root[0] + sign * 6, root[1] + 34)]
        draw_tube(plane, layers[0], trunk, [9.5, 8.0, 5.5])
    return np.asarray(layers[0] + layers[1] + layers[2], dtype=np.float32)


def vessel_attenuation(vessels: Array, lung: Array, strength: float = 2.3) -> Array:
    """What vessels attenuate more than the lung around them, where there is lung enough around them."""
    room = np.clip(lung / 50, 0, 1)
    return np.asarray(np.float32((MU_SOFT - MU_LUNG) * strength * 9) * np.tanh(vessels / 9) * room, dtype=np.float32)
