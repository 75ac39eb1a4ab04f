"""From a seed to a scanned head with its metastases and their truth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.demo.phantoms.anatomy import Head, sample_head
from app.demo.phantoms.mr.metastases import Metastasis, paint, sample_count, sample_diameters, sample_metastases, swell
from app.demo.phantoms.mr.scan import Plane, Scan, sample, sample_scan, spoil
from app.demo.phantoms.mr.scene import draw_scene
from app.demo.phantoms.mr.signals import Signals, sample_signals
from app.demo.phantoms.mr.truth import LesionTruth, truth_of
from app.demo.phantoms.mr.vessels import draw_vessels, sample_vessels


@dataclass(frozen=True, slots=True)
class MrPhantom:
    """A scanned head.

    Attributes:
        seed: Draws the same phantom again.
        head, signals, metastases, scan: What was scanned, and how.
        volume: (slices, rows, columns), float32, in units of white matter, never negative.
        mask: (slices, rows, columns), uint8; 0 nothing, n the lesion of that number.
        lesions: The truth, one for each number, largest first.
        stripped: Whether everything outside the brain is 0, as in public sets.
    """

    seed: int
    head: Head
    signals: Signals
    metastases: tuple[Metastasis, ...]
    scan: Scan
    volume: NDArray[np.float32]
    mask: NDArray[np.uint8]
    lesions: tuple[LesionTruth, ...]
    stripped: bool


def make_mr_phantom(
    seed: int,
    *,
    diameters: tuple[float, ...] | None = None,
    enhanced: bool = True,
    plane: Plane | None = None,
    spacing_mm: float | None = None,
    scan: Scan | None = None,
    stripped: bool = False,
    pitch_mm: float | None = None,
) -> MrPhantom:
    """Draw and scan a head.

    Args:
        seed: Same seed and arguments, same phantom.
        diameters: Of the metastases, mm; () for none; None lets the seed decide (half of the heads have none).
        enhanced: Whether contrast agent was given; without it no metastasis is drawn unless asked for.
        plane: Of the acquisition; None lets the seed decide between sagittal and axial.
        spacing_mm: Isotropic voxels, for training; None for a clinical protocol.
        scan: How to scan; overrides plane and spacing.
        stripped: Remove everything outside the brain.
        pitch_mm: Of the grid on which the head is drawn; None for 1.5 mm, or as coarse as a coarse scan.

    Raises:
        ValueError: There is no room for a metastasis, or metastases are asked for without contrast agent.
    """
    if diameters is None:
        diameters = tuple(sample_diameters(seed, sample_count(seed))) if enhanced else ()
    if diameters and not enhanced:
        raise ValueError("metastases are drawn by their enhancement: there are none without contrast agent")
    head, signals = sample_head(seed), sample_signals(seed, enhanced)
    scan = sample_scan(seed, plane, spacing_mm) if scan is None else scan
    pitch_mm = max(1.5, 0.8 * scan.pixel_mm) if pitch_mm is None else pitch_mm
    scene = draw_scene(head, signals, pitch_mm)
    metastases = sample_metastases(scene, sorted(diameters, reverse=True))
    swell(scene, metastases)
    volume = sample(scene.signal, scene.frame.grid, scan)
    draw_vessels(volume, sample_vessels(scene), scan, signals.blood)
    mask = np.zeros(scan.shape, dtype=np.uint8)
    for number, one in enumerate(metastases, start=1):
        paint(volume, mask, number, one, scan)
    spoil(volume, scan)
    if stripped:
        volume[sample(scene.inside, scene.frame.grid, scan) < 0.6] = 0
    return MrPhantom(seed, head, signals, metastases, scan, volume, mask, truth_of(mask, metastases, scan), stripped)
