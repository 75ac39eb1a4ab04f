"""Which of several copies of an instance counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundles.common.elements import integer, text
from bundles.common.headers import FRAME_KEYWORDS, Header, UnreadableImage, frames_of, read_header

MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Copies:
    """One file an instance, and in words which damaged copies were left out for them.

    Attributes:
        files: Sorted.
        notes: Which damaged copies were left out.
        signs: That images were lost, because different ones came under one UID.
    """

    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    signs: tuple[str, ...] = ()


def choose_copies(versions: Iterable[Sequence[Path]]) -> Copies:
    """Choose the newest whole copy of every instance, and the newest one where none is whole.

    Whole means that the header can be read and that the file holds as many bytes of pixels as it claims; pixels are not
    decoded. Only instances of which several copies came are looked at.

    Args:
        versions: All copies of each instance, the newest first (`Spool.versions`).
    """
    files, named, mixed = [], [], 0
    for copies in versions:
        if len(copies) == 1:
            files.append(copies[0])
            continue
        whole = [copy for copy in copies if _is_whole(copy)]
        files.append(whole[0] if whole else copies[0])
        if whole and len(whole) < len(copies):
            named.append(_name(whole[0]))
        numbers, places = {_number(copy) for copy in whole}, {_place(copy) for copy in whole}
        mixed += len(numbers) > 1 and len(places) > 1
    signs = (f"{mixed} SOP Instance UIDs stand for several images each; the newest counts, the others are missing",)
    return Copies(tuple(sorted(files)), _notes(named), signs if mixed else ())


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


def _number(whole: Path) -> int | None:
    return integer(read_header(whole, FRAME_KEYWORDS).dataset, "InstanceNumber")


def _place(whole: Path) -> str:
    """With the number it tells images apart that share a UID: a corrected copy keeps its number or its place."""
    return text(read_header(whole, FRAME_KEYWORDS).dataset, "ImagePositionPatient")


def _name(whole: Path) -> str:
    number = _number(whole)
    return "an image without a number" if number is None else f"instance number {number}"


def _notes(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    if len(names) == 1:
        return (f"a damaged copy of {names[0]} was left out, a whole one is there",)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    told = ", ".join(names[:MOST_NAMED])
    return (f"damaged copies of {len(names)} images were left out, whole ones are there: {told}{more}",)
