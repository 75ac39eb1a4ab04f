"""What lies around the brain: skull with its marrow, scalp, face, orbits, air spaces and the upper spinal canal."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.demo.phantoms.anatomy import Frame, Head, cut, ellipsoid
from app.demo.phantoms.fields import Array, cover, smooth_field, stream
from app.demo.phantoms.mr.signals import Signals
from app.demo.phantoms.tissue import air_distance, cone, face_distance


def _soft(head: Head, frame: Frame, signals: Signals, beyond: Array, texture: Array) -> tuple[Array, Array]:
    """Scalp fat under the skin, muscle with planes of fat in face and neck, air outside; and the depth of the skin."""
    rng = stream(head.seed, "mr soft tissue")
    scalp_mm = head.scalp_mm + 1.2 * smooth_field(rng, frame.grid, 40.0)
    face = face_distance(frame)
    body = np.minimum(beyond - scalp_mm, face)
    planes = np.clip(0.9 - np.abs(smooth_field(rng, frame.grid, 7.0)) * 3, 0, 1)
    planes = np.maximum(planes, np.clip(smooth_field(rng, frame.grid, 14.0) - 0.5, 0, 0.8))
    muscle = signals.muscle + planes * (0.8 * signals.fat - signals.muscle) + 0.05 * texture
    under_skin = np.clip(1 - np.abs(body + 4.5) / 4, 0, 1) * 0.8
    deep = muscle + under_skin * (0.8 * signals.fat - muscle)
    fat = signals.fat * (0.85 + 0.08 * texture)
    temporal = cover(np.maximum(np.abs(frame.z + 16) - 26, np.abs(frame.y + 30) - 24), 8.0)
    fat += temporal * (signals.muscle - fat)
    soft = np.where(face < -4, deep, fat)
    skin = cover(-body - 2.0, 1.5)
    soft += skin * (0.75 - soft)
    return np.asarray(soft * cover(body, frame.grid.pitch_mm), dtype=np.float32), body


def _skull(head: Head, frame: Frame, signals: Signals, signal: Array, texture: Array) -> Array:
    """Draw both tables dark and the marrow between them; returns the distance beyond the outer table, mm."""
    rng = stream(head.seed, "mr skull")
    thickness = head.skull_mm * (1 + 0.2 * smooth_field(rng, frame.grid, 30.0)) + 1.0 * cover(40 - frame.y, 30.0)
    shell = -frame.depth
    pitch = np.float32(frame.grid.pitch_mm)
    bone = cover(np.maximum(-shell, shell - thickness), frame.grid.pitch_mm)
    within = np.minimum(shell, thickness - shell)
    marrow = np.clip((within - 1.3) / pitch, 0, 1) * np.clip(0.75 + 0.25 * texture, 0.1, 1)
    value = signals.cortical + marrow * (signals.marrow - signals.cortical)
    signal += bone * (value - signal)
    return np.asarray(shell - thickness, dtype=np.float32)


def _base(frame: Frame, signals: Signals, signal: Array, texture: Array, body: Array) -> None:
    """Petrous bones with their air cells, clivus, orbits, air spaces and the upper spinal canal.

    Args:
        frame: Of the lower head, as the other arrays.
        texture: Smooth field.
        body: Signed distance to the skin, mm, negative inside.
        signals: How bright tissues are.
        signal: Of the lower head, drawn into in place.
    """
    pitch = frame.grid.pitch_mm
    outside = (frame.depth < 1.0) * cover(body + 3.0, 3.0)
    side = np.abs(frame.x)
    air = np.minimum(air_distance(frame), _pair(frame, (24, -62, -70), (13, 15, 14)))
    turbinates = np.clip(np.abs(texture) * 1.6 - 0.5, 0, 1)
    pieces: tuple[tuple[NDArray[Any], NDArray[Any] | float], ...] = (
        (
            cone(side, frame.y, frame.z, ((20, 2, -38, 4.5), (52, 22, -38, 8.5)), 0.0),
            signals.cortical + 0.5 * np.clip(texture, 0, 1) * signals.marrow,
        ),
        (
            cone(frame.x, frame.y, frame.z, ((0, -12, -44, 5.0), (0, 2, -64, 4.5)), 0.0),
            signals.marrow + 0.1 * texture,
        ),
        (_pair(frame, (31, -70, -38), (19, 20, 18)), 0.8 * signals.fat),
        (cone(side, frame.y, frame.z, ((31, -67, -38, 2.0), (14, -40, -34, 2.0)), 0.0), signals.muscle),
        (_pair(frame, (31, -79, -38), (12, 12, 12)), signals.eye),
        (_pair(frame, (31, -89, -38), (4.5, 2.2, 4.5)), signals.muscle),
        (air - 1.5, signals.mucosa),
        (air, 0.02 + turbinates * signals.mucosa * cover(frame.z + 28, 8.0)),
        (cone(frame.x, frame.y, frame.z, ((0, 20, -64, 11.0), (0, 24, -120, 8.5)), 0.0), signals.fluid),
        (cone(frame.x, frame.y, frame.z, ((0, 17, -60, 7.5), (0, 23, -120, 5.5)), 0.0), 0.95),
    )
    for distance, value in pieces:
        signal += cover(distance, pitch) * outside * (value - signal)


def _pair(frame: Frame, center: tuple[float, float, float], axes: tuple[float, float, float]) -> Array:
    """Signed distance to an ellipsoid on the left and its twin on the right."""
    x, y, z = center
    return np.minimum(ellipsoid(frame, (x, y, z), axes), ellipsoid(frame, (-x, y, z), axes))


def surroundings(head: Head, frame: Frame, signals: Signals) -> Array:
    """Signal outside the brain, in units of white matter; what is drawn inside the cavity has no meaning."""
    texture = smooth_field(stream(head.seed, "mr texture"), frame.grid, 4.0)
    signal = np.zeros(frame.x.shape, dtype=np.float32)
    beyond = _skull(head, frame, signals, signal, texture)
    soft, body = _soft(head, frame, signals, beyond, texture)
    signal += cover(-beyond, frame.grid.pitch_mm) * (soft - signal)
    low = frame.grid.window((-200, -200, -200), (5, 200, 200))
    _base(cut(frame, low), signals, signal[low], texture[low], body[low])
    return signal
