"""What makes a lung denser without being a lesion: pleural effusion, consolidation, an interstitial pattern.

For phantoms with several findings, as classifiers of whole radiographs want them. No boxes: their edges are none.
"""

from dataclasses import dataclass

import numpy as np

from app.demo.phantoms.fields import stream
from app.demo.phantoms.radiographs.chest_body import MU_LUNG, MU_SOFT, Chest
from app.demo.phantoms.radiographs.chest_findings import Pneumothorax, sample_pneumothorax
from app.demo.phantoms.radiographs.plane import Array, Plane, edge, smooth_noise

CONSOLIDATION, INTERSTITIAL, EFFUSION = "consolidation", "interstitial_opacity", "pleural_effusion"
LESION, PNEUMOTHORAX = "lung_lesion", "pneumothorax"
FINDINGS = (LESION, CONSOLIDATION, INTERSTITIAL, EFFUSION, PNEUMOTHORAX)
"""Names as labels have them."""
_NORMAL, _ONE = 0.30, 0.45
_SIDES = (-1, 1)


@dataclass(frozen=True, slots=True)
class Opacities:
    """What a chest shall show.

    Attributes:
        shown: Among `FINDINGS`.
        lesions: Their number.
        air: The pneumothorax, or None.
    """

    shown: frozenset[str]
    lesions: int
    air: Pneumothorax | None


def sample_opacities(chest: Chest) -> Opacities:
    """Draw what is shown: nothing in 30 % of the chests, one finding in 45 %, two or three in the others."""
    rng = stream(chest.seed, "opacities")
    chance = rng.random()
    count = 0 if chance < _NORMAL else 1 if chance < _NORMAL + _ONE else int(rng.integers(2, 4))
    shown = frozenset(str(name) for name in rng.choice(FINDINGS, count, replace=False))
    lesions = int(rng.integers(1, 4)) if LESION in shown else 0
    return Opacities(shown, lesions, sample_pneumothorax(chest) if PNEUMOTHORAX in shown else None)


def draw_opacities(wanted: Opacities, chest: Chest, plane: Plane, attenuation: Array, lung: Array) -> None:
    """Draw effusion, consolidation and interstitial pattern in place.

    Args:
        wanted: What.
        chest: Of whom.
        plane: Of the picture.
        attenuation: Line integrals of soft tissue and lung; changed.
        lung: Length of each ray in aerated lung, mm; less where fluid took its place.
    """
    if INTERSTITIAL in wanted.shown:
        _draw_interstitial(chest, plane, attenuation, lung)
    if CONSOLIDATION in wanted.shown:
        _draw_consolidation(chest, plane, attenuation, lung)
    if EFFUSION in wanted.shown:
        rng = stream(chest.seed, "effusion")
        for sign in _SIDES if rng.random() < 0.35 else (int(rng.choice(_SIDES)),):
            _draw_effusion(rng, chest, plane, attenuation, lung, sign)


def _fill(share: Array, chest: Chest, attenuation: Array, lung: Array) -> None:
    """Put soft tissue in the place of a share (0 to 1) of the lung in each ray."""
    amount = share * lung
    attenuation += amount * np.float32(MU_SOFT - MU_LUNG * (1 + chest.haze))
    lung -= amount


def _draw_effusion(  # noqa: PLR0917
    rng: np.random.Generator, chest: Chest, plane: Plane, attenuation: Array, lung: Array, sign: int
) -> None:
    """Fluid at the base with its meniscus: it rises towards the side wall."""
    whole = plane.whole()
    height = float(np.exp(rng.uniform(np.log(40), np.log(150))))
    floor = chest.height / 2 + (chest.left_drop if sign > 0 else 0.0) + 0.55 * chest.dome
    across = np.clip((whole.x - np.float32(chest.turn)) * sign / np.float32(chest.half_width), 0, 1)
    surface = np.float32(floor) - np.float32(height) * (np.float32(0.5) + np.float32(0.5) * across**2)
    surface += np.float32(2.0) * smooth_noise(rng, plane, 30.0)
    share = edge(surface - whole.y, float(rng.uniform(12, 30))) * ((whole.x - np.float32(chest.turn)) * sign > 0)
    _fill(np.asarray(share * np.float32(rng.uniform(0.7, 0.95)), dtype=np.float32), chest, attenuation, lung)


def _draw_consolidation(chest: Chest, plane: Plane, attenuation: Array, lung: Array) -> None:
    """One or two patches with soft, uneven edges; the lung before and behind stays."""
    rng = stream(chest.seed, "consolidation")
    whole = plane.whole()
    for _ in range(int(rng.integers(1, 3))):
        rows, columns = np.nonzero(lung > 60)
        if not len(rows):
            return
        at = int(rng.integers(len(rows)))
        x, y = whole.x[rows[at], columns[at]], whole.y[rows[at], columns[at]]
        radius = float(rng.uniform(24, 52))
        away = np.hypot(whole.x - x, (whole.y - y) / np.float32(rng.uniform(0.7, 1.3))) / np.float32(radius)
        uneven = away + np.float32(0.16) * smooth_noise(rng, plane, 0.45 * radius)
        patch = edge(uneven - 1, float(rng.uniform(0.35, 0.8)))
        clouds = np.clip(1 + np.float32(0.16) * smooth_noise(rng, plane, 8.0), 0, 1.4)
        share = np.clip(patch * clouds * np.float32(rng.uniform(0.3, 0.6)), 0, 0.9)
        _fill(np.asarray(share, dtype=np.float32), chest, attenuation, lung)


def _draw_interstitial(chest: Chest, plane: Plane, attenuation: Array, lung: Array) -> None:
    """A net of fine lines in both lungs, denser towards the bases, and some haze."""
    rng = stream(chest.seed, "interstitial")
    whole = plane.whole()
    depth = np.clip((whole.y + np.float32(chest.height / 2)) / np.float32(chest.height), 0, 1)
    basal = np.float32(rng.uniform(0.0, 0.8))
    weight = (1 - basal + basal * depth) * np.clip(lung / np.float32(2 * chest.half_depth), 0, 1)
    net = np.zeros(plane.shape, dtype=np.float32)
    for knot_mm in (3.5, 6.0):
        ridges = np.abs(smooth_noise(rng, plane, knot_mm))
        net += np.clip(1 - ridges * np.float32(2.6), 0, 1)
    strength, haze = float(rng.uniform(0.10, 0.24)), float(rng.uniform(0.03, 0.10))
    attenuation += np.asarray(np.float32(strength) * weight * net, dtype=np.float32)
    _fill(np.asarray(np.float32(haze) * weight, dtype=np.float32), chest, attenuation, lung)
