"""Draws a head on a grid: Hounsfield units, and where cerebrospinal fluid and ventricles are."""

from dataclasses import dataclass, replace

import numpy as np

from app.demo.phantoms.anatomy import Frame, Head, cavity_depth, ellipsoid, ellipsoid_distance
from app.demo.phantoms.fields import Array, cover, smooth_field, stream

AIR_HU = -1000.0
_SULCUS_MM = 6.0  # from a field's value to the distance from its zero, for knots 7 mm apart

Segment = tuple[tuple[float, float, float, float], tuple[float, float, float, float]]

# Lateral ventricle, right half mirrored: ends of rounded cones as (x, y, z, radius), mm.
_LATERAL: tuple[Segment, ...] = (
    ((7, -34, 6, 3.0), (9, -18, 14, 5.0)),
    ((9, -18, 14, 5.0), (10, 5, 21, 4.5)),
    ((10, 5, 21, 4.5), (19, 27, 14, 5.5)),
    ((19, 27, 14, 5.5), (22, 33, 6, 6.0)),
    ((22, 33, 6, 6.0), (19, 52, 4, 3.0)),
    ((22, 33, 6, 6.0), (31, 12, -14, 2.4)),
    ((31, 12, -14, 2.4), (30, -4, -22, 2.0)),
)

# Nasal cavity and ethmoid cells, sphenoid sinus, frontal sinus: centre and half axes (x, y, z), mm.
_AIR_SPACES: tuple[tuple[tuple[float, float, float], tuple[float, float, float]], ...] = (
    ((0, -62, -40), (9, 22, 15)),
    ((0, -28, -45), (10, 9, 8)),
    ((0, -88, -10), (17, 5, 14)),
)


@dataclass(frozen=True, slots=True)
class Tissue:
    """A drawn head; all arrays have the shape of the frame's grid.

    Attributes:
        head, frame: What was drawn.
        hu: Hounsfield units.
        brain: The frame whose interior a mass has displaced; the skull stays in `frame`.
        fluid: Fraction of subarachnoid cerebrospinal fluid: sulci, fissures, cisterns, 0 to 1.
        ventricles: Fraction of ventricular fluid, 0 to 1.
        grey: Fraction of grey matter in the brain.
    """

    head: Head
    frame: Frame
    hu: Array
    brain: Frame
    fluid: Array
    ventricles: Array
    grey: Array


def cone(x: Array, y: Array, z: Array, segment: Segment, extra: float) -> Array:
    """Signed distance to a rounded cone between two spheres (approximate for unequal radii)."""
    (ax, ay, az, ar), (bx, by, bz, br) = segment
    dx, dy, dz = bx - ax, by - ay, bz - az
    along = ((x - ax) * dx + (y - ay) * dy + (z - az) * dz) / (dx * dx + dy * dy + dz * dz)
    along = np.clip(along, 0, 1)
    away = np.sqrt((x - ax - along * dx) ** 2 + (y - ay - along * dy) ** 2 + (z - az - along * dz) ** 2)
    return np.asarray(away - (ar + (br - ar) * along + extra), dtype=np.float32)


def ventricles(head: Head, brain: Frame) -> Array:
    """Fraction of ventricular fluid in each voxel."""
    pitch = brain.grid.pitch_mm
    part = brain.grid.window((-66, -66, -62), (48, 84, 62))
    x, y, z = brain.x[part], brain.y[part], brain.z[part]
    side = np.where(x > 0, np.float32(head.ventricle_mm[0]), np.float32(head.ventricle_mm[1]))
    mirrored = np.abs(x)
    lateral = np.full(x.shape, 1e3, dtype=np.float32)
    for segment in _LATERAL:
        np.minimum(lateral, cone(mirrored, y, z, segment, 0.0), out=lateral)
    lateral -= side * cover(z.__neg__() - 2, 8.0) + 0.25 * side
    half = 1.4 + 3.0 * head.atrophy
    third = np.maximum(mirrored - half, ellipsoid_distance(x, y - 2, z + 2, (20, 17, 12)))
    fourth = ellipsoid_distance(x, y - 27, z + 38, (6 + 3 * head.atrophy, 5, 10))
    result = np.zeros(brain.x.shape, dtype=np.float32)
    result[part] = cover(np.minimum(np.minimum(lateral, third), fourth), pitch)
    return result


def _sheet(brain: Frame, part: tuple[slice, slice, slice], head: Head) -> Array:
    """Signed distance to the Sylvian fissures and the sheet over the insula."""
    x, y, z = np.abs(brain.x[part]), brain.y[part], brain.z[part]
    half = 0.9 + 1.6 * head.atrophy
    fissure = np.abs(z + 6 - 0.55 * (y + 10)) * 0.88 - half * (1.25 - 0.011 * x)
    fissure = np.maximum(np.maximum(fissure, 27 - x), np.abs(y + 6) - 26)
    insula = np.maximum(np.abs(x - 40 + 0.1 * y) - half * 0.8, np.abs(y + 2) - 20)
    insula = np.maximum(insula, np.abs(z - 4) - 12)
    return np.asarray(np.minimum(fissure, insula), dtype=np.float32)


def clefts(head: Head, brain: Frame, bend: Array, shape: Array) -> None:
    """Lower a signed distance, in place, to that of the great fissures and the basal cisterns.

    Args:
        head: Whose.
        brain: Where its brain lies.
        bend: Smooth field, standard deviation about 1, that keeps the fissures from being planes.
        shape: Signed distance to other fluid, mm, negative inside; shape of the grid.
    """
    bent = replace(brain, x=brain.x + 1.3 * bend, y=brain.y - 1.3 * bend, z=brain.z + 1.0 * bend)
    part = brain.grid.window((-45, -50, -75), (40, 50, 75))
    shape[part] = np.minimum(shape[part], _sheet(bent, part, head))
    fissure = np.maximum(np.abs(brain.x) - (0.7 + 0.9 * head.atrophy), 16 - brain.z)
    fissure = np.maximum(fissure, ellipsoid(brain, (0, 8, 0), (30, 42, 30)).__neg__())
    np.minimum(shape, fissure, out=shape)
    part = brain.grid.window((-78, -50, -50), (15, 60, 50))
    shape[part] = np.minimum(shape[part], _cisterns(bent, part, head))


def fluid(head: Head, brain: Frame, depth: Array) -> Array:
    """Fraction of subarachnoid fluid in each voxel of the cranial cavity."""
    pitch, grid = brain.grid.pitch_mm, brain.grid
    rng = stream(head.seed, "sulci")
    bend = smooth_field(rng, grid, 10.0)
    fold = np.abs(smooth_field(rng, grid, 7.0)) * np.float32(_SULCUS_MM)
    wide = smooth_field(rng, grid, 30.0)
    half = 0.35 + 1.1 * head.atrophy + 0.35 * wide
    reach = 9 + 5 * head.atrophy
    sulci = np.maximum(fold - half, (depth - reach) * 0.35)
    layer = depth - (0.6 + 2.0 * head.atrophy + 0.4 * wide)
    shape = np.minimum(sulci, layer)
    clefts(head, brain, bend, shape)
    return cover(shape, pitch)


def _cisterns(brain: Frame, part: tuple[slice, slice, slice], head: Head) -> Array:
    """Signed distance to the basal cisterns: suprasellar, ambient and quadrigeminal, prepontine."""
    x, y, z = brain.x[part], brain.y[part], brain.z[part]
    grow = 1.2 * head.atrophy
    suprasellar = ellipsoid_distance(x, y + 12, z + 22, (11 + grow, 9 + grow, 7))
    arms = np.maximum(np.abs(np.abs(x) * 0.55 - (y + 18)) - 1.8 - grow, np.abs(z + 21) - 5)
    arms = np.maximum(arms, np.abs(x) - 28)
    midbrain = ellipsoid_distance(x, y - 8, z + 16, (17, 16, 30))
    ring = np.maximum(np.maximum(np.abs(midbrain - 1) - 0.9 - grow, np.abs(z + 14) - 8), 2 - y)
    quadrigeminal = ellipsoid_distance(x, y - 27, z + 9, (9 + grow, 3.5 + grow, 6))
    prepontine = np.maximum(np.abs(y + 1 - 0.15 * (z + 40)) - 2.4 - grow, np.abs(x) - 13)
    prepontine = np.maximum(prepontine, np.maximum(z + 24, -68 - z))
    shape = np.minimum(np.minimum(suprasellar, arms), np.minimum(ring, quadrigeminal))
    return np.asarray(np.minimum(shape, prepontine), dtype=np.float32)


def nuclei(brain: Frame) -> Array:
    """Fraction of the deep grey nuclei in each voxel: caudate, lentiform, thalamus."""
    result = np.zeros(brain.x.shape, dtype=np.float32)
    part = brain.grid.window((-28, -40, -45), (35, 40, 45))
    x, y, z = np.abs(brain.x[part]), brain.y[part], brain.z[part]
    shape = np.minimum(
        ellipsoid_distance(x - 15, y + 14, z - 9, (4.5, 10, 9)),
        np.minimum(
            ellipsoid_distance(x - 25, y + 3, z - 2, (7, 16, 10)),
            ellipsoid_distance(x - 11, y - 12, z - 6, (8, 13, 8)),
        ),
    )
    result[part] = cover(shape, 3.0)
    return result


def _grey(head: Head, brain: Frame, depth: Array) -> Array:
    """Fraction of grey matter: cortical ribbon, folded, and the deep nuclei."""
    rng = stream(head.seed, "cortex")
    folded = depth + 4.0 * smooth_field(rng, brain.grid, 8.0)
    return np.asarray(np.maximum(cover(folded - 6.5, 4.0), nuclei(brain)), dtype=np.float32)


def face_distance(frame: Frame) -> Array:
    """Signed distance to the skin of face and neck, mm, negative inside."""
    face, neck = ellipsoid(frame, (0, -14, -58), (62, 84, 58)), ellipsoid(frame, (0, 34, -95), (58, 55, 60))
    return np.asarray(np.minimum(face, neck), dtype=np.float32)


def air_distance(frame: Frame) -> Array:
    """Signed distance to the air of nose and paranasal sinuses, mm, negative inside; outside the cranial cavity."""
    spaces = [ellipsoid(frame, center, axes) for center, axes in _AIR_SPACES]
    return np.asarray(np.maximum(np.minimum.reduce(spaces), frame.depth + 2.5), dtype=np.float32)


def _outside(head: Head, frame: Frame) -> Array:
    """Scalp, face, orbits and air around the cranial cavity, before the bones are put in."""
    pitch = frame.grid.pitch_mm
    scalp_mm = head.scalp_mm + 1.2 * smooth_field(stream(head.seed, "scalp"), frame.grid, 40.0)
    beyond = -frame.depth - head.skull_mm
    face = face_distance(frame)
    body = np.minimum(beyond - scalp_mm, face)
    texture = smooth_field(stream(head.seed, "soft tissue"), frame.grid, 10.0)
    soft = 40 - 110 * np.clip(texture + 0.2, 0, 1)
    scalp = np.where(body > -2.2, np.float32(30), np.float32(-60) + 25 * texture)
    soft = np.where(face < -4, soft, scalp)
    result = AIR_HU + (soft - AIR_HU) * cover(body, pitch)
    return np.asarray(result, dtype=np.float32)


def _bones(head: Head, frame: Frame, hu: Array) -> None:
    """Put in the skull with its diploe, the bones of the base, orbits and air spaces."""
    pitch, grid = frame.grid.pitch_mm, frame.grid
    rng = stream(head.seed, "bone")
    thickness = head.skull_mm * (1 + 0.22 * smooth_field(rng, grid, 35.0)) + 1.5 * cover(60 - frame.y, 30.0)
    shell = -frame.depth
    relative = shell / thickness
    diploe = np.clip(1 - np.abs(relative - 0.5) * 4, 0, 1) * cover(-frame.z - 5, 30.0)
    texture = smooth_field(rng, grid, 5.0)
    bone = head.cortical_hu - diploe * (head.cortical_hu - head.diploe_hu) + 60 * texture
    low = cover(frame.z + 30, 14.0)
    cells = (texture > 0.9) & (frame.y > -5) & (np.abs(frame.x) > 38) & (frame.z < -28)
    bone = np.where(cells, np.float32(-600), bone)
    amount = cover(np.maximum(-shell, shell - thickness), pitch)
    hu += amount * (bone - hu)
    base = cover(np.abs(texture) * 5 - 1.6, pitch) * low * (frame.depth < -2) * (hu > -300) * cover(frame.y - 45, 10.0)
    base *= np.maximum(ellipsoid(frame, (0, -14, -58), (52, 74, 50)), -70 - frame.z) < 0
    hu += base * (head.diploe_hu - hu)
    for sign in (-1, 1):
        orbit = np.maximum(ellipsoid(frame, (sign * 31, -70, -38), (19, 20, 18)), frame.depth + 2)
        hu += cover(orbit, pitch) * (-85 - hu)
        globe = np.maximum(ellipsoid(frame, (sign * 31, -78, -38), (12, 12, 12)), frame.depth + 2)
        hu += cover(globe, pitch) * (14 - hu)
        antrum = ellipsoid(frame, (sign * 24, -62, -70), (13, 15, 14))
        hu += cover(antrum, pitch) * (AIR_HU - hu)
    hu += cover(air_distance(frame), pitch) * (AIR_HU - hu)
    for sign in (-1, 1):
        petrous = cone(frame.x * sign, frame.y, frame.z, ((20, 2, -38, 4.5), (52, 22, -38, 8.5)), 0.0)
        hu += cover(petrous, 2 * pitch) * (head.cortical_hu + 150 + 120 * texture - hu)


def dura(frame: Frame, brain: Frame, extra_mm: float = 0.0) -> tuple[Array, Array]:
    """Fractions of falx and tentorium, and of venous sinuses, all thicker by `extra_mm` on each side."""
    pitch, depth = frame.grid.pitch_mm, frame.depth
    callosum = ellipsoid(brain, (0, 6, -6), (40, 54, 40))
    falx = np.maximum(np.abs(brain.x) - 0.75 - 0.6 * extra_mm, np.maximum(-callosum, -8 - frame.z))
    slope = -13 - 0.28 * np.abs(frame.x) - 0.12 * (frame.y - 30)
    incisura = ellipsoid(brain, (0, 8, -14), (21, 26, 40))
    tentorium = np.maximum(np.abs(frame.z - slope) - 0.7 - 0.6 * extra_mm, np.maximum(-incisura, 8 - frame.y))
    sheets = cover(np.minimum(falx, tentorium), pitch) * (depth > 0)
    sagittal = np.maximum(np.abs(frame.x) + depth * 0.7 - 5, -2 - frame.z)
    sagittal = np.maximum(sagittal, cover(frame.y + 60, 2.0) * 9 - 4.5)
    transverse = np.maximum(np.hypot(frame.z - slope + 1, depth - 2) - 3.4, 30 - frame.y)
    straight = np.maximum(np.hypot(frame.x, frame.z - slope - 1) - 2.2, np.abs(frame.y - 50) - 22)
    sinuses = np.minimum(np.minimum(sagittal, transverse), straight)
    return sheets, cover(sinuses - extra_mm, pitch) * (depth > 0)


def draw_head(head: Head, frame: Frame, brain: Frame) -> Tissue:
    """Draw everything but disease and distractors.

    Args:
        head: What to draw.
        frame: Of the skull.
        brain: Of its content; another object than `frame` where a mass displaces the brain.
    """
    pitch, depth = frame.grid.pitch_mm, frame.depth
    hu = _outside(head, frame)
    _bones(head, frame, hu)
    chambers = ventricles(head, brain)
    inside = cover(-depth, pitch)
    brain_depth = np.minimum(depth, cavity_depth(head, brain.x, brain.y, brain.z))
    liquor = fluid(head, brain, brain_depth) * (1 - chambers)
    grey = _grey(head, brain, brain_depth)
    uneven = 0.9 * smooth_field(stream(head.seed, "uneven"), frame.grid, 18.0)
    matter = head.white_hu + grey * (head.grey_hu - head.white_hu) + uneven
    water = np.clip(liquor + chambers, 0, 1)
    content = matter + water * (head.csf_hu - matter)
    sheets, sinuses = dura(frame, brain)
    content += sheets * (head.dura_hu - content)
    content += sinuses * (head.blood_hu - content)
    bony = hu > 200
    petrous = bony & (depth > 0)
    hu += inside * ~petrous * (content - hu)
    return Tissue(head, frame, hu, brain, liquor * (depth > 0), chambers * (depth > 0), grey)
