"""Frames into stacks: same series, orientation, size and pixel spacing; sorted; repeated positions left out.

A radiograph is a stack of its own: PA and lateral of one series, of equal size, are two images and no volume.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bundles.common.geometry import (
    ORIENTATION_TOLERANCE,
    POSITION_TOLERANCE_MM,
    StackGeometry,
    normal_of,
    plane_of,
)
from bundles.common.headers import Frame

SPACING_TOLERANCE = 1e-3
"""Largest relative difference of two pixel spacings of one stack: half a pixel over 500 columns."""


@dataclass(frozen=True, slots=True)
class FrameStack:
    """Frames that belong together, sorted.

    Attributes:
        frames: Along the slice normal where they have a place, else by instance number.
        geometry: None where they have no place in the patient.
        left_out: Frames that repeat a position.
        notes: In words, for people.
    """

    frames: tuple[Frame, ...]
    geometry: StackGeometry | None
    left_out: tuple[Frame, ...] = ()
    notes: tuple[str, ...] = ()


def stack_frames(frames: Iterable[Frame]) -> tuple[FrameStack, ...]:
    """Split frames into stacks, by series UID, then the largest first. The order of the input never matters.

    A localizer never shares a stack with others, whatever its orientation. Radiographs (`Frame.projection`) share a
    stack with nothing but the frames of their own file, and follow each other by instance number.
    """
    ordered = sorted(frames, key=_identity)
    groups: list[list[Frame]] = []
    for frame in ordered:
        home = next((group for group in groups if _together(group[0], frame)), None)
        if home is None:
            groups.append([frame])
        else:
            home.append(frame)
    stacks = [_stack(group) for group in groups]
    return tuple(
        sorted(
            stacks,
            key=lambda stack: (
                stack.frames[0].series_uid,
                stack.frames[0].localizer,
                -len(stack.frames),
                _projections_by_number(stack.frames[0]),
                _identity(stack.frames[0]),
            ),
        )
    )


def _identity(frame: Frame) -> tuple[str, str, int, str]:
    return frame.series_uid, frame.sop_instance_uid, frame.index, frame.path.name


def _projections_by_number(frame: Frame) -> tuple[bool, int]:
    number = frame.instance_number if frame.projection else None
    return number is None, number or 0


def _together(first: Frame, other: Frame) -> bool:
    if first.projection or other.projection:
        return (first.series_uid, first.sop_instance_uid, first.path) == (
            other.series_uid,
            other.sop_instance_uid,
            other.path,
        )
    if (first.series_uid, first.rows, first.columns, first.localizer, first.located) != (
        other.series_uid,
        other.rows,
        other.columns,
        other.localizer,
        other.located,
    ):
        return False
    if not first.located:
        return True
    if (first.orientation, first.pixel_spacing_mm) == (other.orientation, other.pixel_spacing_mm):
        return True
    return bool(
        np.allclose(first.orientation or (), other.orientation or (), rtol=0, atol=ORIENTATION_TOLERANCE)
        and np.allclose(first.pixel_spacing_mm or (), other.pixel_spacing_mm or (), rtol=SPACING_TOLERANCE, atol=0)
    )


def _acquired(frame: Frame) -> tuple[bool, int, str, int, str]:
    """Order of acquisition as far as headers tell: instance number, then UID."""
    number = frame.instance_number
    return number is None, number or 0, frame.sop_instance_uid, frame.index, frame.path.name


def _stack(group: Sequence[Frame]) -> FrameStack:
    by_number = sorted(group, key=_acquired)
    first = by_number[0]
    if first.projection or first.orientation is None or first.origin is None or first.pixel_spacing_mm is None:
        return FrameStack(tuple(by_number), None)
    normal = normal_of(first.orientation[:3], first.orientation[3:])
    # Stable: at one position the lowest instance number comes first, and stays.
    ordered = sorted(by_number, key=lambda frame: float(np.dot(frame.origin or (), normal)))
    kept: list[Frame] = []
    repeated: dict[int, list[Frame]] = {}
    start = -np.inf
    for frame in ordered:
        position = float(np.dot(frame.origin or (), normal))
        if kept and position - start < POSITION_TOLERANCE_MM:
            earliest, later = sorted((kept[-1], frame), key=_acquired)
            kept[-1] = earliest
            repeated.setdefault(len(kept) - 1, []).append(later)
        else:
            kept.append(frame)
            start = position
    row, column = first.orientation[:3], first.orientation[3:]
    geometry = StackGeometry(
        rows=first.rows,
        columns=first.columns,
        row_direction=(row[0], row[1], row[2]),
        column_direction=(column[0], column[1], column[2]),
        pixel_spacing_mm=first.pixel_spacing_mm,
        origins=tuple(frame.origin for frame in kept if frame.origin is not None),
        plane=plane_of(normal),
    )
    left_out = tuple(frame for frames in repeated.values() for frame in frames)
    return FrameStack(tuple(kept), geometry, left_out, _repeats(repeated, len(kept)))


def _repeats(repeated: dict[int, list[Frame]], slices: int) -> tuple[str, ...]:
    if len(repeated) > 3:
        count = sum(len(frames) for frames in repeated.values())
        words = (
            f"{count} images repeat the positions of {len(repeated)} of {slices} slices (several phases or echoes in "
            "one series?) and were left out; the lowest instance number of each position was kept"
        )
        return (words,)
    return tuple(
        f"{len(frames)} image{'s repeat' if len(frames) > 1 else ' repeats'} the position of slice {index + 1} and "
        f"{'were' if len(frames) > 1 else 'was'} left out; the lowest instance number was kept"
        for index, frames in sorted(repeated.items())
    )
