"""Borders and letters: collimation, lead markers, and text burned into the picture."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from app.demo.phantoms.radiographs.plane import Array, Plane

LEAD = 4.0
"""Attenuation of a lead letter."""


def letters(text: str, height: int, angle: float = 0.0) -> Array:
    """A text as a mask, 0 to 1, (rows, columns).

    Args:
        text: What to write.
        height: Of the font, pixels.
        angle: Turn, degrees.
    """
    font = ImageFont.load_default(size=max(height, 6))
    left, top, right, bottom = font.getbbox(text)
    picture = Image.new("L", (int(right - left) + 4, int(bottom - top) + 4))
    ImageDraw.Draw(picture).text((2 - left, 2 - top), text, fill=255, font=font)
    turned = picture.rotate(angle, expand=True, resample=Image.Resampling.BILINEAR)
    return np.asarray(turned, dtype=np.float32) / np.float32(255)


def paste(out: Array, mask: Array, row: int, column: int, value: float, *, add: bool) -> None:
    """Put a mask into an array, cut at its borders: added times `value`, or blended towards `value`."""
    top, left = max(row, 0), max(column, 0)
    bottom, right = min(row + mask.shape[0], out.shape[0]), min(column + mask.shape[1], out.shape[1])
    if bottom <= top or right <= left:
        return
    part = mask[top - row : bottom - row, left - column : right - column]
    place = out[top:bottom, left:right]
    if add:
        place += np.float32(value) * part
    else:
        place += part * (np.float32(value) - place)


def lead_marker(  # noqa: PLR0917
    rng: np.random.Generator, plane: Plane, attenuation: Array, text: str, size_mm: float, right: bool
) -> None:
    """Lay a lead letter on the detector near the upper corner, in place."""
    mask = letters(text, int(size_mm / plane.pitch_mm), float(rng.normal(0, 8) + (90 if rng.random() < 0.1 else 0)))
    row = int(plane.rows * rng.uniform(0.02, 0.16))
    away = int(plane.columns * rng.uniform(0.02, 0.08))
    column = plane.columns - away - mask.shape[1] if right else away
    paste(attenuation, mask, row, column, LEAD, add=True)


def burn_text(rng: np.random.Generator, picture: Array, text: str) -> None:
    """Write white text near a border of the finished picture, in place."""
    mask = letters(text, int(picture.shape[0] * rng.uniform(0.018, 0.03)))
    row = int(picture.shape[0] * (rng.uniform(0.01, 0.05) if rng.random() < 0.7 else rng.uniform(0.93, 0.96)))
    column = int((picture.shape[1] - mask.shape[1]) * rng.uniform(0.03, 0.97))
    paste(picture, mask, row, column, 1.0, add=False)


def collimate(rng: np.random.Generator, plane: Plane, picture: Array, margin: float, soft_mm: float = 1.0) -> None:
    """Hide what the collimator kept dark, in place: black as processed, or bright as it is without exposure.

    Args:
        rng: Draws the four edges, their turn and their shade.
        plane: Of the pixels.
        picture: 0 black to 1 white.
        margin: Largest share of a side that may be hidden.
        soft_mm: Width of the penumbra.
    """
    angle = np.deg2rad(rng.normal(0, 1.0))
    rows = (np.arange(plane.rows, dtype=np.float32) + 0.5)[:, None]
    columns = (np.arange(plane.columns, dtype=np.float32) + 0.5)[None, :]
    tilt = np.float32(np.tan(angle))
    share = rng.uniform(0, margin, 4) * (rng.random(4) < 0.7)
    inside = np.minimum(
        rows + tilt * columns - share[0] * plane.rows, (1 - share[1]) * plane.rows - rows - tilt * columns
    )
    across = np.minimum(
        columns - tilt * rows - share[2] * plane.columns, (1 - share[3]) * plane.columns - columns + tilt * rows
    )
    inside = np.minimum(inside, across)
    cover = np.clip(inside / np.float32(max(soft_mm / plane.pitch_mm, 1.0)) + 0.5, 0, 1)
    shade = 0.0 if rng.random() < 0.75 else float(rng.uniform(0.85, 1.0))
    hidden = share > 0
    if hidden.any():
        picture += (1 - cover.astype(np.float32)) * (np.float32(shade) - picture)
