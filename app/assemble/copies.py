"""Which of several copies of an instance counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundles.common.elements import integer, text
from bundles.common.headers import FRAME_KEYWORDS, Header, UnreadableImage, frames_of, read_header

MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Copies:
    """One file an instance, and in words which damaged copies were left out for them."""

    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def choose_copies(versions: Iterable[Sequence[Path]]) -> Copies:
    """Choose the newest whole copy of every instance, and the newest one where none is whole.

    Whole means that the header can be read and that the file holds as many bytes of pixels as it claims; pixels are not
    decoded. Only instances of which several copies came are looked at.

    Args:
        versions: All copies of each instance, the newest first (`Spool.versions`).
    """
    files, named = [], []
    for copies in versions:
        chosen = copies[0] if len(copies) == 1 else next(filter(_is_whole, copies), copies[0])
        files.append(chosen)
        if chosen != copies[0]:
            named.append(_name(chosen))
    return Copies(tuple(sorted(files)), _notes(named))


def _is_whole(path: Path) -> bool:
    try:
        header = read_header(path, FRAME_KEYWORDS)
        frames = frames_of(header)
    except UnreadableImage:
        return False
    if not (text(header.dataset, "StudyInstanceUID") and text(header.dataset, "SOPInstanceUID")):
        return False
    return not frames or (header.problem is None and _holds_its_pixels(header, len(frames)))


def _holds_its_pixels(header: Header, frames: int) -> bool:
    """Whether native pixel data are as long as Rows, Columns and BitsAllocated want, colours aside."""
    if header.pixel_bytes is None:
        return True
    rows, columns, bits = (integer(header.dataset, keyword) or 0 for keyword in ("Rows", "Columns", "BitsAllocated"))
    return header.pixel_bytes * 8 >= rows * columns * bits * frames


def _name(whole: Path) -> str:
    number = integer(read_header(whole, FRAME_KEYWORDS).dataset, "InstanceNumber")
    return "an image without a number" if number is None else f"instance number {number}"


def _notes(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    if len(names) == 1:
        return (f"a damaged copy of {names[0]} was left out, a whole one is there",)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    told = ", ".join(names[:MOST_NAMED])
    return (f"damaged copies of {len(names)} images were left out, whole ones are there: {told}{more}",)
