"""Zips of DICOM files, of which anybody may have made them: every promise is checked before a byte is unpacked.

No name of a zip ever becomes a path: files are filed by their UIDs. Strange names are refused all the same, because
whoever wrote them meant something else than an image.
"""

import re
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from app.receive.objections import CANNOT_UNDERSTAND, Refusal
from app.receive.upload import FileResult, Upload, Verdict

CHUNK: Final = 1 << 20
RATIO_FROM: Final = 100 << 20
"""Less than that may be packed as tightly as it likes: empty images do."""
MOST_OF_AN_ENTRY: Final = 4096
"""Bytes of a zip's directory for each file that it may hold: name, extra fields and comment."""
END: Final = b"PK\x05\x06"
_END: Final = struct.Struct("<4s4H2LH")
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR: Final = struct.Struct("<4sLQL")
_FURTHEST_END: Final = (1 << 16) + 22
_DRIVE: Final = re.compile(r"[A-Za-z]:")
DAMAGED: Final = (
    BadZipFile,
    EOFError,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    ValueError,
    LookupError,
    struct.error,
)
"""What zipfile raises on zips that are damaged or made by an enemy."""


class ZipRefused(Exception):
    """A whole zip that is not unpacked; nothing of it was stored.

    Attributes:
        reason: In one word.
    """

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(words)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Limits:
    """What a zip may be.

    Attributes:
        files: At most in it.
        bytes: At most in all, unpacked.
        ratio: Of unpacked to packed bytes at most, from 100 MB on.
    """

    files: int
    bytes: int
    ratio: float


def unpack(path: Path, name: str, upload: Upload, limits: Limits, told: Callable[[FileResult], None]) -> None:
    """Receive every file of a zip, one after the other, as if each had come by itself.

    Args:
        path: Of the zip.
        name: As its sender calls it.
        upload: To which its files belong.
        limits: What it may be.
        told: Called with what became of each file; folders are passed over.

    Raises:
        ZipRefused: It is no sound zip, or too much; nothing of it was stored.
        OSError: The disk is broken.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        _check_directory(file, size, limits)
        try:
            opened = ZipFile(file)
        except DAMAGED as error:
            raise ZipRefused("damaged", f"a damaged zip ({type(error).__name__}): pack it anew") from error
        with opened:
            # Not by `is_dir`, which fails over a name of no letter.
            entries = [each for each in opened.infolist() if not each.filename.endswith("/")]
            _check_promises(entries, size, limits)
            for entry in entries:
                told(_receive(opened, entry, f"{name}/{_shown(entry.filename)}", upload))


def problem_of(entry: ZipInfo) -> Refusal | None:
    """Why a file of a zip is not unpacked; None where it is."""
    name = entry.orig_filename
    parts = re.split(r"[/\\]", name)
    if ".." in parts or name.startswith(("/", "\\")) or _DRIVE.match(name) or "\0" in name:
        return _refusal("path", "its name leads out of the zip")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind and kind != stat.S_IFREG:
        return _refusal("link", "a link or device, and no file")
    if entry.flag_bits & 0x1 or entry.flag_bits & 0x40:
        return _refusal("encrypted", "encrypted: unpack the zip with its password first")
    if entry.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:
        return _refusal("compression", "packed in an unusual way: use deflate, as every zip program does by default")
    return None


def _receive(opened: ZipFile, entry: ZipInfo, name: str, upload: Upload) -> FileResult:
    refusal = problem_of(entry)
    if refusal is not None:
        return FileResult(name, Verdict.REFUSED, refusal.reason, refusal.comment)
    if entry.header_offset < 0:
        return FileResult(
            name, Verdict.REFUSED, "damaged", "it would lie before the beginning of the zip: pack it anew"
        )
    arriving = upload.receive(name)
    try:
        with opened.open(entry) as content:
            for chunk in _chunks(content):
                arriving.write(chunk)
                if arriving.refused:
                    break
    except DAMAGED:
        arriving.break_off()
        return FileResult(name, Verdict.REFUSED, "damaged", "damaged within the zip: pack it anew")
    except BaseException:
        arriving.break_off()
        raise
    return arriving.finish()


def _chunks(content: BinaryIO | object) -> Iterator[bytes]:
    read: Callable[[int], bytes] = content.read  # type: ignore[union-attr]
    while chunk := read(CHUNK):
        yield chunk


def _check_promises(entries: list[ZipInfo], packed: int, limits: Limits) -> None:
    """Refuse a bomb by what it says of itself; zipfile never gives more of a file than that."""
    if len(entries) > limits.files:
        raise ZipRefused("too_many", f"{len(entries)} files, more than {limits.files} (uploads.max_files)")
    unpacked = sum(each.file_size for each in entries)
    if unpacked > limits.bytes:
        raise ZipRefused(
            "bomb", f"{unpacked >> 20} MB unpacked, more than {limits.bytes >> 20} (uploads.max_unpacked_mb)"
        )
    if unpacked > RATIO_FROM and unpacked > limits.ratio * packed:
        times = unpacked // max(packed, 1)
        raise ZipRefused("bomb", f"unpacked {times} times its size, more than {limits.ratio:g} (uploads.max_ratio)")


def _check_directory(file: BinaryIO, size: int, limits: Limits) -> None:
    """Refuse a directory that would fill the memory before zipfile reads it (APPNOTE 4.3.14 to 4.3.16)."""
    tail = min(size, _FURTHEST_END)
    file.seek(size - tail)
    content = file.read(tail)
    # As zipfile looks for it: at the very end, else the last one that a comment may follow.
    plain = len(content) - _END.size
    at = plain if plain >= 0 and content[plain:].startswith(END) and content[-2:] == bytes(2) else content.rfind(END)
    if at < 0 or len(content) - at < _END.size:
        raise ZipRefused("damaged", "no zip, or broken off before its end: send it again")
    length = _directory64(file, size - tail + at) or _END.unpack_from(content, at)[5]
    if length > size or length > limits.files * MOST_OF_AN_ENTRY:
        raise ZipRefused("too_many", f"its directory is longer than that of {limits.files} files (uploads.max_files)")
    file.seek(0)


def _directory64(file: BinaryIO, end: int) -> int | None:
    """Length of the directory of a zip in the long form, right before its end; None where it has none."""
    if end < _LOCATOR.size + _END64.size:
        return None
    file.seek(end - _LOCATOR.size - _END64.size)
    found, locator = file.read(_END64.size), file.read(_LOCATOR.size)
    if not found.startswith(b"PK\x06\x06") or not locator.startswith(b"PK\x06\x07"):
        return None
    return int(_END64.unpack(found)[8])


def _shown(name: str) -> str:
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in name)[:300]


def _refusal(reason: str, words: str) -> Refusal:
    return Refusal(CANNOT_UNDERSTAND, reason, words)
