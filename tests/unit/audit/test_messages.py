"""Audit messages: the schema of PS3.15 A.5.1 fits whatever was sent to us."""

import multiprocessing
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from pydantic import ValidationError
from structlog.testing import capture_logs

from app.audit.alerts import EVERY_S, MOST, Alerts
from app.audit.file import append
from app.audit.messages import StudyObject, clean, to_xml
from app.audit.settings import Audit
from app.audit.trail import FAILURES, Trail
from app.errors import Failed
from tests.unit.audit.judge import judged, read, told

AT = 1_790_000_000.25


def trail(path: Path, **options: object) -> Trail:
    return Trail(Audit.model_validate({"file": path, **options}), lambda: AT)


def test_every_message_fits_the_schema(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    book = trail(path, site="St. Mary's", source="vigil-1")
    study = StudyObject("1.2.3", "P^1 & <2>", {"1.2.840.10008.5.1.4.1.1.2": 36})
    book.application("listener", starts=True)
    book.login("ann", "10.0.0.1")
    book.login("ann", "10.0.0.1", logout=True)
    book.refused("tls_expired", "", "10.0.0.2")
    book.accessed("ann", "ward-7.example", study)
    book.received("CT1", "10.0.0.3", study, whole=True)
    book.received("CT1", "10.0.0.3", study, whole=False)
    book.sent("pacs", study)
    book.sent("pacs", study, problem="refused", user="bob", address="10.0.0.4")
    book.application("listener", starts=False)
    found = [told(each) for each in read(path)]
    objects = {"Study Instance UID": "1.2.3", "Patient Number": "P^1 & <2>"}
    assert [(each["event"], each["type"], each["action"], each["outcome"]) for each in found] == [
        ("Application Activity", "Application Start", "E", "0"),
        ("User Authentication", "Login", "E", "0"),
        ("User Authentication", "Logout", "E", "0"),
        ("Security Alert", "Node Authentication", "E", "8"),
        ("DICOM Instances Accessed", None, "R", "0"),
        ("DICOM Instances Transferred", None, "C", "0"),
        ("DICOM Instances Transferred", None, "C", "4"),
        ("DICOM Instances Transferred", None, "R", "0"),
        ("DICOM Instances Transferred", None, "R", "4"),
        ("Application Activity", "Application Stop", "E", "0"),
    ]
    assert found[0]["who"] == {"vigil listener": (False, None, "Application")}
    assert (found[3]["who"], found[3]["alert"]) == ({"(unknown)": (True, "10.0.0.2")}, ["refused: tls_expired"])
    assert (found[4]["who"], found[4]["what"]) == ({"ann": (True, "ward-7.example")}, objects)
    assert found[5]["who"] == {
        "CT1": (True, "10.0.0.3", "Source Role ID"),
        "vigil": (False, None, "Destination Role ID"),
    }
    assert (found[5]["what"], found[5]["classes"]) == (objects, {"1.2.840.10008.5.1.4.1.1.2": 36})
    assert found[8]["who"] == {
        "vigil": (False, None, "Source Role ID"),
        "pacs": (False, None, "Destination Role ID"),
        "bob": (True, "10.0.0.4"),
    }
    (first, *_) = read(path)
    assert first.find("EventIdentification").get("EventDateTime") == "2026-09-21T14:13:20.250+00:00"
    assert dict(first.find("AuditSourceIdentification").attrib) == {
        "AuditEnterpriseSiteID": "St. Mary's",
        "AuditSourceID": "vigil-1",
    }


def test_the_schema_can_refuse() -> None:
    """The judge is one: what the part does not know does not pass."""
    from app.audit.messages import Event, Message, Participant

    xml = to_xml(Message(Event.APPLICATION, "E", AT, (Participant("x", is_requestor=True),)), "vigil")
    for wrong in (
        xml.replace('EventActionCode="E"', 'EventActionCode="X"'),
        xml.replace("csd-code", "code"),
        xml.replace("<ActiveParticipant", "<Unknown/><ActiveParticipant"),
        xml.replace('UserIsRequestor="true"', ""),
    ):
        with pytest.raises(AssertionError):
            judged(wrong)


@given(st.text(), st.text(), st.text(), st.text())
def test_whatever_names_itself_anyhow_fits(user: str, address: str, uid: str, patient: str) -> None:
    lines: list[str] = []

    class Kept(Trail):
        def _to_file(self, xml: str) -> None:
            lines.append(xml)

    kept = Kept(Audit(file=Path("unused")))
    kept.refused(user, patient, address)
    kept.received(user, address, StudyObject(uid, patient, {uid: 1}), whole=True)
    for line in lines:
        assert len(line.splitlines()) == 1
        root = etree.fromstring(line)
        assert root.tag == "AuditMessage"
        assert len(root.findall("ActiveParticipant")) in {1, 2}
    who = etree.fromstring(lines[1]).find("ActiveParticipant").get("UserID")
    assert who == (clean(user) or "(unknown)")


def test_a_full_file_is_put_aside_and_none_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "audit" / "audit.log"
    line = "x" * 400_000
    for number in range(8):
        append(path, f"{number}{line}", max_mb=1)
    assert sorted(each.name for each in path.parent.glob("audit*")) == ["audit.log", "audit.log.1", "audit.log.2"]
    lines = [each[0] for name in ("audit.log.1", "audit.log.2", "audit.log") for each in (path.parent / name).open()]
    assert lines == list("01234567")
    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0


def test_what_a_kill_cut_off_spoils_no_other_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    append(path, "first", 1)
    with path.open("a") as file:
        file.write("half a li")
    append(path, "second", 1)
    assert path.read_text().splitlines() == ["first", "half a li", "second"]


def _write_many(path: Path, name: str) -> None:
    for number in range(50):
        append(path, f"{name} {number} " + "y" * 30_000, max_mb=1)


def test_several_processes_lose_and_mix_nothing(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=_write_many, args=(path, name)) for name in "abc"]
    for child in children:
        child.start()
    for child in children:
        child.join(120)
    lines = [line for each in tmp_path.glob("audit.log*") for line in each.read_text().splitlines()]
    assert sorted(line.rsplit(" ", 1)[0] for line in lines) == sorted(f"{n} {i}" for n in "abc" for i in range(50))
    assert {len(line.rsplit(" ", 1)[1]) for line in lines} == {30_000}


@pytest.mark.parametrize("required", [False, True])
def test_a_trail_that_cannot_be_written_is_told(required: bool, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    book = trail(tmp_path / "file" / "audit.log", required=required)
    before = FAILURES.labels("file")._value.get()
    with capture_logs() as logs:
        if required:
            with pytest.raises(Failed, match="the audit trail cannot be written"):
                book.accessed("ann", "10.0.0.1", StudyObject("1.2.3", "P1"))
        else:
            book.accessed("ann", "10.0.0.1", StudyObject("1.2.3", "P1"))
        book.received("CT1", "10.0.0.3", StudyObject("1.2.3", "P1"), whole=True)
    assert FAILURES.labels("file")._value.get() == before + 2
    assert [(each["event"], each["log_level"]) for each in logs] == [("audit_not_written", "error")] * 2
    assert "1.2.3" not in str(logs)
    assert "P1" not in str(logs)


def test_without_a_place_there_is_no_trail_to_require() -> None:
    with pytest.raises(ValidationError, match=r"audit\.required needs audit\.file or audit\.syslog"):
        Audit(required=True)
    Trail(Audit()).accessed("ann", "", StudyObject("1.2.3"))


def test_others_cannot_read_the_file(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        append(tmp_path / "audit.log", "x", 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "audit.log").stat().st_mode) == 0o640


def test_who_knocks_without_end_does_not_fill_the_disk(tmp_path: Path) -> None:
    now = [0.0]
    alerts = Alerts(lambda: now[0])
    assert [alerts.passes(("calling_ae", "a")) for _ in range(5)] == [0, None, None, None, None]
    assert alerts.passes(("calling_ae", "b")) == 0
    now[0] = EVERY_S
    assert alerts.passes(("calling_ae", "a")) == 4
    for number in range(MOST + 5):
        alerts.passes(("calling_ae", str(number)))
    assert len(alerts._told) == MOST
    book = trail(tmp_path / "audit.log")
    for name in ("A", "B", "C"):
        book.refused("calling_ae", name, "10.0.0.1")
    book.refused("tls_plain", "", "10.0.0.1")
    assert [told(each)["alert"] for each in read(tmp_path / "audit.log")] == [
        ["refused: calling_ae"],
        ["refused: tls_plain"],
    ]
