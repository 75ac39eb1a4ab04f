"""Names of the world as Unicode, and what is broken as what could be read of it."""

from datetime import date, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import DataElement, Dataset, config
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from app.identity import Identity, PersonName, decoded, exact, one_line
from app.report.source import read_source
from tests.unit.report.factory import make_report, make_study


def raw(keyword: str, value: bytes) -> RawDataElement:
    return RawDataElement(Tag(keyword), "PN" if "Name" in keyword else "LO", len(value), value, 0, False, True)


def elements(character_set: str | None = None, **values: bytes) -> Dataset:
    data_set = Dataset()
    if character_set is not None:
        data_set[Tag("SpecificCharacterSet")] = raw("SpecificCharacterSet", character_set.encode())
    for keyword, value in values.items():
        data_set[Tag(keyword)] = raw(keyword, value)
    return data_set


def spelled(names: tuple[PersonName, ...]) -> str:
    return "=".join(f"{each.family}^{each.given}" for each in names)


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        ("ISO_IR 144", "Люкceмбург^Роза"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小东"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        ("ISO_IR 100", "Müller^Jürgen"),
        (None, "Doe^Jane"),
    ],
)
def test_names_of_real_files_come_out_in_unicode(character_set: Any, name: str, tmp_path: Path) -> None:
    headers = {"PatientName": name} | ({"SpecificCharacterSet": character_set} if character_set else {})
    source = read_source(make_report(), make_study(tmp_path, headers=headers))
    sent = {element: source.identity.get_item(element) for element in source.identity.keys()}  # noqa: SIM118
    assert spelled(decoded(source.identity).names) == name
    assert {element: source.identity.get_item(element) for element in sent} == sent


def test_second_bytes_that_look_like_delimiters_part_no_name() -> None:
    """The second character of Hideyoshi's name begins with the byte of an equals sign in ISO 2022 IR 87."""
    names = ("Toyotomi^Hideyoshi", "豊臣^秀吉", "とよとみ^ひでよし")
    written = b"=".join(b"^".join(p.encode("iso2022_jp") for p in name.split("^")) for name in names)
    read = decoded(elements("\\ISO 2022 IR 87", PatientName=written)).names
    assert [(each.representation, f"{each.family}^{each.given}") for each in read] == [
        ("alphabetic", names[0]),
        ("ideographic", names[1]),
        ("phonetic", names[2]),
    ]
    name = "誠^璡"  # 誠 is 0xD55C in GBK: its second byte is a backslash
    assert b"\\" in name.encode("gbk")
    assert spelled(decoded(elements("GBK", PatientName=name.encode("gbk"))).names) == name


def test_takes_a_name_apart() -> None:
    (name,) = decoded(elements(PatientName=b"Adams^John Robert^Quincy^Rev.^B.A.^M.Div. ")).names
    assert name == PersonName("alphabetic", "Adams", "John Robert", "Quincy", "Rev.", "B.A. M.Div.")
    assert name.words == "Rev. John Robert Quincy Adams B.A. M.Div."
    (name,) = decoded(elements(PatientName=b"=Y^T")).names
    assert (name.representation, name.words) == ("ideographic", "Y T")


@pytest.mark.parametrize(
    ("character_set", "name", "read"),
    [
        (None, "Müller".encode("latin1"), "M\ufffdller"),
        ("ISO_IR 192", "Müller".encode("latin1"), "M\ufffdller"),
        ("ISO_IR 999", b"Doe", "Doe"),
        ("ISO_IR 999", "Müller".encode("latin1"), "M\ufffdller"),
        ("\\ISO 2022 IR 87", "Müller".encode("latin1"), "M\ufffdller"),
        ("ISO_IR 6", "Müller".encode("latin1"), "M\ufffdller"),
        ("\\ISO 2022 IR 87", b"\x1b$BK-\x1b(B", "豊"),
    ],
)
def test_what_cannot_be_decoded_is_replaced(character_set: str | None, name: bytes, read: str) -> None:
    assert decoded(elements(character_set, PatientName=name)).names[0].family == read


@given(
    st.sampled_from(
        [None, "", "ISO_IR 100", "ISO_IR 192", "GB18030", "\\ISO 2022 IR 87", "nonsense", "\\\\", "ISO 2022 IR 149"]
    ),
    st.binary(max_size=80),
    st.binary(max_size=12),
)
def test_no_bytes_lose_the_document(character_set: str | None, name: bytes, other: bytes) -> None:
    read = decoded(
        elements(
            character_set, PatientName=name, PatientID=name, StudyDate=other, StudyTime=other, PatientBirthDate=other
        )
    )
    for text in (read.patient_id, *(part.words for part in read.names)):
        text.encode()
        assert not any(ord(character) < 32 for character in text)


@pytest.mark.parametrize(
    ("day", "hour", "read"),
    [
        (b"20260301", b"101500.123 ", (date(2026, 3, 1), time(10, 15))),
        (b"20260230", b"1015", (None, time(10, 15))),
        (b"2026", b"25", (None, None)),
        (b"", b"", (None, None)),
    ],
)
def test_dates_and_times_that_are_none_are_left_out(day: bytes, hour: bytes, read: tuple[Any, Any]) -> None:
    identity = decoded(elements(StudyDate=day, StudyTime=hour))
    assert (identity.study_date, identity.study_time) == read


def test_nothing_said_is_nothing() -> None:
    empty = Dataset()
    empty.add(DataElement("PatientName", "PN", "", validation_mode=config.IGNORE))
    assert decoded(empty) == decoded(Dataset()) == Identity()


def test_a_header_from_memory_keeps_its_backslashes() -> None:
    remembered = Dataset()
    remembered.add(DataElement("PatientID", "LO", "A\\7", validation_mode=config.IGNORE))
    remembered.add(DataElement("PatientName", "PN", "Doe^Jane", validation_mode=config.IGNORE))
    read = decoded(remembered)
    assert (read.patient_id, spelled(read.names)) == ("A\\7", "Doe^Jane")


def test_an_identifier_keeps_its_blanks_and_text_does_not() -> None:
    assert (exact(" A  7\x07\0 "), one_line(" A \r\n 7\x07x\ud800\uffff ")) == ("A  7\ufffd", "A 7 x\ufffd\ufffd")
