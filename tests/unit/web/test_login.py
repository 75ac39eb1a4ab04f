"""Who logs in and out, by token and by form; what ends a session; who guesses has to wait."""

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from app.access import Role
from app.errors import Rejected
from app.keys import KEY_BYTES
from app.tokens import TokenFile, make, parse
from app.web.attempts import TOO_MANY, WITHIN_S, Attempts
from app.web.guard import COOKIE, CSRF_HEADER
from app.web.sessions import FORM_S, Signatures
from tests.unit.web.house import PROXY, STUDY, House, csrf_in


def test_a_browser_is_led_to_the_log_in(house: House) -> None:
    answer = house.client().get("/", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.ADMIN])
def test_a_browser_logs_in_and_out(role: Role, house: House) -> None:
    client = house.logged_in(role)
    page = client.get("/").text
    assert f"the-{role}" in page
    cookie = client.cookies[COOKIE]
    answer = client.post("/logout", data={"csrf": csrf_in(page)})
    assert answer.status_code == 303
    assert client.get("/api/v1/studies").status_code == 401
    # A copy of the cookie does not outlive the log-out.
    assert house.client().get("/api/v1/studies", headers={"Cookie": f"{COOKIE}={cookie}"}).status_code == 401


def test_the_cookie_is_kept_from_scripts_and_other_sites(house: House) -> None:
    client = house.client()
    answer = client.post("/login", data={"token": house.secrets["viewer"], "csrf": csrf_in(client.get("/login").text)})
    (cookie,) = [each for each in answer.headers.get_list("set-cookie") if each.startswith(COOKIE)]
    assert {"HttpOnly", "SameSite=strict", "Path=/", "Max-Age=28800"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert "strict-transport-security" not in answer.headers
    behind = TestClient(house.app, client=(PROXY, 4000), base_url="https://vigil", follow_redirects=False)
    behind.headers["X-Forwarded-Proto"] = "https"
    form = csrf_in(behind.get("/login").text)
    answer = behind.post("/login", data={"token": house.secrets["viewer"], "csrf": form})
    (cookie,) = [each for each in answer.headers.get_list("set-cookie") if each.startswith(COOKIE)]
    assert "Secure" in cookie
    assert "max-age" in answer.headers["strict-transport-security"]


def test_forms_need_their_token(house: House) -> None:
    client = house.logged_in("operator")
    right = csrf_in(client.get("/").text)
    other = csrf_in(house.logged_in("operator").get("/").text)
    wrong = right[:-1] + ("B" if right.endswith("A") else "A")
    for shown, status in (("", 403), (other, 403), (wrong, 403), (f"9{right}", 403), (right, 404)):
        assert client.post(f"{STUDY}/replay", data={"csrf": shown}).status_code == status, shown
    assert client.post(f"{STUDY}/replay", headers={CSRF_HEADER: right}).status_code == 404
    assert client.post(f"{STUDY}/replay").status_code == 403
    plain = client.post(f"{STUDY}/replay", content=f"csrf={right}", headers={"Content-Type": "text/plain"})
    assert plain.status_code == 403
    crossing = {CSRF_HEADER: right, "Sec-Fetch-Site": "cross-site"}
    assert client.post(f"{STUDY}/replay", headers=crossing).status_code == 403
    assert client.post(f"{STUDY}/replay", data={"csrf": right, "x": "y" * 70_000}).status_code == 413


def test_a_form_or_session_that_is_too_old_is_refused(house: House) -> None:
    now = [1000.0]
    signed = Signatures(b"k" * KEY_BYTES, lambda: now[0])
    _, token = make("ann", Role.VIEWER)
    cookie, session = signed.session(token, 3600)
    csrf, internal = signed.csrf("session|1"), signed.internal_pass()
    assert signed.read_session(cookie) == session
    assert signed.csrf_fits("session|1", csrf)
    assert not signed.csrf_fits("session|2", csrf)
    assert signed.is_internal_pass(internal)
    now[0] += 61
    assert not signed.is_internal_pass(internal)
    now[0] = 1000 + FORM_S + 1
    assert not signed.csrf_fits("session|1", csrf)
    assert signed.read_session(cookie) is None
    assert Signatures(b"x" * KEY_BYTES, lambda: 1000.0).read_session(cookie) is None


def test_a_token_that_is_taken_away_ends_its_sessions(house: House) -> None:
    client = house.logged_in("viewer")
    path = house.settings.http.access.tokens_file
    assert path
    assert client.get("/api/v1/studies").status_code == 200
    lines = [line for line in path.read_text().splitlines(keepends=True) if not line.startswith("the-viewer")]
    path.write_text("".join(lines))
    assert client.get("/api/v1/studies").status_code == 401
    assert house.client().get("/api/v1/studies", headers=house.bearer("viewer")).status_code == 401
    assert house.client().get("/api/v1/studies", headers=house.bearer("admin")).status_code == 200
    _, again = make("the-viewer", Role.ADMIN)
    path.write_text("".join([*lines, again.line()]))
    assert client.get("/api/v1/studies").status_code == 401


def test_a_file_of_tokens_that_cannot_be_read_lets_nobody_in(house: House) -> None:
    path = house.settings.http.access.tokens_file
    assert path
    client = house.client()
    for ruin in (lambda: path.write_text("the-admin admin secret\n"), path.unlink):
        ruin()
        with capture_logs() as logs:
            assert client.get("/api/v1/studies", headers=house.bearer("admin")).status_code == 401
        (told,) = [each for each in logs if each["event"] == "tokens_unreadable"]
        assert "secret" not in str(told)
    assert client.get("/health/live").json() == {"ok": True}


def test_too_many_failures_have_to_wait(house: House) -> None:
    client = house.client()
    for _ in range(TOO_MANY - 1):
        assert client.get("/api/v1/studies", headers={"Authorization": "Bearer x"}).status_code == 401
    for _ in range(2):
        answer = client.get("/api/v1/studies", headers={"Authorization": "Bearer x"})
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= WITHIN_S
    assert "right one" in answer.json()["detail"]
    # Who has a right one is let in, by header and by form, whoever else behind the address guesses.
    assert client.get("/api/v1/studies", headers=house.bearer("admin")).status_code == 200
    form = {"csrf": csrf_in(client.get("/login").text)}
    assert client.post("/login", data={"token": "x", **form}).status_code == 429
    form = {"csrf": csrf_in(client.get("/login").text)}
    assert client.post("/login", data={"token": house.secrets["admin"], **form}).status_code == 303
    assert client.get("/api/v1/studies", headers={"Authorization": "Bearer x"}).status_code == 429


def test_who_guesses_on_waits_no_longer_than_who_stops(house: House) -> None:
    for _ in range(3 * TOO_MANY):
        house.client().get("/api/v1/studies", headers={"Authorization": "Bearer x"})
    waits = [int(house.client().get("/", headers={"Authorization": "Bearer x"}).headers["retry-after"])]
    house.client().get("/api/v1/studies", headers={"Authorization": "Bearer x"})
    waits.append(int(house.client().get("/", headers={"Authorization": "Bearer x"}).headers["retry-after"]))
    assert waits[1] <= waits[0]


def test_behind_the_proxy_each_address_is_counted_by_itself(house: House) -> None:
    client = house.client(PROXY)
    for _ in range(TOO_MANY + 1):
        client.get("/api/v1/studies", headers={"Authorization": "Bearer x", "X-Forwarded-For": "1.1.1.1, 203.0.113.5"})
    right = {**house.bearer("admin"), "X-Forwarded-For": "203.0.113.6, 203.0.113.5"}
    assert client.get("/api/v1/studies", headers=right).status_code == 200
    wrong = {"Authorization": "Bearer x"}
    same, other = (
        client.get("/api/v1/studies", headers=wrong | {"X-Forwarded-For": f"203.0.113.9, 203.0.113.{last}"})
        for last in (5, 6)
    )
    assert (same.status_code, other.status_code) == (429, 401)


def test_failures_are_forgotten_in_time_and_number() -> None:
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for second in range(TOO_MANY):
        now[0] = second
        attempts.failed("a")
    assert attempts.wait_s("a") == WITHIN_S - (TOO_MANY - 1)
    now[0] = WITHIN_S
    assert attempts.wait_s("a") == 0
    for number in range(20_000):
        attempts.failed(str(number))
    assert len(attempts._failures) <= 10_000


def test_a_wrong_log_in_says_so(house: House) -> None:
    client = house.client()
    form = csrf_in(client.get("/login").text)
    assert client.post("/login", data={"token": "wrong", "csrf": form}).status_code == 401
    assert house.client().post("/login", data={"token": house.secrets["admin"], "csrf": form}).status_code == 403


def test_our_own_processes_may_ask_for_health_and_nothing_else(house: House) -> None:
    ours = {"Authorization": f"Bearer {house.signatures.internal_pass()}"}
    assert house.client().get("/health", headers=ours).status_code in {200, 503}
    assert house.client().get("/api/v1/studies", headers=ours).status_code == 403
    forged = Signatures(b"x" * KEY_BYTES).internal_pass()
    assert house.client().get("/health", headers={"Authorization": f"Bearer {forged}"}).status_code == 401


@pytest.mark.parametrize(
    "line",
    ["ann", "ann viewer", "ann viewer secret", "ann boss sha256:" + "0" * 64, "a/b viewer sha256:" + "0" * 64],
)
def test_a_wrong_line_is_told_by_number_alone(line: str) -> None:
    with pytest.raises(Rejected, match="tokens, line 2: expected") as caught:
        parse(f"\n{line}\n", "tokens")
    assert "secret" not in str(caught.value)


@given(st.text(max_size=200))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_tokens_or_rejected(text: str) -> None:
    try:
        found = parse(text, "tokens")
    except Rejected:
        return
    assert len({token.name for token in found}) == len(found)


@given(st.text(max_size=300))
def test_no_text_is_a_session_a_form_or_a_pass(text: str) -> None:
    signed = Signatures(b"k" * KEY_BYTES)
    assert signed.read_session(text) is None
    assert not signed.csrf_fits("session|1", text)
    assert not signed.is_internal_pass(text)


@given(st.text(max_size=600))
def test_no_text_is_a_token(text: str) -> None:
    assert TokenFile(None).find(text) is None
