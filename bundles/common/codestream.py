"""Size of a compressed image as its own codestream claims it, before a decoder allocates anything, and whether it ends.

JPEG and JPEG-LS: the start-of-frame segment (ISO 10918-1 B.2.2, ISO 14495-1 C.2.2). JPEG 2000: the SIZ segment
(ISO 15444-1 A.5.1). RLE has no size of its own.
"""

SOF_MARKERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
JPEG_START, J2K_START = b"\xff\xd8\xff", b"\xff\x4f\xff\x51"
JPEG_END = b"\xff\xd9"


def claimed_size(head: bytes) -> tuple[int, int] | None:
    """Return (rows, columns) that the first codestream in encapsulated pixel data claims; None where it does not tell.

    Args:
        head: The first bytes of the element's value, starting at the basic offset table.
    """
    start = head.find(J2K_START)
    if start >= 0 and len(head) >= start + 24:
        size = [int.from_bytes(head[start + at : start + at + 4], "big") for at in (8, 12, 16, 20)]
        return size[1] - size[3], size[0] - size[2]
    start = head.find(JPEG_START)
    return _frame_size(head, start + 2) if start >= 0 else None


def ends_early(frame: bytes) -> bool:
    """Tell whether a JPEG or JPEG-LS codestream was cut off: the marker of its end is missing (ISO 10918-1 B.2.1).

    Decoders of these make up the rows that are missing and say nothing. What comes behind the marker is padding.
    """
    return frame.startswith(JPEG_START) and not frame.rstrip(b"\0\xff").endswith(JPEG_END)


def _frame_size(head: bytes, at: int) -> tuple[int, int] | None:
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in SOF_MARKERS:
            return int.from_bytes(head[at + 5 : at + 7], "big"), int.from_bytes(head[at + 7 : at + 9], "big")
        at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return None
