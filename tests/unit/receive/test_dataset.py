"""Identity of encoded data sets, and the header of files."""

import zlib
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from app.receive.dataset import (
    IMPLEMENTATION_CLASS_UID,
    Identity,
    UnintelligibleError,
    file_header,
    identify,
    is_uid,
)
from tests.unit.receive.objects import encode, make_object

SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]

texts = st.text("ABC äß山Ж^=", max_size=20)
uids = st.from_regex(r"[1-9][0-9]{0,4}(\.[1-9][0-9]{0,6}){1,6}", fullmatch=True)


@st.composite
def items(draw: st.DrawFn, depth: int = 0) -> Dataset:
    """Make a data set as it may stand before StudyInstanceUID, sequences nested and of either kind of length."""
    made = Dataset()
    for tag in draw(st.lists(st.sampled_from([0x00080050, 0x00081030, 0x00104000]), unique=True)):
        made.add(DataElement(tag, {0x00080050: "SH", 0x00081030: "LO", 0x00104000: "LT"}[tag], draw(texts)))
    if draw(st.booleans()):
        made.add(DataElement(0x00091010, draw(st.sampled_from(["OB", "UN"])), draw(st.binary(max_size=40)) + b"\0" * 2))
    if depth < 3:
        for tag in draw(st.lists(st.sampled_from([0x00081140, 0x00082112]), unique=True)):
            inner = Sequence(draw(st.lists(items(depth + 1), max_size=2)))
            inner.is_undefined_length = draw(st.booleans())
            for item in inner:
                item.is_undefined_length_sequence_item = draw(st.booleans())
            made.add(DataElement(tag, "SQ", inner))
            made[tag].is_undefined_length = inner.is_undefined_length
    return made


@pytest.mark.filterwarnings("ignore:The value length")
@pytest.mark.parametrize("syntax", SYNTAXES)
@settings(max_examples=40, deadline=None)
@given(before=items(), study=uids, sop=uids)
def test_identity_is_found_in_every_encoding(syntax: str, before: Dataset, study: str, sop: str) -> None:
    made = make_object(study, sop)
    made.SpecificCharacterSet = "ISO_IR 192"
    for element in before:
        made.add(element)
    if syntax not in (ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        made.pop(0x00091010, None)  # pydicom swaps the bytes of OB and UN in odd ways; ours never looks at them
    assert identify(encode(made, syntax), syntax) == Identity(study, sop)


def test_identity_is_found_before_encapsulated_pixels() -> None:
    made = make_object("1.2.3", "1.2.4")
    assert identify(encode(made, ExplicitVRLittleEndian), JPEG2000Lossless) == Identity("1.2.3", "1.2.4")


def test_un_of_undefined_length_holds_implicit_items() -> None:
    inner = b"\x08\x00\x50\x00\x02\x00\x00\x00AB"
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + inner + b"\xfe\xff\x0d\xe0\0\0\0\0"
    private = b"\x09\x00\x10\x10UN\0\0\xff\xff\xff\xff" + item + b"\xfe\xff\xdd\xe0\0\0\0\0"
    study = b"\x20\x00\x0d\x00UI\x06\x001.2.3\0"
    assert identify(private + study, ExplicitVRLittleEndian) == Identity("1.2.3", "")


def test_absent_uids_are_empty() -> None:
    made = make_object()
    del made.StudyInstanceUID
    del made.SOPInstanceUID
    assert identify(encode(made), ExplicitVRLittleEndian) == Identity("", "")


@pytest.mark.parametrize("syntax", SYNTAXES)
@given(data=st.binary(max_size=300))
def test_any_bytes_are_walked_or_refused(syntax: str, data: bytes) -> None:
    try:
        identify(data, syntax)
    except UnintelligibleError as error:
        assert len(str(error)) <= 64


@given(cut=st.integers(0, 200))
def test_a_header_cut_anywhere_is_refused_or_incomplete(cut: int) -> None:
    whole = encode(make_object("1.2.3", "1.2.4"))
    end = whole.index(b"1.2.3")
    try:
        assert identify(whole[: min(cut, end)], ExplicitVRLittleEndian).study_instance_uid == ""
    except UnintelligibleError:
        return


def test_deep_nesting_is_refused() -> None:
    sequence = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    with pytest.raises(UnintelligibleError, match="nested too deep"):
        identify(sequence * 1000, ExplicitVRLittleEndian)


def test_a_deflate_bomb_costs_no_more_than_its_bound() -> None:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = deflate.compress(b"\x08\x00\x50\x00SH\0\0" * (8 << 20)) + deflate.flush()
    assert identify(bomb, DeflatedExplicitVRLittleEndian) == Identity("", "")


@pytest.mark.parametrize(
    ("uid", "valid"),
    [
        ("1.2.840.10008.1.2", True),
        ("1", True),
        ("1.02", True),
        ("", False),
        ("1.", False),
        (".1", False),
        ("1..2", False),
        ("1." * 32 + "1", False),
        ("../../etc/passwd", False),
        ("1.2\n", False),
        ("１.２", False),
    ],
)
def test_uids(uid: str, valid: bool) -> None:
    assert is_uid(uid) is valid


def test_file_header_reads_as_file_meta() -> None:
    header = file_header("1.2.840.10008.5.1.4.1.1.2", "1.2.3", ExplicitVRLittleEndian, "SCANNER 1")
    meta = dcmread(BytesIO(header + encode(make_object(sop="1.2.3")))).file_meta
    assert {element.keyword: element.value for element in meta} == {
        "FileMetaInformationGroupLength": len(header) - 144,
        "FileMetaInformationVersion": b"\x00\x01",
        "MediaStorageSOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
        "MediaStorageSOPInstanceUID": "1.2.3",
        "TransferSyntaxUID": ExplicitVRLittleEndian,
        "ImplementationClassUID": IMPLEMENTATION_CLASS_UID,
        "ImplementationVersionName": "VIGIL_0_1",
        "SourceApplicationEntityTitle": "SCANNER 1",
    }
