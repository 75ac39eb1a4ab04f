"""Draws a head on a grid as T1-weighted signal, with what later steps need to place vessels and metastases."""

from dataclasses import dataclass

import numpy as np

from app.demo.phantoms.anatomy import Frame, Head, cut, ellipsoid, frame_of
from app.demo.phantoms.fields import Array, Grid, cover, smooth_field, stream
from app.demo.phantoms.mr.signals import Signals
from app.demo.phantoms.mr.surroundings import surroundings
from app.demo.phantoms.tissue import clefts, cone, dura, nuclei, ventricles

_LOW_MM, _EXTENT_MM = (-106.0, -116.0, -90.0), (196.0, 232.0, 180.0)


@dataclass(frozen=True, slots=True)
class Scene:
    """A drawn head; arrays have the shape of the frame's grid.

    Attributes:
        head, frame, signals: What was drawn.
        signal: In units of white matter.
        inside: Fraction of each voxel within the cranial cavity.
        fluid: Fraction of cerebrospinal fluid, ventricles and sulci together.
        ventricles: Fraction of ventricular fluid alone.
        grey: Fraction of grey matter in the brain.
        sinuses: Fraction of venous sinuses.
    """

    head: Head
    frame: Frame
    signals: Signals
    signal: Array
    inside: Array
    fluid: Array
    ventricles: Array
    grey: Array
    sinuses: Array


def mr_grid(pitch_mm: float) -> Grid:
    """The grid on which a head is drawn: from the upper neck to above the vertex."""
    shape = tuple(int(np.ceil(length / pitch_mm)) + 1 for length in _EXTENT_MM)
    return Grid(_LOW_MM, pitch_mm, (shape[0], shape[1], shape[2]))


def cerebellum(frame: Frame) -> Array:
    """How much of each voxel lies below the tentorium and behind the brainstem, 0 to 1."""
    roof = -17 - 0.28 * np.abs(frame.x) - 0.12 * (frame.y - 30)
    return cover(np.maximum(frame.z - roof, 16 - frame.y), 6.0)


def _folds(head: Head, frame: Frame) -> tuple[Array, Array]:
    """Fraction of subarachnoid fluid in each voxel, and of the grey matter that lines it.

    Sulci are where a smooth field changes its sign; its absolute value is about the distance to them.
    """
    rng = stream(head.seed, "mr sulci")
    fold = np.abs(smooth_field(rng, frame.grid, 8.0)) * np.float32(7.0)
    wide = smooth_field(rng, frame.grid, 30.0)
    reach = 15 + 4 * head.atrophy + 3 * wide
    half = 0.3 + 1.0 * head.atrophy + 0.3 * wide + np.clip(4 - frame.depth, 0, 4) * np.float32(0.22)
    shape = np.maximum(fold - half, (frame.depth - reach) * np.float32(0.6))
    np.minimum(shape, frame.depth - (0.7 + 1.8 * head.atrophy + 0.4 * wide), out=shape)
    below = cerebellum(frame)
    shape += below * np.clip(frame.depth - 3, 0, 4)
    clefts(head, frame, smooth_field(rng, frame.grid, 10.0), shape)
    ribbon = cover(shape - np.float32(2.9), 1.6) * (1 - below)
    return cover(shape, frame.grid.pitch_mm), ribbon


def _grey(frame: Frame, ribbon: Array) -> Array:
    """Cortex along sulci and surface but not around the brainstem, deep nuclei, and the folia of the cerebellum."""
    below = cerebellum(frame)
    bend = smooth_field(stream(1, "folia"), frame.grid, 12.0)
    folia = 0.5 + 0.5 * np.sin((frame.z - 0.45 * frame.y + 3 * bend) * np.float32(2 * np.pi / 4.6))
    depth = np.clip(1.15 - frame.depth / np.float32(24), 0.15, 1)
    cortex = ribbon.copy()
    part = frame.grid.window((-82, -14, -22), (2, 30, 22))
    cortex[part] *= 1 - cover(ellipsoid(cut(frame, part), (0, 8, -40), (15, 14, 34)), 6.0)
    grey = cortex + below * np.clip(folia * depth + 0.25 * depth, 0, 1)
    return np.asarray(np.clip(np.maximum(grey, nuclei(frame)), 0, 1), dtype=np.float32)


def _enhancing(scene: Scene) -> None:
    """Put in choroid plexus, pituitary gland with stalk, pineal gland and cavernous sinuses."""
    frame, signals, signal = scene.frame, scene.signals, scene.signal
    pitch = frame.grid.pitch_mm
    rng = stream(scene.head.seed, "mr plexus")
    rough = smooth_field(rng, frame.grid, 5.0)
    part = frame.grid.window((-70, -40, -45), (45, 75, 45))
    near = cut(frame, part)
    side = np.abs(near.x)
    size = float(rng.uniform(0.75, 1.3))
    glomus = [ellipsoid(near, (sign * 21, 32, 7), (3.4 * size, 6.5 * size, 5 * size)) for sign in (-1, 1)]
    thread = cone(side, near.y, near.z, ((20, 29, 8, 2.0 * size), (8, -6, 12, 0.9)), 0.0)
    lower = cone(side, near.y, near.z, ((21, 33, 4, 1.8 * size), (30, 8, -15, 0.8)), 0.0)
    fourth = cone(side, near.y, near.z, ((0, 32, -44, 1.8), (9, 28, -46, 1.0)), 0.0)
    shape = np.minimum.reduce([*glomus, thread, lower, fourth]) + 0.8 * rough[part]
    pieces = [
        (cover(shape, 1.5 * pitch) * np.clip(3 * scene.ventricles[part] + 0.15, 0, 1), signals.plexus),
        (cover(ellipsoid(near, (0, 22, -1), (2.6, 3.4, 2.4)), 1.5 * pitch), signals.plexus * 0.9),
        (cover(ellipsoid(near, (0, -24, -34), (6.5, 5, 3.6)), 1.5 * pitch), signals.pituitary),
        (cover(cone(near.x, near.y, near.z, ((0, -23, -32, 0.9), (0, -17, -24, 0.8)), 0.0), pitch), signals.pituitary),
        (cover(ellipsoid(near, (-12, -22, -36), (3.8, 8, 5)), 2 * pitch), 0.9 * signals.blood),
        (cover(ellipsoid(near, (12, -22, -36), (3.8, 8, 5)), 2 * pitch), 0.9 * signals.blood),
    ]
    view = signal[part]
    for amount, value in pieces:
        view += amount * (value - view)


def draw_scene(head: Head, signals: Signals, pitch_mm: float) -> Scene:
    """Draw everything but vessels finer than the grid, and disease.

    Args:
        head: Whose anatomy.
        signals: How bright each tissue is.
        pitch_mm: Of the grid.
    """
    frame = frame_of(head, mr_grid(pitch_mm))
    chambers = ventricles(head, frame)
    liquor, ribbon = _folds(head, frame)
    liquor *= 1 - chambers
    inside = cover(-frame.depth, pitch_mm)
    grey = _grey(frame, ribbon)
    uneven = 0.025 * smooth_field(stream(head.seed, "mr uneven"), frame.grid, 12.0)
    content = 1 + grey * np.float32(signals.grey - 1) + uneven
    water = np.clip(liquor + chambers, 0, 1)
    content += water * (signals.fluid - content)
    sheets, sinuses = dura(frame, frame)
    lining = cover(np.abs(frame.depth - 0.2) - 0.5, pitch_mm) * cover(-frame.z - 30, 20.0)
    for amount, value in ((np.maximum(sheets, 0.5 * lining), signals.dura), (sinuses, signals.blood)):
        content += amount * (value - content)
    signal = surroundings(head, frame, signals)
    signal += inside * (content - signal)
    scene = Scene(head, frame, signals, signal, inside, water * inside, chambers * inside, grey, sinuses)
    _enhancing(scene)
    coil = np.clip((frame.grid.axis(0) + np.float32(112)) / np.float32(42), 0.05, 1)
    signal *= coil[:, None, None]
    return scene
