"""The audit trail of real events: who sent, who was refused, who looked, who sent again; and to a syslog server."""

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from structlog.testing import capture_logs

from app import outcomes
from app.access import Role
from app.audit.messages import StudyObject
from app.audit.settings import Audit
from app.audit.trail import Trail
from app.deliver import send_folder
from app.documents import Document, DocumentKind
from app.outcomes import StudyOutcome
from app.receive.listener import running
from app.report import encode
from app.settings import Settings
from app.tokens import make
from app.web.server import create_app
from tests.integration.receive.certificates import Hospital
from tests.unit.audit.judge import judged, read, told
from tests.unit.receive.objects import make_object, to_file
from tests.unit.report.factory import MADE_AT, make_report, make_study
from tests.unit.web.house import csrf_in

CT = "1.2.840.10008.5.1.4.1.1.2"


def settings(folder: Path, **sections: object) -> Settings:
    return Settings.model_validate(
        {
            "listener": {"host": "127.0.0.1", "port": 0, "peers": [{"ae_title": "CT1"}]},
            "spool": {"folder": folder / "spool", "min_free_mb": 0},
            "results": folder / "results",
            "run": folder / "run",
            "database": {"url": f"sqlite:///{folder}/vigil.sqlite"},
            "audit": {"file": folder / "audit.log"},
            **sections,
        }
    )


def test_the_listener_tells_who_brought_what_and_who_was_refused(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for study, patient in (("1.2.3", "P-1"), ("1.2.9", "P-2")):
        for number in range(2):
            made = make_object(study, f"{study}.{number}", PatientID=patient)
            (source / f"{study}.{number}.dcm").write_bytes(to_file(made))
    with capture_logs() as logs, running(settings(tmp_path)) as port:
        assert all(sent.delivered for sent in send_folder([source], "127.0.0.1", port, "VIGIL", "CT1"))
        assert not any(sent.delivered for sent in send_folder([source], "127.0.0.1", port, "VIGIL", "EVIL<&"))
    # What was brought is told when the association has ended, which may be after the next one was refused.
    found = sorted((told(each) for each in read(tmp_path / "audit.log")), key=lambda each: str(each["event"]))
    assert {each["what"].get("Study Instance UID"): each["what"].get("Patient Number") for each in found[:2]} == {
        "1.2.3": "P-1",
        "1.2.9": "P-2",
    }
    for each in found[:2]:
        assert (each["event"], each["outcome"], each["classes"]) == ("DICOM Instances Transferred", "0", {CT: 2})
        assert each["who"]["CT1"] == (True, "127.0.0.1", "Source Role ID")
    refused = found[2]
    assert (refused["event"], refused["alert"]) == ("Security Alert", ["refused: calling_ae"])
    assert refused["who"] == {"EVIL<&": (True, "127.0.0.1")}
    assert not re.search(r"1\.2\.[39]\b|P-[12]", str(logs))


def a_study(folder: Path) -> tuple[StudyOutcome, tuple[Document, ...]]:
    key = f"{outcomes.uid_hash('1.2.3')}-{'1' * 16}"
    documents = encode(make_report(), make_study(folder / "study"), folder / "results" / key, made_at=MADE_AT)
    known = StudyOutcome(key, 1000.0, files=("a",), study_uid="1.2.3", documents=documents)
    return outcomes.begin(folder / "results", known), documents


def test_the_web_side_tells_who_looked_and_who_sent_again(tmp_path: Path) -> None:
    from pydicom import dcmread

    tokens = tmp_path / "tokens"
    secret, token = make("ann", Role.OPERATOR)
    tokens.write_text(token.line())
    out = tmp_path / "out"
    with closing(socket.socket()) as nobody:
        nobody.bind(("127.0.0.1", 0))
        chosen = settings(
            tmp_path,
            http={"access": {"tokens_file": tokens}},
            destinations=[
                {
                    "name": "pacs",
                    "host": "127.0.0.1",
                    "port": nobody.getsockname()[1],
                    "ae_title": "PACS",
                    "timeout_s": 2,
                }
            ],
        )
        known, documents = a_study(tmp_path)
        client = TestClient(create_app(chosen, dict), client=("192.0.2.7", 4000), follow_redirects=False)
        client.get("/api/v1/studies")
        form = csrf_in(client.get("/login").text)
        assert client.post("/login", data={"token": "wrong", "csrf": form}).status_code == 401
        form = csrf_in(client.get("/login").text)
        assert client.post("/login", data={"token": secret, "csrf": form}).status_code == 303
        page = client.get("/").text
        assert client.get(f"/api/v1/studies/{known.key}").status_code == 200
        answer = client.post(f"/api/v1/studies/{known.key}/replay", data={"csrf": csrf_in(page)})
        assert answer.status_code == 200
        receipts = answer.json()["receipts"]
        wanted = [each for each in documents if chosen.destinations[0].wants(each)]
        assert [each["delivered"] for each in receipts] == [False] * len(wanted)
        assert client.post("/logout", data={"csrf": csrf_in(page)}).status_code == 303
    assert not out.exists()
    sr = next(each for each in documents if each.kind is DocumentKind.SR)
    objects = {"Study Instance UID": "1.2.3", "Patient Number": str(dcmread(sr.path).PatientID)}
    found = [told(each) for each in read(tmp_path / "audit.log")]
    assert [(each["event"], each["type"], each["outcome"]) for each in found] == [
        ("Security Alert", "Node Authentication", "8"),
        ("User Authentication", "Login", "0"),
        ("DICOM Instances Accessed", None, "0"),
        ("DICOM Instances Transferred", None, "4"),
        ("User Authentication", "Logout", "0"),
    ]
    assert found[0]["alert"] == ["refused: login"]
    assert (found[2]["who"], found[2]["what"]) == ({"ann": (True, "192.0.2.7")}, objects)
    assert found[3]["who"]["ann"] == (True, "192.0.2.7")
    assert (found[3]["who"]["pacs"], found[3]["what"]) == ((False, None, "Destination Role ID"), objects)


def test_no_page_without_its_message_where_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    known, _ = a_study(tmp_path)
    for required, status in ((True, 503), (False, 200)):
        chosen = settings(tmp_path, audit={"file": tmp_path / "file" / "audit.log", "required": required})
        answer = TestClient(create_app(chosen, dict)).get(f"/api/v1/studies/{known.key}")
        assert answer.status_code == status


@contextmanager
def syslog_server(context: ssl.SSLContext) -> Iterator[tuple[int, list[bytes]]]:
    """Takes messages by TLS (RFC 5425), each in a list; closes a connection after two."""
    heard: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = listening.accept()
            except OSError:
                return
            try:
                secure = context.wrap_socket(plain, server_side=True)
            except OSError:
                plain.close()
                continue
            with secure, secure.makefile("rb") as stream:
                for _ in range(2):
                    digits = b""
                    while (letter := stream.read(1)) not in {b" ", b""}:
                        digits += letter
                    if not digits:
                        break
                    heard.append(stream.read(int(digits)))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1], heard
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def by_header(message: bytes) -> str:
    match = re.fullmatch(rb"<85>1 \S+T\S+ \S+ vigil \d+ DICOM\+RFC3881 - \xef\xbb\xbf(.+)", message)
    assert match, message
    return match[1].decode()


def test_messages_reach_a_syslog_server_by_tls(tmp_path: Path) -> None:
    import time

    hospital = Hospital(tmp_path / "certificates")
    pair = hospital.issue("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with syslog_server(context) as (port, heard):
        options = Audit.model_validate({"syslog": {"host": "127.0.0.1", "port": port, "tls": {"ca_file": hospital.ca}}})
        book = Trail(options)
        for number in range(5):
            book.received("CT1", "10.0.0.3", StudyObject(f"1.2.{number}", "P1"), whole=True)
            time.sleep(0.2)  # a closed connection is seen before the next message
        deadline = time.monotonic() + 20
        while len(heard) < 5 and time.monotonic() < deadline:
            time.sleep(0.02)
    found = [told(judged(by_header(each))) for each in heard]
    assert [each["what"]["Study Instance UID"] for each in found] == [f"1.2.{number}" for number in range(5)]


def test_a_server_that_is_not_the_one_gets_nothing(tmp_path: Path) -> None:
    hospital = Hospital(tmp_path / "certificates")
    pair = hospital.issue("127.0.0.1", signed_by=hospital.stranger)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with syslog_server(context) as (port, heard), capture_logs() as logs:
        options = {"host": "127.0.0.1", "port": port, "tls": {"ca_file": hospital.ca}}
        Trail(Audit.model_validate({"syslog": options})).login("ann", "10.0.0.1")
    assert heard == []
    assert [each["event"] for each in logs] == ["audit_not_written"]


def test_messages_reach_a_syslog_server_by_udp() -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)
        options = {"syslog": {"host": "127.0.0.1", "port": server.getsockname()[1]}}
        Trail(Audit.model_validate(options)).login("ann", "10.0.0.1")
        assert told(judged(by_header(server.recv(65_536))))["who"] == {"ann": (True, "10.0.0.1")}


@pytest.mark.parametrize("whole", [True, False])
def test_a_sender_that_breaks_off_is_told_as_such(whole: bool, tmp_path: Path) -> None:
    from tests.integration.receive.conftest import associated

    path = tmp_path / "a.dcm"
    path.write_bytes(to_file(make_object("1.2.3", "1.2.4", PatientID="P1")))
    with running(settings(tmp_path)) as port, associated(port, calling_ae="CT1") as association:
        assert association.send_c_store(path).Status == 0
        if whole:
            association.release()
    (found,) = [told(each) for each in read(tmp_path / "audit.log")]
    assert found["outcome"] == ("0" if whole else "4")
