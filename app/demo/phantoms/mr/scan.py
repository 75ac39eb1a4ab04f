"""How an MR scanner sees a head: plane, obliquity, resolution, field of view, and what spoils the picture.

The scanner's frame is the DICOM patient frame (LPS, millimetres: x left, y back, z top); the patient lies on the back,
head first.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from app.demo.phantoms.fields import Array, Grid, stream

Plane = Literal["sagittal", "axial", "coronal"]
Points = NDArray[np.float64]

PLANES: dict[Plane, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "sagittal": ((0, 1, 0), (0, 0, -1)),
    "axial": ((1, 0, 0), (0, 1, 0)),
    "coronal": ((1, 0, 0), (0, 0, -1)),
}
_TOP_MM = 94.0  # upper edge of the field of view, above the middle of the brain


@dataclass(frozen=True, slots=True)
class Scan:
    """One acquisition.

    Attributes:
        seed: Of the noise.
        plane: Nearest to the slices.
        shape: Slices, rows, columns.
        pixel_mm: Edge length of a pixel.
        slice_mm: Distance between slices, which is their thickness too.
        oblique_deg: Turn of the slices about x, y and z.
        angles_deg: Pose of the head: pitch, roll, yaw.
        shift_mm: Position of the head's origin.
        noise: Standard deviation in each of the two channels, in units of white matter.
        shading: Amplitude of the bias field.
        ghost: Strength of the ghosts of a patient who moved, 0 for none.
        ghost_px: Their distance along the phase-encoding direction (down the rows).
    """

    seed: int
    plane: Plane
    shape: tuple[int, int, int]
    pixel_mm: float
    slice_mm: float
    oblique_deg: tuple[float, float, float]
    angles_deg: tuple[float, float, float]
    shift_mm: tuple[float, float, float]
    noise: float
    shading: float
    ghost: float
    ghost_px: int

    @property
    def row_direction(self) -> Points:
        """Unit vector along increasing column index, LPS."""
        return self._turned(PLANES[self.plane][0])

    @property
    def column_direction(self) -> Points:
        """Unit vector along increasing row index, LPS."""
        return self._turned(PLANES[self.plane][1])

    def _turned(self, direction: tuple[float, float, float]) -> Points:
        turned = Rotation.from_euler("xyz", self.oblique_deg, degrees=True).as_matrix() @ np.array(direction, float)
        return np.asarray(np.round(turned, 8))

    @property
    def spacing_mm(self) -> Points:
        """Distance of neighbours along (slice, row, column)."""
        return np.array([self.slice_mm, self.pixel_mm, self.pixel_mm])

    @property
    def affine_lps(self) -> Points:
        """(slice, row, column, 1) to LPS millimetres, 4×4; slices run along row direction × column direction."""
        row, column = self.row_direction, self.column_direction
        affine = np.eye(4)
        affine[:3, :3] = np.stack([np.cross(row, column), column, row], axis=1) * self.spacing_mm
        height = float(np.abs(affine[2, :3]) @ np.array(self.shape))
        middle = np.array(self.shift_mm) + np.array([0.0, -4.0, _TOP_MM - height / 2])
        affine[:3, 3] = middle - affine[:3, :3] @ ((np.array(self.shape) - 1) / 2)
        return np.asarray(affine)

    @property
    def origins(self) -> Points:
        """Middle of the first pixel of every slice, (slices, 3), LPS, mm."""
        affine = self.affine_lps
        return np.asarray(affine[:3, 3] + np.arange(self.shape[0])[:, None] * affine[:3, 0])

    @property
    def pose(self) -> Points:
        """Rotation from the head's frame to LPS, 3×3."""
        return np.asarray(Rotation.from_euler("xyz", self.angles_deg, degrees=True).as_matrix())

    def to_lps(self, points: Points) -> Points:
        """Points of the head's frame (n, 3), (x, y, z), in LPS."""
        return np.asarray(points @ self.pose.T + np.array(self.shift_mm))

    def to_index(self, points: Points) -> Points:
        """Points of the head's frame (n, 3), (x, y, z), as (slice, row, column) indices."""
        affine = self.affine_lps
        return np.asarray((self.to_lps(points) - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T)


def sample_scan(seed: int, plane: Plane | None = None, spacing_mm: float | None = None) -> Scan:
    """Draw an acquisition.

    Args:
        seed: Same seed, same acquisition.
        plane: None lets the seed decide: sagittal or axial.
        spacing_mm: Isotropic voxels in a field of view that just holds the head (192 mm high and wide, 230 mm long),
            for training; None for a clinical protocol: 256 × 256 with 160 to 192 slices of 1 mm sagittal, 0.9 to 1 mm
            in-plane and slices of 1 to 1.5 mm axial.
    """
    rng = stream(seed, "mr scan")
    drawn: Plane = "sagittal" if rng.random() < 0.55 else "axial"
    plane = drawn if plane is None else plane
    pixel = 1.0 if plane == "sagittal" else float(rng.choice([0.9375, 0.9766, 1.0]))
    step = 1.0 if plane != "axial" else float(rng.choice([1.0, 1.2, 1.5]))
    count = {"sagittal": int(rng.choice([160, 176, 192])), "axial": round(180 / step), "coronal": 232}[plane]
    shape = (count, 256, 256)
    if spacing_mm is not None:
        long, wide = round(230.4 / spacing_mm), round(192 / spacing_mm)
        shape = {"sagittal": (wide, wide, long), "axial": (wide, long, wide), "coronal": (long, wide, wide)}[plane]
        pixel = step = spacing_mm
    tilt = float(rng.normal(-6, 8)) if plane == "axial" else float(rng.normal(0, 1.5))
    moved = rng.random() < 0.2
    return Scan(
        seed=seed,
        plane=plane,
        shape=shape,
        pixel_mm=pixel,
        slice_mm=step,
        oblique_deg=(tilt, float(rng.normal(0, 1.5)), float(rng.normal(0, 2))) if rng.random() < 0.7 else (0, 0, 0),
        angles_deg=(float(rng.normal(0, 6)), float(rng.normal(0, 3)), float(rng.normal(0, 4))),
        shift_mm=(float(rng.normal(0, 4)), float(rng.normal(0, 12)), float(rng.normal(0, 15))),
        noise=float(rng.uniform(0.018, 0.06)),
        shading=float(rng.uniform(0.04, 0.16)),
        ghost=float(rng.uniform(0.03, 0.11)) if moved else 0.0,
        ghost_px=int(rng.integers(6, 32)),
    )


def sample(volume: Array, grid: Grid, scan: Scan) -> Array:
    """The drawn head at every voxel of the scan, (slices, rows, columns), linearly interpolated; 0 outside the grid."""
    affine = scan.affine_lps
    to_head = scan.pose.T[::-1]
    matrix = to_head @ affine[:3, :3] / grid.pitch_mm
    corner = to_head @ (affine[:3, 3] - np.array(scan.shift_mm))
    offset = (corner - np.array(grid.origin_mm)) / grid.pitch_mm
    seen = ndimage.affine_transform(volume, matrix, offset, scan.shape, order=1, output=np.float32)
    return np.asarray(seen, dtype=np.float32)


def _shade(volume: Array, scan: Scan, rng: np.random.Generator) -> None:
    """Multiply by a smooth field: a sum of separable waves, each longer than the head is wide."""
    bias = np.ones(volume.shape, dtype=np.float32)
    for _ in range(3):
        waves = []
        for count, step in zip(scan.shape, scan.spacing_mm, strict=True):
            position = np.arange(count) * step / float(rng.uniform(230, 420)) + rng.random()
            waves.append(np.cos(2 * np.pi * position).astype(np.float32))
        waves[0] *= np.float32(scan.shading)
        bias += (waves[0][:, None] * waves[1][None, :])[:, :, None] * waves[2]
    volume *= bias


def spoil(volume: Array, scan: Scan) -> None:
    """Add in place what a real scanner adds: shading of the coil, ghosts of motion, Rician noise."""
    rng = stream(scan.seed, "mr scanner")
    _shade(volume, scan, rng)
    if scan.ghost:
        still = volume.copy()
        for order in (-2, -1, 1, 2):
            volume += np.float32(scan.ghost / abs(order)) * np.roll(still, order * scan.ghost_px, axis=1)
        volume -= np.float32(2 * scan.ghost) * still
    for part in volume:
        noise = rng.standard_normal((2, *part.shape), dtype=np.float32) * np.float32(scan.noise)
        np.hypot(part + noise[0], noise[1], out=part)
