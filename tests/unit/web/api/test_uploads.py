"""Uploads over HTTP: streamed, counted, said; what breaks off leaves nothing half and no study taken for whole."""

import io
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from fastapi.testclient import TestClient
from structlog.testing import capture_logs

from app.receive.spool import Spool
from app.study import uid_hash
from app.web.guard import CSRF_HEADER, LARGEST_FORM
from tests.unit.receive.objects import make_object, to_file
from tests.unit.web.house import House, csrf_in

Build = Callable[..., House]
UPLOADS, SESSIONS = "/api/v1/uploads", "/api/v1/upload-sessions"


def image(sop: str = "1.2.3", size: int = 0) -> bytes:
    more = {"SeriesInstanceUID": "1.2.5", "PatientName": "Geheim^Gerda", "EncapsulatedDocument": bytes(size)}
    return to_file(make_object("1.2", sop, **more))


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return buffer.getvalue()


def spool_of(house: House) -> Spool:
    return Spool(house.settings.spool.folder, 0)


def half(house: House) -> list[Path]:
    return list((house.settings.spool.folder / "incoming").iterdir())


def test_one_request_stores_a_file_or_a_zip_and_says_what_became_of_each(house_of: Build) -> None:
    house = house_of(audit={"file": "/dev/null"})
    client, operator = house.client(), house.bearer("operator")
    with capture_logs() as logs:
        first = client.post(UPLOADS, params={"name": "Gerda Geheim.dcm"}, content=image(), headers=operator)
        packed = zipped({"a/Geheim.dcm": image(), "b.dcm": image("1.2.4"), "c.txt": b"hello"})
        second = client.post(UPLOADS, content=packed, headers=operator)
    assert first.status_code == second.status_code == 200
    assert first.json() == {
        "files": [
            {
                "name": "Gerda Geheim.dcm",
                "verdict": "stored",
                "reason": "",
                "detail": "",
                "study": uid_hash("1.2")[:12],
            }
        ],
        "stored": 1,
        "duplicate": 0,
        "refused": 0,
        "whole": True,
    }
    told = {each["name"]: (each["verdict"], each["reason"]) for each in second.json()["files"]}
    assert told == {
        "file/a/Geheim.dcm": ("duplicate", ""),
        "file/b.dcm": ("stored", ""),
        "file/c.txt": ("refused", "not_dicom"),
    }
    (arrival,) = spool_of(house).arrivals()
    assert (arrival.open_associations, arrival.interrupted) == (0, False)
    assert half(house) == []
    assert "Geheim" not in str(logs)
    assert [each["how"] for each in logs if each["event"] == "upload_ended"] == ["finished", "finished"]


def test_a_study_is_not_complete_while_its_upload_is_open(house_of: Build) -> None:
    house = house_of()
    client, operator = house.client(), house.bearer("operator")
    begun = client.post(SESSIONS, headers=operator)
    assert begun.status_code == 201
    address = f"{SESSIONS}/{begun.json()['id']}"
    for sop in ("1.2.3", "1.2.4"):
        assert client.post(f"{address}/files", content=image(sop), headers=operator).json()["stored"] == 1
    assert spool_of(house).arrivals()[0].open_associations == 1
    state = client.get(address, headers=operator).json()
    assert (state["stored"], state["open"], state["busy"]) == (2, True, 0)
    assert client.get(address, headers=house.bearer("admin")).status_code == 404, "another's"
    ended = client.post(f"{address}/end", headers=operator).json()
    assert (ended["open"], ended["whole"], ended["stored"]) == (False, True, 2)
    (arrival,) = spool_of(house).arrivals()
    assert (arrival.open_associations, arrival.interrupted) == (0, False)
    assert client.post(f"{address}/end", headers=operator).status_code == 404


@pytest.mark.parametrize("how", ["broken off", "idle", "stopped"])
def test_an_upload_that_is_not_ended_leaves_its_study_interrupted(how: str, house_of: Build) -> None:
    house = house_of(uploads={"idle_s": 1 if how == "idle" else 600})
    operator = house.bearer("operator")
    with house.client() as client:
        address = f"{SESSIONS}/{client.post(SESSIONS, headers=operator).json()['id']}"
        assert client.post(f"{address}/files", content=image(), headers=operator).json()["stored"] == 1
        if how == "broken off":
            assert client.delete(address, headers=operator).json()["whole"] is False
        elif how == "idle":
            deadline = time.monotonic() + 60
            while client.get(address, headers=operator).status_code == 200 and time.monotonic() < deadline:
                time.sleep(0.2)
            assert client.get(address, headers=operator).status_code == 404
    assert spool_of(house).arrivals()[0].interrupted


def test_two_tabs_at_once_store_one_image_once(house_of: Build) -> None:
    house = house_of()
    client, operator = house.client(), house.bearer("operator")
    tabs = [f"{SESSIONS}/{client.post(SESSIONS, headers=operator).json()['id']}" for _ in range(2)]
    answers = [client.post(f"{tab}/files", content=image(), headers=operator).json() for tab in tabs]
    told = [each["files"][0]["verdict"] for each in answers]
    assert told == ["stored", "duplicate"]
    assert client.post(f"{tabs[0]}/end", headers=operator).json()["whole"]
    assert spool_of(house).arrivals()[0].open_associations == 1
    assert client.post(f"{tabs[1]}/end", headers=operator).json()["whole"]


def test_too_many_uploads_at_once_have_to_wait(house_of: Build) -> None:
    house = house_of(uploads={"max_open": 1})
    client, operator = house.client(), house.bearer("operator")
    begun = client.post(SESSIONS, headers=operator).json()["id"]
    for path in (SESSIONS, UPLOADS):
        answer = client.post(path, headers=operator)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
    assert client.delete(f"{SESSIONS}/{begun}", headers=operator).status_code == 200
    assert client.post(UPLOADS, content=image(), headers=operator).json()["stored"] == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (zipped({"a": image()})[:-10], "damaged"),
        (zipped({}), "empty"),
        (zipped({str(n): b"x" for n in range(4)}), "too_many"),
        (b"PK\3\4" + bytes(3 << 20), "too_large"),
        (image(size=2 << 20), "too_large"),
        (b"", "not_dicom"),
        (b"x", "not_dicom"),
    ],
)
def test_what_cannot_be_stored_is_said_and_nothing_stays(content: bytes, reason: str, house_of: Build) -> None:
    house = house_of(uploads={"max_file_mb": 1, "max_zip_mb": 2, "max_files": 3})

    def pieces() -> Iterator[bytes]:
        yield content

    answer = house.client().post(UPLOADS, content=pieces(), headers=house.bearer("operator"))
    assert [each["reason"] for each in answer.json()["files"]] == [reason]
    assert answer.json()["files"][0]["detail"]
    assert spool_of(house).study_keys() == ()
    assert half(house) == []


def test_what_is_announced_to_be_too_long_is_refused_at_once(house_of: Build) -> None:
    house = house_of(uploads={"max_file_mb": 1, "max_zip_mb": 2})
    answer = house.client().post(UPLOADS, content=bytes((2 << 20) + 1), headers=house.bearer("operator"))
    assert (answer.status_code, "max_zip_mb" in answer.json()["detail"]) == (413, True)


def test_a_full_disk_is_said(house_of: Build, tmp_path: Path) -> None:
    house = house_of(spool={"folder": tmp_path / "spool", "min_free_mb": 1 << 40})
    for content in (image(), zipped({"a": image()})):
        answer = house.client().post(UPLOADS, content=content, headers=house.bearer("operator"))
        assert [each["reason"] for each in answer.json()["files"]] == ["disk_full"]
    assert half(house) == []


def test_a_browser_s_upload_needs_its_token_in_the_header_and_is_not_kept_in_memory(house_of: Build) -> None:
    house = house_of()
    client = house.logged_in("operator")
    csrf = csrf_in(client.get("/").text)
    large = image(size=LARGEST_FORM * 4)
    assert client.post(UPLOADS, content=large).status_code == 403
    assert client.post(UPLOADS, content=large, headers={CSRF_HEADER: csrf[:-1] + "!"}).status_code == 403
    assert (
        client.post(UPLOADS, content=large, headers={CSRF_HEADER: csrf, "Sec-Fetch-Site": "cross-site"}).status_code
        == 403
    )
    assert spool_of(house).study_keys() == ()
    assert client.post(UPLOADS, content=large, headers={CSRF_HEADER: csrf}).json()["stored"] == 1
    begun = client.post(SESSIONS, headers={CSRF_HEADER: csrf}).json()["id"]
    answer = client.post(f"{SESSIONS}/{begun}/files", content=large, headers={CSRF_HEADER: csrf})
    assert house.signatures.csrf_fits(f"session|{_session(house, client)}", answer.headers[CSRF_HEADER])


def _session(house: House, client: TestClient) -> str:
    found = house.signatures.read_session(client.cookies["vigil_session"])
    assert found is not None
    return found.id


@pytest.mark.parametrize("path", ["/api/v1/studies/" + "0" * 32 + "/replay", "/system/echo", SESSIONS, UPLOADS + "/"])
@pytest.mark.parametrize("by", ["token", "browser"])
def test_no_other_body_may_be_longer_than_a_form(path: str, by: str, house_of: Build) -> None:
    house = house_of()
    client = house.client() if by == "token" else house.logged_in("operator")
    headers = house.bearer("operator") if by == "token" else {}
    assert client.post(path, content=bytes(LARGEST_FORM + 1), headers=headers).status_code == 413


@pytest.mark.parametrize("role", ["viewer", "monitor", ""])
def test_only_operators_upload(role: str, house_of: Build) -> None:
    house = house_of()
    for path in (UPLOADS, SESSIONS):
        answer = house.client().post(path, content=image(), headers=house.bearer(role) if role else {})
        assert answer.status_code == (403 if role else 401)
        assert answer.headers["content-type"] == "application/problem+json"


@contextmanager
def served(house: House) -> Iterator[int]:
    """The HTTP side on a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(house.app, log_config=None))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(60)


@pytest.mark.parametrize("kind", ["image", "zip"])
def test_a_body_that_breaks_off_leaves_nothing_half_stored(kind: str, house_of: Build) -> None:
    house = house_of()
    content = image(size=3 << 20)
    content = content if kind == "image" else b"PK\3\4" + content
    request = (
        f"POST {UPLOADS} HTTP/1.1\r\nHost: vigil\r\nAuthorization: {house.bearer('operator')['Authorization']}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    with served(house) as port, capture_logs() as logs:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(request.encode() + content[: 2 << 20])
            deadline = time.monotonic() + 60
            while not (house.settings.spool.folder / "incoming").is_dir() or not half(house):
                assert time.monotonic() < deadline
                time.sleep(0.02)
        while not any(each["event"] == "upload_ended" for each in logs):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert half(house) == []
    spool = spool_of(house)
    assert spool.study_keys() == ()
    assert spool.interrupted(uid_hash("1.2")) is (kind == "image")


@pytest.mark.parametrize("swept", ["meanwhile", "afterwards"])
def test_a_browser_that_was_killed_spoils_nothing_that_is_uploaded_again(swept: str, house_of: Build) -> None:
    house = house_of(uploads={"idle_s": 600})
    operator = house.bearer("operator")
    client = house.client()
    killed, again = (f"{SESSIONS}/{client.post(SESSIONS, headers=operator).json()['id']}" for _ in range(2))
    for sop in ("1.2.3", "1.2.4"):
        assert client.post(f"{killed}/files", content=image(sop), headers=operator).json()["stored"] == 1
    time.sleep(0.05)  # a tick of the file system's clock
    for sop in ("1.2.3", "1.2.4", "1.2.6"):
        assert client.post(f"{again}/files", content=image(sop), headers=operator).json()["refused"] == 0
        if swept == "meanwhile":  # as after `uploads.idle_s`
            client.delete(killed, headers=operator)
    assert client.post(f"{again}/end", headers=operator).json()["whole"]
    # With what sweeps: the killed one ends within seconds, and not after `uploads.idle_s`.
    with house.client():
        deadline = time.monotonic() + 60
        while spool_of(house).arrivals()[0].open_associations and time.monotonic() < deadline:
            time.sleep(0.1)
        (arrival,) = spool_of(house).arrivals()
        assert (arrival.open_associations, arrival.interrupted) == (0, False)
    assert not spool_of(house).arrivals()[0].interrupted


def test_a_machine_that_is_switched_off_in_a_file_holds_its_study_no_longer_than_one_that_is_silent(
    house_of: Build,
) -> None:
    house = house_of(uploads={"idle_s": 0.3})
    with served(house) as port:
        content = image(size=1 << 20)
        head = f"POST {UPLOADS} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(content)}\r\n"
        token = house.bearer("operator")["Authorization"]
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(f"{head}Authorization: {token}\r\n\r\n".encode() + content[:4096])
            told = connection.recv(4096)
        assert told.startswith(b"HTTP/1.1 408")
        assert half(house) == []
