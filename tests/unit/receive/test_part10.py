"""The head of a DICOM file, as it comes: the same as pydicom reads, from any pieces; never more than it must."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from app.receive.dataset import UnintelligibleError
from app.receive.part10 import LONGEST, FileHead, NotDicomError, read_head
from tests.unit.receive.objects import DEFLATED, encode, make_object, to_file

FILE = to_file(make_object("1.2", "1.2.3"))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DEFLATED, "1.2.840.10008.1.2"])
def test_reads_what_pydicom_reads(syntax: str) -> None:
    made = make_object("1.2", "1.2.3")
    file = to_file(made, syntax)
    meta = dcmread(BytesIO(file)).file_meta
    head = read_head(file, whole=True)
    assert head == FileHead(
        meta.MediaStorageSOPClassUID,
        meta.MediaStorageSOPInstanceUID,
        meta.TransferSyntaxUID,
        head.length if head else 0,
    )
    assert head is not None
    assert file[head.length :] == encode(make_object("1.2", "1.2.3", SeriesInstanceUID=made.SeriesInstanceUID), syntax)


@given(st.integers(0, len(FILE)))
def test_any_part_of_a_file_gives_its_head_or_asks_for_more(length: int) -> None:
    head = read_head(FILE[:length], whole=False)
    assert head is None or head == read_head(FILE, whole=True)
    assert (head is not None) == (length >= 132 + int.from_bytes(FILE[140:144], "little") + 12 + 8)


def test_needs_no_group_length() -> None:
    length = int.from_bytes(FILE[140:144], "little")
    without = FILE[:132] + FILE[144:]
    head = read_head(without, whole=True)
    assert head is not None
    assert (head.sop_class_uid, head.length) == (CTImageStorage, 132 + length)


@pytest.mark.parametrize(
    "content",
    [b"", b"GIF89a", b"\0" * 200, FILE[1:], encode(make_object())],
    ids=["empty", "picture", "zeros", "shifted", "no preamble"],
)
def test_what_is_no_dicom_file_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(NotDicomError, match=r"no DICOM file|an empty file"):
        read_head(content, whole=True)


def test_a_head_that_never_ends_is_not_kept() -> None:
    endless = bytes(128) + b"DICM" + b"\x02\x00\x01\x00OB\x00\x00\xff\xff\xff\xff"
    assert read_head(endless, whole=False) is None
    with pytest.raises(UnintelligibleError, match="too long"):
        read_head(endless + bytes(LONGEST), whole=False)
    with pytest.raises(UnintelligibleError, match="broken off"):
        read_head(endless, whole=True)
    with pytest.raises(UnintelligibleError, match="empty data set"):
        read_head(FILE[: 144 + int.from_bytes(FILE[140:144], "little")], whole=True)


@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_are_a_head_or_refused(content: bytes, whole: bool) -> None:
    for begin in (b"", bytes(128) + b"DICM", bytes(128) + b"DICM\x02\x00"):
        try:
            head = read_head(begin + content, whole=whole)
        except (NotDicomError, UnintelligibleError):
            continue
        assert head is None or 132 <= head.length <= len(begin + content)
