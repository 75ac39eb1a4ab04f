"""What looks like blood and is none, in studies with and without bleeds alike."""

from dataclasses import dataclass

import numpy as np

from app.demo.phantoms.fields import Array, cover, smooth_field, stream
from app.demo.phantoms.tissue import Tissue, dura


@dataclass(frozen=True, slots=True)
class Spot:
    """A dense ball: a calcification, or a vessel seen end on. Centre (x, y, z) and radius in mm."""

    center_mm: tuple[float, float, float]
    radius_mm: float
    hu: float


@dataclass(frozen=True, slots=True)
class Distractors:
    """What was put into one head.

    Attributes:
        spots: Calcifications of choroid plexus, pineal gland, falx and basal ganglia.
        vessels: Dense arteries: balls along the first part of the middle cerebral and the basilar artery.
        dural_hu: Density of thickened falx, tentorium and sinuses, by contrast agent or thick blood; 0 for as usual.
        cortical_hu: What contrast agent adds to grey matter.
        cupping_hu, cupping_mm: Brightening under the skull, and the depth over which it fades.
        petrous_hu: Amplitude of the dark and bright bands between the petrous bones.
        shade_hu: Amplitude of slow shading across the head.
    """

    spots: tuple[Spot, ...]
    vessels: tuple[Spot, ...]
    dural_hu: float
    cortical_hu: float
    cupping_hu: float
    cupping_mm: float
    petrous_hu: float
    shade_hu: float


def _plexus(rng: np.random.Generator) -> list[Spot]:
    spots = []
    for side in (-1, 1):
        if rng.random() < 0.5:
            center = (side * 21 + rng.normal(0, 1.5), 32 + rng.normal(0, 3), 7 + rng.normal(0, 2))
            spots.append(Spot(center, float(rng.uniform(1.8, 6)), float(rng.uniform(60, 250))))
    return spots


def _midline(rng: np.random.Generator) -> list[Spot]:
    spots = []
    if rng.random() < 0.5:
        pineal = (rng.normal(0, 1), 21 + rng.normal(0, 1.5), -1.0)
        spots.append(Spot(pineal, float(rng.uniform(1.5, 4.5)), float(rng.uniform(80, 350))))
    for _ in range(int(rng.integers(0, 4)) if rng.random() < 0.4 else 0):
        place = (rng.normal(0, 0.8), float(rng.uniform(-60, 40)), float(rng.uniform(42, 60)))
        spots.append(Spot(place, float(rng.uniform(1.5, 4)), float(rng.uniform(100, 400))))
    return spots


def _ganglia(rng: np.random.Generator) -> list[Spot]:
    spots = []
    for chance, (x, y, z), radius in ((0.4, (21, -4, 1), 5.5), (0.15, (14, 42, -40), 5.0)):
        if rng.random() > chance:
            continue
        density = float(rng.uniform(56, 140))
        for side in (-1, 1):
            for _ in range(int(rng.integers(1, 5))):
                center = (side * (x + rng.normal(0, 2.5)), y + rng.normal(0, 4), z + rng.normal(0, 2.5))
                spots.append(Spot(center, float(rng.uniform(1.5, radius)), density))
    return spots


def _vessels(rng: np.random.Generator) -> tuple[Spot, ...]:
    if rng.random() > 0.4:
        return ()
    hu = float(rng.uniform(48, 68))
    spots = [Spot((rng.normal(0, 1), -1.0, float(z)), 2.2, hu) for z in np.arange(-42, -24, 1.5)]
    for side in (-1, 1):
        course = [(side * (6 + 26 * t), -12 - 4 * np.sin(3 * t), -22 + 10 * t) for t in np.linspace(0, 1, 16)]
        spots += [Spot(center, 1.6, hu) for center in course]
    return tuple(spots)


def sample_distractors(seed: int) -> Distractors:
    """Draw what one head holds besides anatomy and bleeds."""
    rng = stream(seed, "distractors")
    dense = rng.random() < 0.35
    return Distractors(
        spots=tuple(_plexus(rng) + _midline(rng) + _ganglia(rng)),
        vessels=_vessels(rng),
        dural_hu=float(rng.uniform(62, 95)) if dense else 0.0,
        cortical_hu=float(rng.uniform(0, 6)) if dense else 0.0,
        cupping_hu=float(rng.uniform(0, 22)),
        cupping_mm=float(rng.uniform(3, 8)),
        petrous_hu=float(rng.uniform(3, 24)),
        shade_hu=float(rng.uniform(0.3, 2.2)),
    )


def _draw_spot(spot: Spot, tissue: Tissue, hu: Array, roughness: Array | None) -> None:
    brain = tissue.brain
    x, y, z = spot.center_mm
    reach = spot.radius_mm + 14
    part = brain.grid.window((z - reach, y - reach, x - reach), (z + reach, y + reach, x + reach))
    away = np.sqrt((brain.x[part] - x) ** 2 + (brain.y[part] - y) ** 2 + (brain.z[part] - z) ** 2)
    if roughness is not None:
        away = away + 0.8 * roughness[part]
    amount = cover(away - spot.radius_mm, 2 * brain.grid.pitch_mm) * (tissue.frame.depth[part] > 0)
    target = hu[part]
    hu[part] = target + amount * np.maximum(spot.hu - target, 0)


def add_distractors(distractors: Distractors, tissue: Tissue, hu: Array) -> None:
    """Draw them into Hounsfield units in place."""
    frame = tissue.frame
    rng = stream(tissue.head.seed, "distractor fields")
    roughness = smooth_field(rng, frame.grid, 4.0)
    for spot in distractors.spots:
        _draw_spot(spot, tissue, hu, roughness)
    for spot in distractors.vessels:
        _draw_spot(spot, tissue, hu, None)
    inside = frame.depth > 0
    if distractors.dural_hu:
        sheets, sinuses = dura(frame, tissue.brain, 0.9)
        for part in (sheets, sinuses):
            hu += part * np.maximum(distractors.dural_hu - hu, 0)
        hu += distractors.cortical_hu * tissue.grey * (hu > 25) * (hu < 45) * inside
    cupping = distractors.cupping_hu * np.exp(-np.maximum(frame.depth, 0) / np.float32(distractors.cupping_mm))
    band = np.exp(-(((frame.z + 34) / 9) ** 2) - ((frame.y - 8) / 26) ** 2 - (frame.x / 45) ** 2)
    streaks = 0.3 + 0.8 * smooth_field(rng, frame.grid, 11.0)
    shade = distractors.shade_hu * smooth_field(rng, frame.grid, 45.0)
    hu += inside * (cupping - distractors.petrous_hu * band * streaks + shade)
