"""The one reader of pixels, for training and for the service: DICOM, NIfTI, PNG, TIFF, JPEG. Needs numpy, never torch.

`Stack.array` is (slices, rows, columns), float32. `Stack.affine` maps the index (column i, row j, slice k, 1), in this
order, to LPS millimetres. See `bundles.common.geometry`.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundles.common.elements import integer
from bundles.common.geometry import Matrix, StackGeometry, affine, positions_mm, to_ras
from bundles.common.headers import (
    FRAME_KEYWORDS,
    Frame,
    Header,
    UnreadableImage,
    frames_of,
    read_header,
)
from bundles.common.pixels import (
    PIXEL_KEYWORDS,
    Meaning,
    Units,
    is_native,
    meaning_of,
    native_frame,
    open_image,
    read_frame,
)
from bundles.common.plain import is_nifti, is_picture, read_nifti, read_picture
from bundles.common.stacks import FrameStack, stack_frames
from bundles.common.turning import room, touched

__all__ = ["MAX_VOXELS", "Slice", "Stack", "UnreadableImage", "group_files", "is_dicom", "read_slice", "read_stack"]

MAX_VOXELS = 600_000_000
"""2.4 GB of float32: more than any head or chest CT, less than what brings a worker down."""
READERS = 2
"""Threads that read a series whose pixels lie in the files as they are: conversion leaves the interpreter's lock."""
WORTH_THREADS = 32
READ_KEYWORDS = (*FRAME_KEYWORDS, *PIXEL_KEYWORDS)

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Pixels of one stack, and where they lie.

    Attributes:
        array: (slices, rows, columns), float32: HU for CT, else rescaled stored values with bright meaning high.
        affine: (4, 4), index (column i, row j, slice k, 1) → LPS mm. Without a geometry: pixel spacing alone, or 1 mm.
        geometry: None for images without a place in the patient. From DICOM the slices are sorted along the normal;
            a NIfTI file keeps its own order.
        units: "HU", or "stored" where values have no common unit.
        photometric: As stored: MONOCHROME1 (already inverted where `notes` say so) or MONOCHROME2.
        modality: "" where the file does not tell.
        source_uids: SOPInstanceUID of every slice, in order, repeated for the frames of a multi-frame
            instance; () where the source is no DICOM.
        positions_mm: Position of every slice along the normal, millimetres; () without a geometry.
        notes: What was odd, in words.
    """

    array: NDArray[np.float32]
    affine: Matrix
    geometry: StackGeometry | None
    units: Units
    photometric: str
    modality: str = ""
    source_uids: tuple[str, ...] = ()
    positions_mm: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def affine_ras(self) -> Matrix:
        """Index (column, row, slice, 1) → RAS mm, NIfTI's and MONAI's convention."""
        return to_ras(self.affine)


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """Pixels of one image.

    Attributes:
        array: (rows, columns), float32, as in `Stack`.
        units: As in `Stack`.
        inverted: Whether stored values were turned so that bright is high; a window of the header then means others.
    """

    array: NDArray[np.float32]
    units: Units
    inverted: bool


def group_files(paths: Iterable[str | os.PathLike[str]]) -> tuple[FrameStack, ...]:
    """Split DICOM files into stacks by series, orientation, rows, columns and pixel spacing.

    Localizers apart, and every radiograph by itself. Objects that are no images are left out.

    Raises:
        UnreadableImage: A file is not DICOM, or lacks what an image needs.
    """
    headers = [read_header(Path(path), FRAME_KEYWORDS) for path in paths]
    return stack_frames(frame for header in headers for frame in frames_of(header))


def read_stack(source: Paths, *, max_voxels: int = MAX_VOXELS, wanted: Matrix | None = None) -> Stack:
    """Read one stack of images.

    Args:
        source: A folder or list of DICOM files in any order, or one DICOM, NIfTI, PNG, TIFF or JPEG file.
        max_voxels: Refuse larger stacks before anything is allocated.
        wanted: Axes that the stack will be turned into (`bundles.common.turning`): its values are the same, its memory
            is laid for that. NIfTI files and pictures keep theirs.

    Raises:
        UnreadableImage: With the reason: several series, truncated pixels, CT without rescale tags, …
    """
    paths, skipped = _list(source)
    if len(paths) == 1 and is_nifti(paths[0]):
        volume = read_nifti(paths[0], max_voxels)
        return Stack(
            array=volume.array,
            affine=volume.affine,
            geometry=volume.geometry,
            units="stored",
            photometric="MONOCHROME2",
            positions_mm=tuple(float(place) for place in positions_mm(volume.geometry)),
        )
    if len(paths) == 1 and is_picture(paths[0]):
        picture, notes = read_picture(paths[0], max_voxels)
        return Stack(picture[np.newaxis], np.eye(4), None, "stored", "MONOCHROME2", notes=notes)
    with ThreadPoolExecutor(1) as beside:
        headers = {path: read_header(path, READ_KEYWORDS) for path in paths[:1]}
        ready = _make_ready(headers[paths[0]], len(paths), max_voxels, beside)
        headers |= {path: read_header(path, READ_KEYWORDS) for path in paths[1:]}
        frames = [frame for header in headers.values() for frame in frames_of(header)]
        stack, notes = _choose(stack_frames(frames))
    for frame in stack.frames:
        if (problem := headers[frame.path].problem) is not None:
            raise UnreadableImage(problem)
    shape = (len(stack.frames), stack.frames[0].rows, stack.frames[0].columns)
    if prod(shape) > max_voxels:
        raise UnreadableImage(
            f"{shape[0]} images of {shape[1]}×{shape[2]} pixels are more than the {max_voxels} voxels allowed"
        )
    matrix = _affine(stack.frames[0], stack.geometry)
    array = room(shape, matrix, wanted, None if ready is None else ready.result())
    del ready  # where it was of another size, it is not to stand beside the pixels
    return _read(stack, headers, (*skipped, *notes), array, matrix)


def _make_ready(
    header: Header, files: int, max_voxels: int, beside: ThreadPoolExecutor
) -> Future[NDArray[np.float32]] | None:
    """Begin to make memory ready for a series of many files, as large as the first of them says."""
    shape = files, integer(header.dataset, "Rows") or 0, integer(header.dataset, "Columns") or 0
    return beside.submit(touched, shape) if files >= WORTH_THREADS and 0 < prod(shape) <= max_voxels else None


def read_slice(path: Path, index: int = 0) -> Slice:
    """Read one image of a DICOM file: the same values as `read_stack` gives for that slice, without its neighbours.

    Args:
        path: The file.
        index: Frame, from 0.

    Raises:
        UnreadableImage: With the reason, as `read_stack`; or the file holds no such frame.
    """
    header = read_header(path, READ_KEYWORDS)
    if header.problem is not None:
        raise UnreadableImage(header.problem)
    frames = frames_of(header)
    if not 0 <= index < len(frames):
        raise UnreadableImage(f"{path.name}: image {index + 1} was asked for, the file holds {len(frames)}")
    rows, columns = frames[index].rows, frames[index].columns
    if rows * columns > MAX_VOXELS:
        raise UnreadableImage(f"{path.name}: an image of {rows}×{columns} pixels is more than is read")
    meaning = meaning_of(header.dataset, path)
    array = np.empty((rows, columns), dtype=np.float32)
    _fill(header, [(index, array)], meaning)
    return Slice(array, meaning.units, meaning.inverted)


def _list(source: Paths) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    if not isinstance(source, str | os.PathLike):
        paths = tuple(Path(path) for path in source)
        if not paths:
            raise UnreadableImage("no files given")
        return (paths, ()) if len(paths) > 1 or not paths[0].is_dir() else _list(paths[0])
    path = Path(source)
    if not path.is_dir():
        return (path,), ()
    found = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    dicom = tuple(file for file in found if is_dicom(file))
    if not dicom:
        raise UnreadableImage(f"{path.name}: the folder holds no DICOM files")
    skipped = len(found) - len(dicom)
    return dicom, (f"{skipped} files of the folder are not DICOM and were left out",) if skipped else ()


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do (PS3.10 section 7.1)."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _choose(stacks: Sequence[FrameStack]) -> tuple[FrameStack, tuple[str, ...]]:
    if not stacks:
        raise UnreadableImage("none of the files is an image")
    uids = {stack.frames[0].series_uid for stack in stacks}
    if len(uids) > 1:
        raise UnreadableImage(f"the files belong to {len(uids)} series; give the files of one")
    first, rest = stacks[0], stacks[1:]
    if first.frames[0].projection and rest:
        raise UnreadableImage(
            f"the files hold {len(stacks)} images, radiographs among them, which are no stack; give one"
        )
    if any(len(stack.frames) == len(first.frames) and not stack.frames[0].localizer for stack in rest):
        raise UnreadableImage(
            f"the series holds {len(stacks)} stacks of different orientation or size, none larger than all others"
        )
    notes = tuple(
        f"{len(stack.frames)} images of {'a localizer' if stack.frames[0].localizer else 'another orientation or size'}"
        " in the same series were left out"
        for stack in rest
    )
    return first, first.notes + notes


def _read(
    stack: FrameStack,
    headers: dict[Path, Header],
    notes: tuple[str, ...],
    array: NDArray[np.float32],
    matrix: Matrix,
) -> Stack:
    """Read the pixels of a stack into `array`; `matrix` is its affine."""
    first, geometry = stack.frames[0], stack.geometry
    meanings = {path: meaning_of(headers[path].dataset, path) for path in {frame.path for frame in stack.frames}}
    meaning = _common(meanings, first.path)

    def fill(path: Path, places: Sequence[int]) -> None:
        images = [(stack.frames[place].index, array[place]) for place in places]
        _fill(headers[path], images, meanings[path])

    files = [
        (path, tuple(group))
        for path, group in groupby(range(len(stack.frames)), key=lambda place: stack.frames[place].path)
    ]
    if len(files) >= WORTH_THREADS and all(is_native(headers[path]) for path, _ in files):
        with ThreadPoolExecutor(READERS) as pool:
            list(pool.map(lambda each: fill(*each), files))
    else:
        # One file at a time: the decoders hold the interpreter's lock, so that threads gain nothing and cost memory.
        for path, places in files:
            fill(path, places)
    return Stack(
        array=array,
        affine=matrix,
        geometry=geometry,
        units=meaning.units,
        photometric=meaning.photometric,
        modality=first.modality,
        source_uids=tuple(frame.sop_instance_uid for frame in stack.frames),
        positions_mm=() if geometry is None else tuple(float(place) for place in positions_mm(geometry)),
        notes=(*notes, *meaning.notes),
    )


def _fill(header: Header, images: Iterable[tuple[int, NDArray[np.float32]]], meaning: Meaning) -> None:
    """Read frames of one file, each into its array (rows, columns)."""
    native = is_native(header)
    dataset = header.dataset if native else open_image(header.path)
    for index, out in images:
        stored = native_frame(header, index) if native else None
        read_frame(dataset, index, header.path, out, stored, meaning)


def _common(meanings: Mapping[Path, Meaning], first: Path) -> Meaning:
    wanted = replace(meanings[first], notes=())
    if any(replace(meaning, notes=()) != wanted for meaning in meanings.values()):
        raise UnreadableImage("the images of one stack differ in their units or photometric interpretation")
    return meanings[first]


def _affine(first: Frame, geometry: StackGeometry | None) -> Matrix:
    if geometry is not None:
        return affine(geometry, first.thickness_mm or 1.0)
    between_rows, between_columns = first.pixel_spacing_mm or (1.0, 1.0)
    return np.diag([between_columns, between_rows, 1.0, 1.0])
