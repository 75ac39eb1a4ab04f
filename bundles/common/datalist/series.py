"""DICOM series of a data set: single slices, in any folder and order, put together by their headers."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bundles.common.datalist.images import ImageFolder
from bundles.common.datalist.problems import Damaged
from bundles.common.elements import text
from bundles.common.geometry import Plane, spacing_mm
from bundles.common.headers import FRAME_KEYWORDS, Frame, UnreadableImage, frames_of, read_header
from bundles.common.masks.grid import one_stack
from bundles.common.stacks import stack_frames

KEYWORDS = (*FRAME_KEYWORDS, "PatientID", "SeriesDescription", "ConvolutionKernel", "ContrastBolusAgent")


@dataclass(frozen=True, slots=True)
class Slice:
    """A file of a series: its path relative to the root, its frames, and what it says of the series.

    Attributes:
        file: Path.
        frames: Mostly one.
        problem: Why the pixels cannot be read, as far as the header shows it; empty where nothing speaks against it.
        patient: Patient ID.
        description: Series Description.
        kernel: Convolution Kernel.
        contrast: Contrast/Bolus Agent.
    """

    file: str
    frames: tuple[Frame, ...]
    problem: str
    patient: str
    description: str
    kernel: str
    contrast: str

    @property
    def series(self) -> str:
        """Series Instance UID."""
        return self.frames[0].series_uid


@dataclass(frozen=True, slots=True)
class Series:
    """A stack of slices, sorted as the reader of pixels sorts them.

    Attributes:
        uid: Series Instance UID.
        patient: Patient ID.
        description: Series Description.
        kernel: Convolution Kernel.
        contrast: Contrast/Bolus Agent.
        modality: Modality.
        files: Paths relative to the root, one for each slice.
        left_out: Files that repeat a position, or are no part of the stack (a localizer in the same series).
        plane: Nearest plane of the patient.
        spacing_mm: Median distance between neighbouring slices; 0 for one slice.
    """

    uid: str
    patient: str
    description: str
    kernel: str
    contrast: str
    modality: str
    files: tuple[str, ...]
    left_out: tuple[str, ...]
    plane: Plane
    spacing_mm: float


def read_slice(folder: ImageFolder, file: str) -> Slice:
    """Read the header of one file.

    Raises:
        Damaged: It is no DICOM image.
    """
    path = folder.root / file
    try:
        header = read_header(path, KEYWORDS)
        frames = frames_of(header)
    except UnreadableImage as error:
        raise Damaged(f"{path}: {str(error).removeprefix(f'{path.name}: ')}") from error
    if not frames:
        raise Damaged(f"{path}: a DICOM file that is no image")
    words = ("PatientID", "SeriesDescription", "ConvolutionKernel", "ContrastBolusAgent")
    patient, description, kernel, contrast = (text(header.dataset, word) for word in words)
    return Slice(file, frames, header.problem or "", patient, description, kernel, contrast)


def by_series(slices: Iterable[Slice]) -> Mapping[str, list[Slice]]:
    """Group by Series Instance UID."""
    groups: dict[str, list[Slice]] = defaultdict(list)
    for one in slices:
        groups[one.series].append(one)
    return groups


def series_of(slices: list[Slice], root: Path) -> Series:
    """Put the slices of one series together.

    Args:
        slices: All of one series, at least one.
        root: Of the images.

    Raises:
        Damaged: Slices that cannot be read, of several patients, without a place in the patient, or that make no one
            largest stack.
    """
    spoiled = next((one for one in slices if one.problem), None)
    if spoiled is not None:
        raise Damaged(f"{root / spoiled.file}: {spoiled.problem}")
    patients = sorted({one.patient for one in slices})
    where = f"the series of {root / slices[0].file}"
    if len(patients) > 1:
        raise Damaged(f"{where} has {len(patients)} different patients")
    try:
        stack = one_stack(stack_frames(frame for one in slices for frame in one.frames))
    except UnreadableImage as error:
        raise Damaged(f"{where}: {error}") from error
    if stack.geometry is None:
        raise Damaged(f"{where} has no place in the patient")
    by_path = {root / one.file: one for one in slices}
    ordered = list(dict.fromkeys(by_path[frame.path].file for frame in stack.frames))
    first = by_path[stack.frames[0].path]
    return Series(
        uid=first.series,
        patient=first.patient,
        description=first.description,
        kernel=first.kernel,
        contrast=first.contrast,
        modality=stack.frames[0].modality,
        files=tuple(ordered),
        left_out=tuple(one.file for one in slices if one.file not in set(ordered)),
        plane=stack.geometry.plane,
        spacing_mm=round(spacing_mm(stack.geometry) or 0.0, 4),
    )
