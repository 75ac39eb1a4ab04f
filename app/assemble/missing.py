"""Signs that images of an acquisition are missing. Where there is one, what is not seen is not called absent."""

from collections.abc import Sequence

from app.study import Instance, Unreadable
from bundles.common.stacks import FrameStack

MOST_NAMED = 5
LARGEST_SHARE = 3
"""More missing than so many times what is there: the numbers do not count images."""

PHASES_SHARE = 2
"""A series repeats itself where images that lie where others do are at least one to so many of these. Fewer are slices
that were taken again."""


def signs_in_study(unreadable: Sequence[Unreadable]) -> tuple[str, ...]:
    """What could not be read may have been an image of any series."""
    if not unreadable:
        return ()
    count = len(unreadable)
    return (f"{count} {'file' if count == 1 else 'files'} of the study could not be read: images may be missing",)


def signs_in_series(
    stack: FrameStack, siblings: Sequence[FrameStack], instances: Sequence[Instance]
) -> tuple[str, ...]:
    """Signs that a volume is not the whole of its series; none for images without a place in the patient, radiographs
    among them: they are numbered as their makers like, and stand each for itself.

    Args:
        stack: Which.
        siblings: All stacks of the series, `stack` among them.
        instances: All images of the series.
    """
    if stack.geometry is None or stack.frames[0].localizer:
        return ()
    signs = []
    beside = sum(len(each.frames) for each in siblings if each is not stack and not each.frames[0].localizer)
    if beside:
        signs.append(
            f"{beside} {'image' if beside == 1 else 'images'} of the series could not be put into this stack: "
            "position, orientation, size or kind differ"
        )
    repeats = len(stack.left_out)
    if repeats * PHASES_SHARE >= len(stack.frames):
        signs.append(
            f"{repeats} images of the series lie where others do (phases, echoes or time points) and were not "
            "analysed: of each position the lowest instance number was"
        )
    gaps = _gaps([each.instance_number for each in instances])
    if gaps:
        more = f" and {len(gaps) - MOST_NAMED} more" if len(gaps) > MOST_NAMED else ""
        told = ", ".join(map(str, gaps[:MOST_NAMED]))
        signs.append(f"instance numbers {told}{more} of the series are missing")
    return tuple(signs)


def _gaps(numbers: Sequence[int | None]) -> list[int]:
    """Numbers between the least and the greatest that no image has; none where they do not count images."""
    known = {number for number in numbers if number is not None}
    if len(known) < 2 or len(known) < len(numbers):
        return []
    if max(known) - min(known) + 1 - len(known) > LARGEST_SHARE * len(known):
        return []
    return sorted(set(range(min(known), max(known) + 1)) - known)
