"""Pages from templates: what comes from DICOM is text, whatever it says."""

import pytest
from fastapi import Request
from jinja2 import UndefinedError

from app.access import Role
from app.web.reader import NOBODY, Reader
from app.web.templating import ENVIRONMENT, moment, page, plain, size
from app.web.told import problem_page


def request(path: str = "/", cookie: str = "") -> Request:
    headers = [(b"cookie", cookie.encode())] if cookie else []
    return Request({"type": "http", "method": "GET", "path": path, "headers": headers})


def shown(reader: Reader, path: str = "/", cookie: str = "", detail: str = "") -> str:
    return bytes(problem_page(request(path, cookie), reader, 409, detail, "Title").body).decode()


def test_escapes_everything() -> None:
    nasty = """</p><script>alert(1)</script><img src=x onerror="a()">'&"""
    found = shown(Reader(nasty, csrf='"><b>', role=Role.VIEWER), detail=nasty)
    for forbidden in ("<script>alert", "<img src=x", "<b>", 'onerror="'):
        assert forbidden not in found
    assert found.count("&lt;script&gt;alert(1)") == 2


def test_a_name_that_is_not_given_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        page(request(), "problem.html", NOBODY, title="Title")


@pytest.mark.parametrize(
    ("role", "upload", "worklist"), [(None, False, False), (Role.VIEWER, False, True), (Role.OPERATOR, True, True)]
)
def test_shows_the_pages_that_somebody_may_see(role: Role | None, upload: bool, worklist: bool) -> None:
    found = shown(Reader("jane", role=role))
    assert ('href="/upload"' in found, 'href="/bundles"' in found) == (upload, worklist)


def test_marks_the_page_that_one_is_at() -> None:
    for path in ("/", "/bundles", "/system"):
        found = shown(Reader(role=Role.ADMIN), path)
        assert found.count("aria-current") == 1
        assert f'href="{path}" aria-current="page"' in found


def test_who_may_leave_gets_a_way_out() -> None:
    assert "/logout" not in shown(Reader("jane", "x", Role.VIEWER))
    assert 'action="/logout"' in shown(Reader("jane", "x", Role.VIEWER, may_leave=True))


def test_is_dark_unless_somebody_chose_light() -> None:
    assert 'data-theme="dark"' in shown(NOBODY)
    assert 'data-theme="light"' in shown(NOBODY, cookie="vigil_theme=light")
    assert 'data-theme="dark"' in shown(NOBODY, cookie='vigil_theme="><script>')


def test_only_who_may_and_can_sends_again() -> None:
    assert Reader("jane", "x", Role.OPERATOR).may_replay
    assert not Reader("jane", "x", Role.VIEWER).may_replay
    assert not Reader("", "", Role.OPERATOR).may_replay


def test_writes_times_sizes_and_names_for_people() -> None:
    assert (moment(0.0), moment(None)) == ("1970-01-01 00:00:00", "")
    assert [size(number) for number in (0, 999, 1000, 4_250_000, 9e15)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "4.2 MB",
        "9000.0 TB",
    ]
    assert plain("intracranial_hemorrhage") == "Intracranial hemorrhage"
    assert set(ENVIRONMENT.list_templates()) >= {"base.html", "login.html", "parts.html", "problem.html"}
