"""Elements are read from their bytes as pydicom reads them, whatever the bytes are."""

import struct
from io import BytesIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import Tag

from bundles.common.elements import PARSE_ERRORS, numbers, text

KEYWORDS = {"DS": "PixelSpacing", "IS": "InstanceNumber", "US": "Rows", "UI": "SOPInstanceUID", "CS": "Modality"}


def data_set(vr: str, value: bytes, *, big: bool = False) -> Dataset:
    """One element as it comes from a file, explicit VR."""
    tag = Tag(KEYWORDS[vr])
    head = struct.pack(f"{'>' if big else '<'}HH2sH", tag.group, tag.element, vr.encode(), len(value))
    return read_dataset(BytesIO(head + value), is_implicit_VR=False, is_little_endian=not big)


def as_pydicom(dataset: Dataset, vr: str) -> object:
    """The value as the library decodes it; None where it refuses."""
    try:
        return dataset[KEYWORDS[vr]].value
    except PARSE_ERRORS:
        return None


def plain_numbers(value: object) -> tuple[float, ...]:
    """Finite numbers of a decoded value, () where it holds anything else."""
    if value is None or value == "":
        return ()
    try:
        found = tuple(float(part) for part in ([value] if isinstance(value, str | int | float) else value))
    except PARSE_ERRORS:
        return ()
    return found if all(abs(part) < float("inf") for part in found) else ()


def plain_text(value: object) -> str:
    """A decoded value as text."""
    return "" if value is None else str(value).strip(" \0")


numeric = st.one_of(
    st.lists(
        st.floats().map(repr) | st.integers().map(str) | st.text("0123456789.+-eE_ \0nainf", max_size=8), max_size=4
    )
    .map("\\".join)
    .map(str.encode),
    st.binary(max_size=12),
)
textual = st.one_of(st.text("ABCDEFabc._0123456789 \0\\", max_size=20).map(str.encode), st.binary(max_size=20))


@pytest.mark.parametrize("vr", ["DS", "IS", "US"])
@given(value=numeric, big=st.booleans())
@example(value=b"1.0", big=False)
@example(value=b"1.5 ", big=False)
@example(value=b"1_0", big=False)
@example(value=b"1\\\\2", big=False)
@example(value=b"inf", big=False)
@example(value=b"7\0", big=False)
@example(value=b"9" * 400, big=False)
@example(value=b"\x01\x02", big=True)
def test_numbers_are_those_of_pydicom(vr: str, value: bytes, big: bool) -> None:
    expected = plain_numbers(as_pydicom(data_set(vr, value, big=big), vr))
    assert numbers(data_set(vr, value, big=big), KEYWORDS[vr]) == expected


@pytest.mark.parametrize("vr", ["UI", "CS"])
@given(value=textual)
@example(value=b"ORIGINAL\\PRIMARY ")
@example(value=b"1.2.3\0")
@example(value=b"\xe4")
def test_text_is_that_of_pydicom(vr: str, value: bytes) -> None:
    assert text(data_set(vr, value), KEYWORDS[vr]) == plain_text(as_pydicom(data_set(vr, value), vr))


def test_an_element_that_was_decoded_before_reads_the_same() -> None:
    dataset = data_set("DS", b"0.5\\0.25")
    assert numbers(dataset, "PixelSpacing") == (0.5, 0.25)
    assert dataset.PixelSpacing == [0.5, 0.25]
    assert numbers(dataset, "PixelSpacing") == (0.5, 0.25)


def test_absent_elements_and_data_sets_have_neither() -> None:
    assert numbers(Dataset(), "PixelSpacing") == ()
    assert numbers(None, "PixelSpacing") == ()
    assert text(Dataset(), "Modality") == ""
