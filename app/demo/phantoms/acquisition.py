"""How a scanner sees a head: pose, gantry tilt, spacing, field of view, thick slices, noise and artefacts.

The scanner's frame is the DICOM patient frame (LPS, millimetres: x left, y back, z top) of a patient who lies on the
back, head first. Slices lie along the table, so that a tilted gantry gives a sheared stack, as real ones do.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from app.demo.phantoms.fields import Array, Grid, stream

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Acquisition:
    """One acquisition.

    Attributes:
        seed: Of the noise.
        size: Rows and columns.
        field_of_view_mm: Edge length of the square image.
        table_mm: Position of every slice along the table (z of its middle), ascending; steps may differ.
        thickness_mm: Over which a slice averages.
        tilt_deg: Of the gantry; positive leans the top of the gantry towards the feet.
        angles_deg: Pose of the head: pitch (about x), roll (about y), yaw (about z).
        shift_mm: Position of the head's origin.
        noise_hu: Standard deviation.
        grain_px: Of the noise's in-plane correlation, in units of 1/512 of the field of view.
        metal: Whether a piece of metal outside the brain throws streaks over a few slices.
        motion_px: Shift of a ghost in `moved` slices, in units of 1/512 of the field of view; 0 for none.
        calibration_hu: Offset of the whole scale.
        padding_hu: What stands outside the reconstruction circle; None where the square is filled.
        table_visible: Whether the headrest is in view.
    """

    seed: int
    size: int
    field_of_view_mm: float
    table_mm: tuple[float, ...]
    thickness_mm: float
    tilt_deg: float
    angles_deg: tuple[float, float, float]
    shift_mm: tuple[float, float, float]
    noise_hu: float
    grain_px: float
    metal: bool
    motion_px: float
    calibration_hu: float
    padding_hu: float | None
    table_visible: bool

    @property
    def pixel_mm(self) -> float:
        """Edge length of a pixel."""
        return self.field_of_view_mm / self.size

    @property
    def row_direction(self) -> Points:
        """Unit vector along increasing column index, LPS."""
        return np.array([1.0, 0.0, 0.0])

    @property
    def column_direction(self) -> Points:
        """Unit vector along increasing row index, LPS."""
        tilt = np.radians(self.tilt_deg)
        return np.array([0.0, np.cos(tilt), -np.sin(tilt)])

    @property
    def origins(self) -> Points:
        """Middle of the first pixel of every slice, (slices, 3), LPS, mm."""
        half = (self.size - 1) / 2 * self.pixel_mm
        corner = -half * (self.row_direction + self.column_direction)
        return np.stack([corner + np.array([0.0, 0.0, z]) for z in self.table_mm])

    @property
    def normal_spacings_mm(self) -> Points:
        """Distance along the normal that each slice stands for, (slices,)."""
        table = np.array(self.table_mm)
        steps = np.gradient(table) if len(table) > 1 else np.array([self.thickness_mm])
        return np.asarray(steps * np.cos(np.radians(self.tilt_deg)))

    @property
    def affine_lps(self) -> Points:
        """(slice, row, column, 1) to LPS millimetres, 4×4, for stacks of even spacing.

        Raises:
            ValueError: The spacing changes within the stack, which no single affine describes.
        """
        steps = np.diff(self.table_mm)
        if len(steps) and np.ptp(steps) > 1e-3:
            raise ValueError(f"slice spacing varies from {steps.min():.2f} to {steps.max():.2f} mm: no single affine")
        step = float(steps[0]) if len(steps) else self.thickness_mm
        affine = np.eye(4)
        affine[:3, 0] = (0.0, 0.0, step)
        affine[:3, 1] = self.column_direction * self.pixel_mm
        affine[:3, 2] = self.row_direction * self.pixel_mm
        affine[:3, 3] = self.origins[0]
        return affine


def _table(rng: np.random.Generator, top_mm: float, two_blocks: bool) -> tuple[tuple[float, ...], float]:
    """Slice positions from below the skull base to above the vertex, and the slices' thickness."""
    low, high = -62 + float(rng.uniform(-10, 6)), top_mm + float(rng.uniform(6, 14))
    if two_blocks:
        fine, coarse = float(rng.choice([2.5, 3.0])), float(rng.choice([5.0, 7.0]))
        block = low + fine * np.arange(14)
        rest = np.arange(block[-1] + coarse, high, coarse)
        return tuple(float(z) for z in np.concatenate([block, rest])), fine
    style = rng.choice(["usual", "fine", "thin", "thick"], p=[0.8, 0.1, 0.03, 0.07])
    spacing = {
        "usual": float(rng.choice([4.0, 4.5, 4.8, 5.0])),
        "fine": float(rng.uniform(2.4, 3.8)),
        "thin": float(rng.choice([1.25, 1.5, 2.0])),
        "thick": float(rng.uniform(5.5, 7.0)),
    }[str(style)]
    count = int(np.ceil((high - low) / spacing))
    return tuple(float(low + spacing * index) for index in range(count)), spacing


def sample_acquisition(seed: int, size: int, top_mm: float, *, two_blocks: bool = False) -> Acquisition:
    """Draw an acquisition of a head whose cranial cavity reaches `top_mm` above its origin."""
    rng = stream(seed, "acquisition")
    table, thickness = _table(rng, top_mm, two_blocks)
    tilted = rng.random() < 0.35
    angles = (float(rng.normal(0, 6)), float(rng.normal(0, 3.5)), float(rng.normal(0, 5)))
    tilt = float(rng.uniform(-20, 20)) if tilted else 0.0
    return Acquisition(
        seed=seed,
        size=size,
        field_of_view_mm=float(rng.uniform(212, 256)),
        table_mm=table,
        thickness_mm=thickness,
        tilt_deg=tilt,
        angles_deg=(angles[0] - 0.7 * tilt, angles[1], angles[2]),
        shift_mm=(float(rng.normal(0, 4)), float(rng.normal(0, 5)), float(rng.normal(0, 3))),
        noise_hu=float(rng.uniform(3, 8) * min(1.0, (thickness / 4) ** 0.25)),
        grain_px=float(rng.uniform(0.9, 1.7)),
        metal=bool(rng.random() < 0.08),
        motion_px=float(rng.uniform(2, 7)) if rng.random() < 0.1 else 0.0,
        calibration_hu=float(rng.normal(0, 2.2)),
        padding_hu=float(rng.choice([-2000, -3024])) if rng.random() < 0.3 else None,
        table_visible=bool(rng.random() < 0.8),
    )


def _sample(volume: Array, grid: Grid, acquisition: Acquisition, fill: float) -> Array:
    """Average over the slice thickness, then sample the grid at every pixel; blocks of even spacing one by one."""
    width = max(1, round(acquisition.thickness_mm / grid.pitch_mm))
    thick = ndimage.uniform_filter1d(volume, width, axis=0, mode="nearest")
    pitch, roll, yaw = acquisition.angles_deg
    rotation = Rotation.from_euler("xyz", [pitch, roll, yaw], degrees=True).as_matrix()
    to_head = rotation.T[::-1]  # rows: z, y, x of the head
    table = np.array(acquisition.table_mm)
    cuts = (
        [0, *(np.flatnonzero(np.abs(np.diff(np.diff(table))) > 1e-3) + 2), len(table)]
        if len(table) > 2
        else [0, len(table)]
    )
    parts = []
    for first, last in pairwise(cuts):
        step = table[first + 1] - table[first] if last - first > 1 else 1.0
        columns = np.stack(
            [
                np.array([0.0, 0.0, step]),
                acquisition.column_direction * acquisition.pixel_mm,
                acquisition.row_direction * acquisition.pixel_mm,
            ],
            axis=1,
        )
        matrix = to_head @ columns / grid.pitch_mm
        corner = to_head @ (acquisition.origins[first] - np.array(acquisition.shift_mm))
        offset = (corner - np.array(grid.origin_mm)) / grid.pitch_mm
        shape = (last - first, acquisition.size, acquisition.size)
        parts.append(ndimage.affine_transform(thick, matrix, offset, shape, order=1, cval=fill, output=np.float32))
    return np.concatenate(parts)


def _plane(acquisition: Acquisition) -> tuple[Array, Array]:
    """Millimetres from the image's middle, (rows, 1) downwards and (1, columns) to the left of the patient."""
    axis = ((np.arange(acquisition.size) - (acquisition.size - 1) / 2) * acquisition.pixel_mm).astype(np.float32)
    return axis[:, None], axis[None, :]


def _furniture(acquisition: Acquisition, hu: Array, rng: np.random.Generator) -> None:
    """Put a headrest behind the head, where there is air."""
    y, x = _plane(acquisition)
    radius = float(rng.uniform(108, 118))
    away = np.hypot(x, y - float(rng.uniform(-2, 6)))
    shell = np.abs(away - radius) < 1.6
    foam = (away > radius - 9) & (away < radius - 1.6)
    behind = y > 0.45 * np.abs(x) + 20
    for part, value in ((foam & behind, -930.0), (shell & behind, -250.0)):
        hu[:, part] = np.where(hu[:, part] < -850, value, hu[:, part])


def _streaks(acquisition: Acquisition, hu: Array, rng: np.random.Generator) -> None:
    """Throw streaks from a piece of metal at the rim of the head over a few slices."""
    y, x = _plane(acquisition)
    angle, away = float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(60, 85))
    dy, dx = y - away * np.sin(angle), x - away * np.cos(angle)
    direction, distance = np.arctan2(dy, dx), np.hypot(dy, dx)
    pattern = np.zeros(direction.shape, dtype=np.float32)
    for _ in range(7):
        pattern += np.cos(direction * int(rng.integers(5, 30)) + rng.uniform(0, 6.3)) * rng.uniform(0.3, 1)
    pattern *= float(rng.uniform(6, 22)) * np.exp(-distance / 70)
    first = int(rng.integers(0, max(1, len(hu) // 2)))
    for offset in range(int(rng.integers(1, 4))):
        index = min(first + offset, len(hu) - 1)
        hu[index] += pattern * (hu[index] > -200)
        hu[index][distance < 2.5] = 3000


def _ghosts(acquisition: Acquisition, hu: Array, rng: np.random.Generator) -> None:
    """Blend a few neighbouring slices with a shifted copy of themselves: the patient moved."""
    shift = acquisition.motion_px * acquisition.size / 512
    first = int(rng.integers(0, max(1, len(hu) - 5)))
    for index in range(first, min(first + int(rng.integers(2, 6)), len(hu))):
        turn = rng.uniform(-1, 1, 2) * shift
        hu[index] = 0.6 * hu[index] + 0.4 * ndimage.shift(hu[index], turn, order=1, mode="nearest")


def acquire(volume: Array, grid: Grid, acquisition: Acquisition) -> NDArray[np.int16]:
    """Scan a drawn head.

    Args:
        volume: Hounsfield units on the grid.
        grid: Where the volume lies.
        acquisition: How to scan.

    Returns:
        (slices, rows, columns) in Hounsfield units, from the lowest slice to the highest, int16.
    """
    hu = _sample(volume, grid, acquisition, -1000.0)
    rng = stream(acquisition.seed, "scanner")
    if acquisition.table_visible:
        _furniture(acquisition, hu, rng)
    if acquisition.motion_px:
        _ghosts(acquisition, hu, rng)
    if acquisition.metal:
        _streaks(acquisition, hu, rng)
    grain = acquisition.grain_px * acquisition.size / 512
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    noise = ndimage.gaussian_filter(noise, (0, grain, grain), mode="wrap", truncate=3.0)
    hu += noise * np.float32(acquisition.noise_hu / max(float(noise[0].std()), 1e-6)) + acquisition.calibration_hu
    np.clip(hu, -1024, 3071, out=hu)
    if acquisition.padding_hu is not None:
        y, x = _plane(acquisition)
        hu[:, np.hypot(x, y) > acquisition.field_of_view_mm / 2] = acquisition.padding_hu
    return np.rint(hu).astype(np.int16)


def acquire_mask(fractions: dict[int, Array], grid: Grid, acquisition: Acquisition) -> NDArray[np.uint8]:
    """Scan the fractions of blood into labels: the largest fraction of a voxel where together they fill 40 % of it."""
    shape = (len(acquisition.table_mm), acquisition.size, acquisition.size)
    best, total = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    mask = np.zeros(shape, dtype=np.uint8)
    for label, fraction in fractions.items():
        seen = _sample(fraction, grid, acquisition, 0.0)
        mask[seen > best] = label
        np.maximum(best, seen, out=best)
        total += seen
    mask[total < 0.4] = 0
    return mask


def one_slice(acquisition: Acquisition) -> Acquisition:
    """The same acquisition of the middle slice alone."""
    middle = acquisition.table_mm[len(acquisition.table_mm) // 2]
    return replace(acquisition, table_mm=(middle,))
