"""Forms of pages that stood open for long, what errors look like to people, and where a log-in leads."""

import re
from collections.abc import Callable
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from app.access import Role
from app.web.api.problems import MACHINES
from app.web.attempts import TOO_MANY
from app.web.guard import COOKIE, CSRF_HEADER
from app.web.headers import HEADERS
from app.web.notices import KEPT_S, MOST, MOST_TYPED, Notice, Notices
from app.web.ways import login_address, own_address, page_of_form
from tests.unit.web.house import House, csrf_in
from tests.unit.web.test_access import FILLED, NEEDS

Build = Callable[..., House]
BROWSER = {"Accept": "text/html,application/xhtml+xml"}
OWN, CROSS = {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "cross-site"}
FORMS = [path for (method, path) in NEEDS if method == "POST" and not path.startswith(MACHINES)]
PAGE_FORMS = [path for path in FORMS if path not in {"/login", "/logout"}]
STUDY_PAGE = f"/study/{'0' * 32}"


def is_page(text: str) -> bool:
    return text.startswith("<!doctype html>") and 'class="banner"' in text and "<h1>" in text


@pytest.mark.parametrize("old", ["", "1.AAAA", "former session"])
def test_a_page_of_any_age_can_log_out(old: str, house_of: Build) -> None:
    house = house_of()
    given = csrf_in(house.logged_in("viewer").get("/").text) if old == "former session" else old
    client = house.logged_in("viewer")
    cookie = client.cookies[COOKIE]
    answer = client.post("/logout", data={"csrf": given}, headers=BROWSER | OWN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert house.client().get("/api/v1/studies", headers={"Cookie": f"{COOKIE}={cookie}"}).status_code == 401
    # Once more, when nobody is logged in.
    assert client.post("/logout", headers=BROWSER | OWN).status_code == 303


@pytest.mark.parametrize("role", ["monitor", "viewer"])
def test_whoever_could_log_in_can_log_out(role: str, house_of: Build) -> None:
    house = house_of()
    client = house.logged_in(role)
    cookie = client.cookies[COOKIE]
    assert client.post("/logout", headers={"Origin": "http://testserver"}).status_code == 303
    answer = house.client().get("/metrics", headers={"Cookie": f"{COOKIE}={cookie}"})
    assert answer.status_code == 401


@pytest.mark.parametrize("said", [CROSS, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}, {}])
def test_another_site_logs_nobody_out(said: dict[str, str], house_of: Build) -> None:
    client = house_of().logged_in("viewer")
    answer = client.post("/logout", data={"csrf": "1.AAAA"}, headers=BROWSER | said)
    assert answer.status_code == 403
    assert is_page(answer.text)
    assert client.get("/api/v1/studies").status_code == 200


@pytest.mark.parametrize("said", [CROSS, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}, {}])
def test_another_sites_form_which_comes_without_the_cookie_takes_none_away(
    said: dict[str, str], house_of: Build
) -> None:
    """`SameSite=Strict` keeps the cookie out of such a form; only our own page's answer may delete it."""
    house = house_of()
    answer = house.client().post("/logout", data={"csrf": "1.AAAA"}, headers=BROWSER | said)
    assert "set-cookie" not in answer.headers
    assert "clear-site-data" not in answer.headers
    ours = house.client().post("/logout", headers=BROWSER | OWN)
    assert ours.headers["set-cookie"].startswith(f'{COOKIE}="";')


def test_a_form_lasts_as_long_as_its_session(house_of: Build) -> None:
    house = house_of(http={"access": house_of().settings.http.access.model_dump(mode="json") | {"session_hours": 100}})
    client = house.logged_in("operator")
    until = float(csrf_in(client.get("/").text).partition(".")[0])
    assert until - house.signatures.clock() > 99 * 3600


@pytest.mark.parametrize("path", PAGE_FORMS)
def test_a_form_that_is_too_old_leads_to_its_page_and_says_so_once(path: str, house_of: Build) -> None:
    client = house_of().logged_in("admin")
    page = page_of_form(path.format(**FILLED))
    answer = client.post(path.format(**FILLED), data={"csrf": "1.AAAA"}, headers=BROWSER | OWN)
    assert (answer.status_code, answer.headers["location"]) == (303, page)
    shown = [client.get(page, headers=BROWSER) for _ in range(2)]
    assert ["This page was too old: nothing was done." in each.text for each in shown] == [True, False]
    assert ("GET", re.sub("none.css", "{name}", page).replace("0" * 32, "{key}")) in NEEDS


@pytest.mark.parametrize("path", [*PAGE_FORMS, "/api/v1/upload-sessions", "/api/v1/uploads"])
def test_a_script_gets_a_new_token_with_the_refusal_and_another_site_none(path: str, house_of: Build) -> None:
    client = house_of().logged_in("admin")
    address, old = path.format(**FILLED), {"csrf": "1.AAAA"}
    answer = client.post(address, data=old, headers=BROWSER | OWN | {"X-Fragment": "feedback"})
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    again = client.post(
        address, data={"csrf": answer.headers[CSRF_HEADER]}, headers={CSRF_HEADER: answer.headers[CSRF_HEADER]}
    )
    assert again.status_code not in {401, 403}
    for said in (CROSS, {"Origin": "http://evil.example"}, {}):
        refused = client.post(address, data=old, headers=BROWSER | said, follow_redirects=False)
        assert (refused.status_code, CSRF_HEADER in refused.headers) == (403, False), said
        assert is_page(refused.text) is not path.startswith(MACHINES)
    fresh = {CSRF_HEADER: answer.headers[CSRF_HEADER]}
    assert client.post(address, headers=CROSS | fresh).status_code == 403


def test_what_was_typed_is_shown_again_to_who_typed_it(house_of: Build) -> None:
    house = house_of(bundles={"folder": "bundles"})
    client, other = house.logged_in("admin"), house.logged_in("admin")
    typed = {"csrf": "1.AAAA", "reason": 'new <scanner> "B"'}
    address = "/bundles/head_ct_hemorrhage/off"
    assert client.post(address, data=typed, headers=BROWSER | OWN).headers["location"] == "/bundles"
    for visitor, count in ((other, 0), (client, 1), (client, 0)):
        assert visitor.get("/bundles", headers=BROWSER).text.count("new &lt;scanner&gt; &#34;B&#34;") == count


def test_notices_end_and_are_few() -> None:
    now = [0.0]
    notices = Notices(lambda: now[0])
    notices.leave("", "/a", Notice("good", "done"))
    assert notices.take("", "/a") is None
    notices.leave("s", "/a", Notice("good", "done", typed={"comment": "x" * MOST_TYPED}))
    assert notices.take("s", "/b") is None
    assert notices.take("t", "/a") is None
    assert notices.take("s", "/a") == Notice("good", "done")
    notices.leave("s", "/a", Notice("good", "done"))
    now[0] = KEPT_S
    assert notices.take("s", "/a") is None
    for number in range(2 * MOST):
        notices.leave("s", str(number), Notice("good", "done"))
    assert notices.take("s", "0") is None
    assert notices.take("s", str(2 * MOST - 1)) is not None


def test_a_success_cannot_be_written_into_an_address(house_of: Build) -> None:
    client = house_of().logged_in("viewer")
    for path in (STUDY_PAGE, "/", "/feedback", "/bundles", "/system"):
        text = client.get(f"{path}?taken=99&refused=0&notice=done&sent=99", headers=BROWSER).text
        assert "99 document" not in text
        assert 'role="status">Sent' not in text


@pytest.mark.parametrize("visitor", ["nobody", "viewer", "wrong", "locked out"])
def test_people_read_pages_and_machines_read_problems(visitor: str, house_of: Build) -> None:
    house = house_of()
    client = house.logged_in("viewer") if visitor == "viewer" else house.client()
    headers = {"Authorization": "Bearer x"} if visitor in {"wrong", "locked out"} else {}
    if visitor == "locked out":
        for _ in range(TOO_MANY):
            client.get("/", headers=headers)
    csrf = csrf_in(client.get("/").text) if visitor == "viewer" else ""
    pages = 0
    for number, (method, path) in enumerate(NEEDS):
        if path in {"/login", "/logout", "/events"} or (method, path) == ("GET", "/metrics"):
            continue
        asks = client if visitor != "wrong" else house.client(f"192.0.2.{number}")
        answer = asks.request(
            method, path.format(**FILLED), headers=BROWSER | headers, data={"csrf": csrf} if method == "POST" else None
        )  # type: ignore[arg-type]
        if answer.status_code < 400 or "/health" in path:
            continue
        if path.startswith(MACHINES):
            assert answer.headers["content-type"] == "application/problem+json", (method, path)
            continue
        pages += 1
        assert is_page(answer.text), (method, path, answer.text[:200])
        assert "Log in" in answer.text or "To the worklist" in answer.text
    assert pages > 5


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", f"{STUDY_PAGE}/replay", 405),
        ("GET", "/feedback?before=nonsense", 422),
        ("GET", "/?state=nonsense", 400),
        ("POST", "/system/echo", 413),
        ("GET", "/upload", 403),
    ],
)
def test_errors_of_pages_are_pages(method: str, path: str, status: int, house_of: Build) -> None:
    client = house_of().logged_in("viewer" if path == "/upload" else "operator")
    data = {"csrf": csrf_in(client.get("/").text), "x": "y" * 70_000} if method == "POST" else None
    answer = client.request(method, path, headers=BROWSER, data=data)
    assert answer.status_code == status
    assert is_page(answer.text)


def test_what_breaks_is_a_page_too(house_of: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    house = house_of()
    client = TestClient(house.app, client=("192.0.2.7", 4000), raise_server_exceptions=False)
    client.cookies = house.logged_in("viewer").cookies

    def broken(*_: object) -> None:
        raise RuntimeError("Geheim^Gerda")

    monkeypatch.setattr("app.web.system.examine", broken)
    answer = client.get("/system", headers=BROWSER)
    assert answer.status_code == 500
    assert is_page(answer.text)
    assert "Gerda" not in answer.text
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert client.get("/system").headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/study/" + "0" * 32, "/?state=failed&q=a%20b", "/system", "/feedback?answer=agree"])
def test_a_log_in_leads_to_the_page_that_was_asked_for(path: str, house_of: Build) -> None:
    house = house_of()
    client = house.client()
    led = client.get(path, headers=BROWSER)
    assert led.status_code == 303
    assert led.headers["location"].startswith("/login?next=")
    form = client.get(led.headers["location"]).text
    found = re.search(r'name="next" value="([^"]*)"', form)
    assert found
    to = found[1].replace("&amp;", "&")
    wrong = client.post("/login", data={"token": "x", "csrf": csrf_in(form), "next": to})
    assert f'name="next" value="{found[1]}"' in wrong.text, "a mistyped token forgets nothing"
    given = {"token": house.secrets["viewer"], "csrf": csrf_in(wrong.text), "next": to}
    assert client.post("/login", data=given).headers["location"] == path


EVIL = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https:evil.example",
    "https://evil.example",
    "javascript:alert(1)",
    "evil.example",
    "/%2fevil.example",
    "/%2Fevil.example",
    "/%252fevil.example",
    "/%5cevil.example",
    "/%255cevil.example",
    "%2f%2fevil.example",
    "/.//evil.example",
    "/..//evil.example",
    "/%2e%2e//evil.example",
    "/\t/evil.example",
    "/%09/evil.example",
    "/\r\nSet-Cookie: a=b",
    "/%0d%0aSet-Cookie:a=b",
    " //evil.example",
    "/study/x\x00",
    "/study/%",
    "/login?next=/login",
    "/logout",
    "/api/v1/studies",
    "/" + "x" * 3000,
    "",
]


@pytest.mark.parametrize("given", EVIL)
def test_a_log_in_leads_nowhere_else(given: str, house_of: Build) -> None:
    assert own_address(given) == "/"
    client = (house := house_of()).client()
    form = client.get("/login", params={"next": given}).text
    data = {"token": house.secrets["viewer"], "csrf": csrf_in(form), "next": given}
    assert client.post("/login", data=data).headers["location"] == "/"


@given(st.one_of(st.text(max_size=60), st.text("/\\.%25fFcCeE:@?#\t\n\r ahtps09", max_size=40)))
def test_any_text_leads_to_a_page_of_ours(given: str) -> None:
    for text in (given, f"/{given}"):
        address, base = own_address(text), "http://vigil.example:8080/login"
        assert address in {text, "/"}
        plain = address
        for _ in range(4):
            assert urlsplit(urljoin(base, plain)).netloc == "vigil.example:8080"
            assert plain.startswith("/")
            assert not plain.startswith(("//", "/\\"))
            plain = unquote(plain)
        assert address.isascii()
        assert address.isprintable()


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_path_that_is_asked_for_gives_an_address_of_the_log_in(path: str, query: str) -> None:
    address = login_address(f"/{path}", query)
    assert re.fullmatch(r"/login(\?next=[A-Za-z0-9._~%-]+)?", address)


@pytest.mark.parametrize("role", [Role.VIEWER])
def test_a_form_without_a_session_says_that_nothing_was_done(role: Role, house_of: Build) -> None:
    client = house_of().client()
    answer = client.post(f"{STUDY_PAGE}/replay", data={"csrf": "1.A"}, headers=BROWSER | OWN)
    assert answer.status_code == 401
    assert is_page(answer.text)
    assert f'href="/login?next=%2Fstudy%2F{"0" * 32}"' in answer.text
    assert "Nothing was done" in answer.text
