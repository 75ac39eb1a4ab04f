"""Which SOP instance, and which of its frames, each slice of an analysed stack is (PS3.3 table 10-3).

The frames of an enhanced multi-frame image lie in any order; slices are sorted along their normal.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from highdicom.sr import SourceImageForMeasurementGroup

from app.errors import Failed
from app.report.source import Source, SourceStack
from app.slices import slice_places

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SliceSource:
    """One slice where it came from.

    Attributes:
        sop_class_uid, sop_instance_uid: Of its file.
        frame: Its number there, from 1; None where the file holds this slice alone.
    """

    sop_class_uid: str
    sop_instance_uid: str
    frame: int | None = None


def slice_sources(stack: SourceStack) -> tuple[SliceSource, ...]:
    """Where each slice of a stack came from, in its order.

    Raises:
        Failed: A file of many frames cannot be read again, or holds other frames than were analysed.
    """
    return tuple(
        SliceSource(each.sop_class_uid, each.sop_instance_uid, each.frame) for each in slice_places(stack.series)
    )


def frame_number(stack: SourceStack, index: int) -> int | None:
    """Number of the frame that is the slice at this position of the stack; None where its file holds one.

    Raises:
        Failed: As `slice_sources` says, or the stack has no such slice.
    """
    places = slice_sources(stack)
    if not 0 <= index < len(places):
        raise Failed(f"the report speaks of slice {index + 1} of a stack of {len(places)}")
    return places[index].frame


def source_image(source: Source, sop_instance_uid: str, indices: Sequence[int]) -> SourceImageForMeasurementGroup:
    """Refer to an image, and in a file of many frames to those that are the slices at these positions.

    Where such a file cannot be read any more, the reference names the file alone.

    Raises:
        Failed: No analysed stack holds the image.
    """
    stack, instance = source.find(sop_instance_uid)
    numbers = _frame_numbers(stack, indices) if instance.frames > 1 and indices else None
    return SourceImageForMeasurementGroup(instance.sop_class_uid, instance.sop_instance_uid, numbers)


def _frame_numbers(stack: SourceStack, indices: Sequence[int]) -> list[int] | None:
    try:
        places = slice_sources(stack)
    except Failed as error:
        log.warning("frames_not_named", reason=str(error))
        return None
    return sorted({number for index in indices if (number := places[index].frame) is not None}) or None
