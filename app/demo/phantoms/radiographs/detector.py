"""From attenuation to a picture: Beer-Lambert, scatter, blur, quantum noise, and the processing of CR and DX."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from app.demo.phantoms.fields import stream
from app.demo.phantoms.radiographs.plane import Array, Plane


@dataclass(frozen=True, slots=True)
class Exposure:
    """How a picture was taken and processed.

    Attributes:
        quanta_mm2: Detected quanta per mm² in the unattenuated beam.
        scatter: Scattered to direct radiation behind the average body, after the grid.
        spread_mm: Width of the scatter.
        blur_mm: Standard deviation of the detector's and focal spot's blur.
        equalisation: Share of the coarse contrast that processing takes away, 0 to 1.
        sharpening: Gain of fine detail.
        contrast: Slope of the tone curve.
        brightness: Shift of the tone curve.
        grid_lines: Amplitude of the lines of a badly placed grid, 0 for none.
    """

    quanta_mm2: float
    scatter: float
    spread_mm: float
    blur_mm: float
    equalisation: float
    sharpening: float
    contrast: float
    brightness: float
    grid_lines: float


def coarse_blur(image: Array, width: float) -> Array:
    """A wide Gaussian blur of `width` pixels, on a coarser grid where that shows no difference."""
    step = max(1, int(width / 4))
    if step == 1:
        return np.asarray(ndimage.gaussian_filter(image, width, mode="nearest", truncate=3))
    rows, columns = (-(-size // step) for size in image.shape)
    padded = np.pad(image, ((0, rows * step - image.shape[0]), (0, columns * step - image.shape[1])), mode="edge")
    small = padded.reshape(rows, step, columns, step).mean(axis=(1, 3))
    small = ndimage.gaussian_filter(small, width / step, mode="nearest", truncate=3)
    sides = []
    for size, count in zip(image.shape, small.shape, strict=True):
        at = np.clip((np.arange(size) + 0.5) / step - 0.5, 0, count - 1)[:, None] - np.arange(count)[None, :]
        sides.append(np.clip(1 - np.abs(at), 0, None).astype(np.float32))
    return np.asarray(sides[0] @ small @ sides[1].T, dtype=np.float32)


def expose(attenuation: Array, plane: Plane, exposure: Exposure, seed: int) -> Array:
    """Attenuation as the system shows it.

    Args:
        attenuation: Line integral along each ray, without unit.
        plane: Of the pixels.
        exposure: How.
        seed: Draws the noise.

    Returns:
        0 black to about 1 white, where much was attenuated.
    """
    pitch = plane.pitch_mm
    direct = np.exp(-np.maximum(attenuation, 0))
    scatter = np.float32(exposure.scatter) * coarse_blur(np.minimum(direct, 0.25), exposure.spread_mm / pitch)
    signal = ndimage.gaussian_filter(direct, max(exposure.blur_mm / pitch, 0.3), truncate=3) + scatter
    rng = stream(seed, "quantum noise")
    count = np.float32(exposure.quanta_mm2 * pitch**2)
    noise = rng.standard_normal(plane.shape, dtype=np.float32)
    noise *= np.sqrt(signal / count + np.float32(2e-9))
    signal += ndimage.gaussian_filter(noise, 0.45) * np.float32(1.35)
    if exposure.grid_lines:
        period = 2.7 * rng.uniform(0.8, 1.2)
        lines = np.sin(2 * np.pi * np.arange(plane.columns) / period).astype(np.float32)
        signal *= 1 + np.float32(exposure.grid_lines) * lines[None, :]
    return tone(-np.log(np.maximum(signal, 1e-4)), plane, exposure)


def tone(density: Array, plane: Plane, exposure: Exposure) -> Array:
    """The processing: dynamic range compression, sharpening and an S-shaped curve around the body's own range."""
    wide = coarse_blur(density, 22.0 / plane.pitch_mm)
    fine = coarse_blur(density, 2.0 / plane.pitch_mm)
    value = density - np.float32(exposure.equalisation) * wide + np.float32(exposure.sharpening) * (density - fine)
    body = value[::4, ::4][density[::4, ::4] > np.float32(0.35)]
    if body.size < 100:
        body = value[::4, ::4].ravel()
    low, high = np.percentile(body, [18, 88])
    middle = (low + high) / 2 - exposure.brightness * (high - low)
    slope = exposure.contrast * 3.0 / max(float(high - low), 0.5)
    return np.asarray(1 / (1 + np.exp(-np.float32(slope) * (value - np.float32(middle)))), dtype=np.float32)


def sample_exposure(rng: np.random.Generator, *, portable: bool = False, small_part: bool = False) -> Exposure:
    """Draw how a picture was taken: portable ones have no grid; small parts (a wrist) scatter little."""
    scatter = rng.uniform(0.05, 0.2) if small_part else rng.uniform(0.35, 0.8) if portable else rng.uniform(0.12, 0.4)
    quanta = np.exp(rng.uniform(np.log(3e4), np.log(4e5)))
    return Exposure(
        quanta_mm2=float(quanta) * (3.0 if small_part else 1.0),
        scatter=float(scatter),
        spread_mm=float(rng.uniform(6, 12) if small_part else rng.uniform(18, 35)),
        blur_mm=float(rng.uniform(0.08, 0.16) if small_part else rng.uniform(0.15, 0.35)),
        equalisation=float(rng.uniform(0.0, 0.45)),
        sharpening=float(rng.uniform(0.0, 0.7)),
        contrast=float(rng.uniform(0.55, 0.9) if small_part else rng.uniform(0.8, 1.3)),
        brightness=float(rng.uniform(-0.12, 0.12)),
        grid_lines=float(rng.uniform(0.002, 0.006)) if portable and rng.random() < 0.1 else 0.0,
    )
