"""Queries of QIDO-RS: what anybody may write is a query or refused in words; matching follows PS3.4 C.2.2.2."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web.dicomweb import accept
from app.web.dicomweb.attributes import MATCHED, Level, keyword_of
from app.web.dicomweb.query import LONGEST, MOST, NOT_FUZZY, matcher, parse

NAMES = st.sampled_from(
    [
        *sorted(key for each in MATCHED.values() for key in each),
        "00100020",
        "limit",
        "offset",
        "includefield",
        "fuzzymatching",
    ]
)


@given(st.lists(st.tuples(NAMES | st.text(max_size=30), st.text(max_size=60)), max_size=6), st.sampled_from(Level))
def test_any_query_is_read_or_refused_in_words(items: list[tuple[str, str]], level: Level) -> None:
    try:
        query = parse(items, level)
    except ValueError as error:
        assert str(error)
        return
    assert 0 <= query.limit <= MOST
    assert query.offset >= 0
    for match in query.keys.values():
        assert match("anything") in {True, False}


@pytest.mark.parametrize(
    ("keyword", "wanted", "fits", "not_"),
    [
        ("PatientName", "doe^j*", ["Doe^Jane", "DOE^J"], ["Roe^Jane", "A Doe^Jane"]),
        ("PatientID", "P-?", ["P-1"], ["P-", "P-12", "p-1", "xP-1"]),
        ("PatientID", "a.c", ["a.c"], ["abc"]),
        ("AccessionNumber", "*", ["", "1"], []),
        ("StudyInstanceUID", "1.2,1.3", ["1.2", "1.3"], ["1.22", "1.2.1"]),
        ("SOPInstanceUID", "1.2\\1.3", ["1.3"], ["1.4"]),
        ("StudyDate", "20260101-20260131", ["20260101", "20260131"], ["20251231", "20260201", "", "20260115x"]),
        ("StudyDate", "-20260131", ["19990101", "20260131"], ["20260201", ""]),
        ("StudyDate", "20260131-", ["20260131", "20990101"], ["20260130"]),
        ("StudyTime", "09", ["090000", "0959", "095959.999"], ["100000", "085959"]),
        ("StudyTime", "0800-0900", ["080000", "0900", "090059"], ["075959", "090100"]),
        ("SeriesNumber", "7", ["7", " 07", "+7"], ["70", "", "-7"]),
        ("ModalitiesInStudy", "C?", ["CT", "CR"], ["MR"]),
    ],
)
def test_matching(keyword: str, wanted: str, fits: list[str], not_: list[str]) -> None:
    match = matcher(keyword, wanted)
    assert [value for value in fits if not match(value)] == []
    assert [value for value in not_ if match(value)] == []


@given(st.text(alphabet="ab*?", max_size=12), st.text(alphabet="abc", max_size=8))
def test_wildcards_are_those_of_a_slow_obvious_matcher(pattern: str, value: str) -> None:
    def slow(pattern: str, value: str) -> bool:
        if not pattern:
            return not value
        if pattern[0] == "*":
            return any(slow(pattern[1:], value[start:]) for start in range(len(value) + 1))
        return bool(value) and pattern[0] in {"?", value[0]} and slow(pattern[1:], value[1:])

    if pattern:
        assert matcher("PatientID", pattern)(value) is slow(re.sub(r"\*+", "*", pattern), value)


def test_stars_without_end_are_compared_in_time() -> None:
    assert matcher("PatientID", "*" * LONGEST)("anything")
    assert matcher("PatientID", "*a" * 300 + "c")("a" * 1000) is False


def test_fields_pages_and_fuzziness() -> None:
    query = parse([("includefield", "SeriesDate,00180015"), ("limit", "5"), ("offset", "7")], Level.SERIES)
    assert (query.include, query.limit, query.offset) == (frozenset({"SeriesDate", "BodyPartExamined"}), 5, 7)
    assert parse([("includefield", "all")], Level.STUDY).include is None
    assert parse([("fuzzymatching", "true")], Level.STUDY).warnings == (NOT_FUZZY,)
    assert parse([("fuzzymatching", "false")], Level.STUDY).warnings == ()
    assert parse([("limit", "999999")], Level.STUDY).limit == MOST
    assert parse([("StudyInstanceUID", "1.2,1.3")], Level.STUDY).studies == ("1.2", "1.3")
    keys = parse(
        [("00400275.00401001", "R1"), ("RequestAttributesSequence.ScheduledProcedureStepID", "S")], Level.SERIES
    )
    assert set(keys.keys) == {
        "RequestAttributesSequence.RequestedProcedureID",
        "RequestAttributesSequence.ScheduledProcedureStepID",
    }


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([("PatientNam", "x")], "no DICOM attribute"),
        ([("0010002", "x")], "no DICOM attribute"),
        ([("FFFFFFFF", "x")], "no DICOM attribute"),
        ([("SOPClassUID", "1.2")], "not matched in a search for study"),
        ([("PatientSx", "M")], "no DICOM attribute"),
        ([("StudyDate", "2026-01-31")], "20260131"),
        ([("StudyDate", "-")], "20260131"),
        ([("StudyInstanceUID", "1.2;rm")], "no UID"),
        ([("PatientID", "1"), ("00100020", "2")], "twice"),
        ([("PatientID", "x" * (LONGEST + 1))], "longer"),
        ([("includefield", "Nonsense")], "no DICOM attribute"),
    ],
)
def test_what_cannot_be_used_is_said(items: list[tuple[str, str]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(items, Level.STUDY)


@given(st.text(max_size=20))
def test_any_name_is_an_attribute_or_refused(name: str) -> None:
    try:
        assert keyword_of(name)
    except ValueError as error:
        assert "no DICOM attribute" in str(error)


@given(
    st.text(max_size=200) | st.from_regex(r'[a-z/*+]+(; ?[a-z-]+=[a-z0-9."/*-]+){0,3}(, ?[a-z/*]+)?', fullmatch=True)
)
def test_any_accept_header_is_read_or_refused(header: str) -> None:
    try:
        assert accept.parse(header)
    except ValueError as error:
        assert str(error).startswith("accept: ")


def test_what_is_accepted_stands_in_the_order_of_its_weight() -> None:
    found = accept.parse(
        'image/png;q=0.5, multipart/related; type="application/dicom"; transfer-syntax=*, text/html;q=0'
    )
    assert [(each.media_type, each.part, each.transfer_syntax) for each in found] == [
        ("multipart/related", "application/dicom", "*"),
        ("image/png", "image/png", ""),
    ]
    assert found[0].takes("application/dicom")
    assert not found[0].takes("application/octet-stream")
    assert found[0].takes_syntax("1.2.840.10008.1.2.4.80")
    assert not accept.parse('multipart/related; transfer-syntax="1.2"')[0].takes_syntax("1.3")
    assert accept.parse(None)[0].takes("anything/at-all")
