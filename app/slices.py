"""Which file, and which of its frames, each slice of a stack is. Headers only, and none where each file holds one.

The frames of an enhanced multi-frame image lie in any order; slices are sorted along their normal.
"""

from dataclasses import dataclass
from pathlib import Path

from app.errors import Failed
from app.study import Series
from bundles.common.headers import UnreadableImage, frames_of, read_header
from bundles.common.stacks import stack_frames


@dataclass(frozen=True, slots=True)
class SlicePlace:
    """One slice where it lies.

    Attributes:
        path: Its file.
        index: Its frame there, from 0.
        sop_class_uid, sop_instance_uid: Of the file.
        frames: How many the file holds.
    """

    path: Path
    index: int
    sop_class_uid: str
    sop_instance_uid: str
    frames: int = 1

    @property
    def frame(self) -> int | None:
        """Its number in the file, from 1 (PS3.3 table 10-3); None where the file holds this slice alone."""
        return self.index + 1 if self.frames > 1 else None


def slice_places(series: Series) -> tuple[SlicePlace, ...]:
    """Where each slice of a stack lies, in its order.

    Raises:
        Failed: A file of many frames cannot be read again, or holds other frames than were assembled.
    """
    instances = series.instances
    if all(instance.frames <= 1 for instance in instances):
        return tuple(SlicePlace(each.path, 0, each.sop_class_uid, each.sop_instance_uid) for each in instances)
    by_uid = {instance.sop_instance_uid: instance for instance in instances}
    try:
        frames = [frame for each in instances for frame in frames_of(read_header(each.path))]
    except UnreadableImage as error:
        raise Failed(f"the frames of the images cannot be read again: {error}") from error
    ours = next((found for found in stack_frames(frames) if found.geometry == series.geometry), None)
    if ours is None:
        raise Failed("the frames of the images are not those that were analysed")
    found = [(frame, by_uid[frame.sop_instance_uid]) for frame in ours.frames]
    return tuple(
        SlicePlace(frame.path, frame.index, each.sop_class_uid, each.sop_instance_uid, each.frames)
        for frame, each in found
    )
