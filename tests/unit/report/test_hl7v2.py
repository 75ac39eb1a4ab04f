"""HL7 v2: the golden message, and what the gate (tests/integration/report/test_gate_text.py) does not come by."""

import os
from dataclasses import replace
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import DataElement, Dataset, config

from app.findings import Algorithm, Predecessor, Presence
from app.identity import exact, one_line
from app.report.hl7v2 import control_id, hl7_message
from app.report.hl7v2_values import escaped, number, shortened, text
from app.report.source import Source, read_source
from tests.unit.report.factory import MADE_AT, make_report, make_study
from tests.unit.report.radiographs import CHEST, chest_report, chest_study, wrist_report, wrist_study
from tests.unit.report.texts import Message

WORDS = st.text(max_size=200)
DELIMITERS = st.text("\\|^&~EFSTRX.br \r\n", max_size=30)


@pytest.fixture(scope="module")
def chest(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return read_source(chest_report(), chest_study(tmp_path_factory.mktemp("chest"), rows=60, columns=50))


def about(source: Source, **values: str) -> Source:
    identity = Dataset()
    for keyword, value in values.items():
        identity.add(DataElement(keyword, "UT", value, validation_mode=config.IGNORE))
    return replace(source, identity=identity)


def read(source: Source, **options: Any) -> Message:
    return Message(hl7_message(chest_report(**options), source, MADE_AT))


def test_reads_as_the_golden_message(chest: Source, root: Path) -> None:
    """Its segments end with new lines, for people. REGEN_GOLDEN=1 writes it anew; look at the difference."""
    golden = root / "tests" / "golden" / "report_chest.hl7"
    encoded = hl7_message(chest_report(), chest, MADE_AT).replace(b"\r", b"\n")
    if os.environ.get("REGEN_GOLDEN"):
        golden.write_bytes(encoded)
    assert encoded == golden.read_bytes()


@given(WORDS | DELIMITERS, WORDS | DELIMITERS, WORDS | DELIMITERS)
def test_any_text_comes_out_as_it_went_in(chest: Source, identifier: str, name: str, words: str) -> None:
    group, _, _ = name.partition("=")
    source = about(chest, PatientID=identifier, PatientName=group.replace("^", " "), AccessionNumber=identifier)
    message = read(source, notes=(words,), algorithm=replace(CHEST, title=words or "x"))
    assert [message.field("PID", 3), message.field("OBR", 18)] == [exact(identifier)] * 2
    assert message.field("PID", 5) == one_line(group.replace("^", " "))
    assert message.field("OBR", 4, 2) == one_line(words or "x")
    notes = message.all("NTE", 3)
    assert one_line(f"Note: {words}") in notes
    assert message.names.count("OBX") == len(read(chest).rows)


@given(WORDS | DELIMITERS)
def test_text_of_ours_holds_no_delimiter(words: str) -> None:
    for written in (escaped(words), text(words)):
        assert not set("|^&~\r\n") & set(written)


def test_every_representation_of_a_name(tmp_path: Path) -> None:
    headers = {
        "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
        "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
        "ReferringPhysicianName": "Adams^John^Quincy^Rev.^B.A.",
    }
    report = make_report()
    message = Message(hl7_message(report, read_source(report, make_study(tmp_path, headers=headers)), MADE_AT))
    names = [[message.field("PID", 5, part, repeat=repeat) for part in (1, 2, 7, 8)] for repeat in (1, 2, 3)]
    assert names == [["Yamada", "Tarou", "L", "A"], ["山田", "太郎", "L", "I"], ["やまだ", "たろう", "L", "P"]]
    referring = [message.field("PV1", 8, part) for part in (1, 2, 3, 4, 5, 6, 15)]
    assert referring == ["", "Adams", "John", "Quincy", "B.A.", "Rev.", "A"]


def test_says_who_gave_the_identifier(chest: Source) -> None:
    by_name = read(about(chest, PatientID="1", IssuerOfPatientID="St. Mary & Co"))
    assert [by_name.field("PID", 3, part) for part in (1, 4, 5)] == ["1", "St. Mary & Co", "PI"]
    assert read(about(chest, PatientID="1", IssuerOfPatientID="12")).field("PID", 3, 4) == "12"
    by_oid = hl7_message(chest_report(), about(chest, PatientID="1", IssuerOfPatientID="1.2.40"), MADE_AT)
    assert b"|1^^^&1.2.40&ISO^PI|" in by_oid


def test_invents_no_patient_and_no_order(chest: Source) -> None:
    message = read(about(chest))
    assert [message.field("PID", 3), message.field("PID", 5, 7), message.field("PID", 8)] == ["", "U", "U"]
    assert [message.field("OBR", 18), message.field("OBR", 3, 2)] == ["", "Vigil"]
    assert message.field("OBR", 3).startswith("2.25.")


def test_over_long_values_are_sent_whole(chest: Source) -> None:
    """A shortened identifier would be another patient's."""
    message = read(about(chest, PatientID="9" * 300, PatientName="N" * 3000, AccessionNumber="7" * 300))
    assert [len(message.field(*place)) for place in (("PID", 3), ("PID", 5), ("OBR", 3))] == [300, 3000, 300]
    longest = max(map(len, read(chest, notes=("n" * 100_000,)).all("NTE", 3)))
    assert longest == 65536


@given(st.text("ab|\\", min_size=10, max_size=60), st.integers(10, 40))
def test_what_is_shortened_ends_between_escapes(words: str, length: int) -> None:
    written = shortened(words, length)
    assert len(written) <= length
    assert written.count("\\") % 2 == 0


def test_the_control_id_is_of_the_report_and_not_of_the_hour(chest: Source) -> None:
    assert control_id(chest_report()) == control_id(chest_report(notes=("x",)))
    assert control_id(chest_report()) != control_id(chest_report(revision="another"))
    assert len(control_id(chest_report())) == 20


def test_points_back_to_what_it_replaces(chest: Source) -> None:
    earlier = chest_report(revision="0" * 16)
    predecessor = Predecessor(earlier.revision, earlier.series_uid, earlier.stack, earlier.algorithm.version)
    notes = read(chest, replaces=(predecessor,)).all("NTE", 3)
    assert f"Replaces the message on an earlier revision of the study: {control_id(earlier)}" in notes


def test_tells_its_time_zone(chest: Source) -> None:
    india = MADE_AT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    message = Message(hl7_message(chest_report(), chest, india))
    assert message.field("MSH", 7) == "20260304103607+0530"
    assert message.field("OBR", 7) == "20260301101500"


def test_where_a_network_looked_is_no_finding(tmp_path: Path) -> None:
    report = wrist_report()
    rows = Message(hl7_message(report, read_source(report, wrist_study(tmp_path)), MADE_AT)).rows
    looked = [row for row in rows if row.group == "1.1"]
    assert [row.codes[0] for row in looked] == ["112039", "112040", "130401", "111030", "121112"]
    assert looked[0].value[0] == "Where the network looked for: Wrist fracture"


def test_a_finding_that_is_not_present_has_no_parts(chest: Source) -> None:
    absent = tuple(replace(each, presence=Presence.ABSENT) for each in chest_report().findings)
    message = read(chest, findings=absent)
    assert [row.group for row in message.rows if "." in row.group] == []
    assert {message.field("OBR", 5), *(row.flag for row in message.rows)} == {""}


def test_a_cleared_algorithm_carries_no_research_mark(chest: Source) -> None:
    cleared = Algorithm("chest", "1.0", "ab" * 32, "CheXpert", "cleared")
    assert b"RESEARCH" not in hl7_message(chest_report(algorithm=cleared), chest, MADE_AT)


@pytest.mark.parametrize(
    ("value", "written"), [(87.5, "87.5"), (40.0, "40"), (0.0, "0"), (100.0, "100"), (1234567.891, "1234567.89")]
)
def test_numbers_are_plain(value: float, written: str) -> None:
    assert number(value) == written
