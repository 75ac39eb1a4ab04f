"""Every route before every kind of visitor: what is not allowed is refused, and said."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from starlette.routing import BaseRoute
from structlog.testing import capture_logs

from app.access import Role
from app.errors import Rejected
from app.keys import KEY_BYTES
from app.settings import Settings, load
from app.tokens import TokenFile, make, parse
from app.web.attempts import TOO_MANY, WITHIN_S, Attempts
from app.web.guard import COOKIE, CSRF_HEADER
from app.web.headers import HEADERS
from app.web.server import create_app
from app.web.sessions import FORM_S, Signatures, signatures

PROXY, ELSEWHERE = "10.0.0.9", "192.0.2.7"
STUDY = "/api/v1/studies/" + "0" * 32
ROLES = list(Role)


@dataclass
class House:
    """An HTTP side with a token of each role, and a log-in proxy."""

    settings: Settings
    secrets: dict[str, str]
    app: Any = field(init=False)

    def __post_init__(self) -> None:
        self.app = create_app(self.settings, dict)

    def client(self, address: str = ELSEWHERE) -> TestClient:
        return TestClient(self.app, client=(address, 4000), follow_redirects=False)

    def bearer(self, role: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secrets[role]}"}

    def logged_in(self, role: str, address: str = ELSEWHERE) -> TestClient:
        client = self.client(address)
        answer = client.post("/login", data={"token": self.secrets[role], "csrf": csrf_in(client.get("/login").text)})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        return client

    @property
    def signatures(self) -> Signatures:
        return signatures(self.settings.run)


def csrf_in(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found
    return found[1]


def raw(folder: Path, **access: object) -> dict[str, Any]:
    return {
        "listener": {"host": "127.0.0.1", "port": 0},
        "spool": {"folder": folder / "spool", "min_free_mb": 0},
        "results": folder / "results",
        "run": folder / "run",
        "database": {"url": f"sqlite:///{folder}/vigil.sqlite"},
        "http": {"access": access},
    }


@pytest.fixture
def house(tmp_path: Path) -> House:
    secrets, lines = {}, []
    for role in ROLES:
        secrets[role.value], token = make(f"the-{role}", role)
        lines.append(token.line())
    tokens = tmp_path / "tokens"
    tokens.write_text("# who may\n\n" + "".join(lines))
    proxy = {
        "addresses": [PROXY],
        "user_header": "X-Forwarded-User",
        "groups_header": "X-Forwarded-Groups",
        "roles": {"radiology": "viewer", "pacs-admins": "operator", "it": "admin"},
    }
    return House(Settings.model_validate(raw(tmp_path, tokens_file=tokens, proxy=proxy)), secrets)


STUDY_UID = "/studies/{study}"
SERIES_UID = f"{STUDY_UID}/series/{{series}}"
INSTANCE_UID = f"{SERIES_UID}/instances/{{instance}}"
NEEDS: dict[tuple[str, str], Role | None] = {
    ("GET", "/health/live"): None,
    ("GET", "/login"): None,
    ("POST", "/login"): None,
    ("POST", "/logout"): None,
    ("GET", "/metrics"): Role.MONITOR,
    ("GET", "/health"): Role.MONITOR,
    ("GET", "/"): Role.VIEWER,
    ("GET", "/upload"): Role.OPERATOR,
    ("GET", "/static/{name}"): None,
    ("GET", "/events"): Role.VIEWER,
    ("GET", "/study/{key}"): Role.VIEWER,
    ("GET", "/study/{key}/all/{part}"): Role.VIEWER,
    ("GET", "/study/{key}/documents/{name}"): Role.VIEWER,
    ("GET", "/study/{key}/documents/{name}/file"): Role.VIEWER,
    ("GET", "/study/{key}/documents/{name}/picture"): Role.VIEWER,
    ("GET", "/study/{key}/documents/{name}/pdf"): Role.VIEWER,
    ("GET", "/study/{key}/series/{number}"): Role.VIEWER,
    ("GET", "/study/{key}/series/{number}/heat/{name}"): Role.VIEWER,
    ("GET", "/study/{key}/series/{number}/slices/{index}"): Role.VIEWER,
    ("GET", "/study/{key}/series/{number}/thumbnail"): Role.VIEWER,
    ("POST", "/study/{key}/replay"): Role.OPERATOR,
    ("POST", "/study/{key}/rerun"): Role.OPERATOR,
    ("GET", "/feedback"): Role.VIEWER,
    ("GET", "/feedback/study/{key}"): Role.VIEWER,
    ("POST", "/feedback/study/{key}"): Role.VIEWER,
    ("POST", "/feedback/export"): Role.ADMIN,
    ("GET", "/bundles"): Role.VIEWER,
    ("GET", "/bundles/{name}"): Role.VIEWER,
    ("GET", "/bundles/{name}/docs/{image}"): Role.VIEWER,
    ("POST", "/bundles/{name}/off"): Role.ADMIN,
    ("POST", "/bundles/{name}/on"): Role.ADMIN,
    ("GET", "/system"): Role.VIEWER,
    ("POST", "/system/echo"): Role.OPERATOR,
    ("GET", "/api/v1/studies"): Role.VIEWER,
    ("GET", "/api/v1/studies/{key}"): Role.VIEWER,
    ("GET", "/api/v1/studies/{key}/reports"): Role.VIEWER,
    ("GET", "/api/v1/studies/{key}/deliveries"): Role.VIEWER,
    ("GET", "/api/v1/studies/{key}/documents"): Role.VIEWER,
    ("GET", "/api/v1/studies/{key}/documents/{name}"): Role.VIEWER,
    ("POST", "/api/v1/studies/{key}/replay"): Role.OPERATOR,
    ("POST", "/api/v1/studies/{key}/rerun"): Role.OPERATOR,
    ("POST", "/api/v1/uploads"): Role.OPERATOR,
    ("POST", "/api/v1/upload-sessions"): Role.OPERATOR,
    ("GET", "/api/v1/upload-sessions/{id}"): Role.OPERATOR,
    ("POST", "/api/v1/upload-sessions/{id}/files"): Role.OPERATOR,
    ("POST", "/api/v1/upload-sessions/{id}/end"): Role.OPERATOR,
    ("DELETE", "/api/v1/upload-sessions/{id}"): Role.OPERATOR,
    ("GET", "/api/v1/bundles"): Role.VIEWER,
    ("GET", "/api/v1/bundles/{name}"): Role.VIEWER,
    ("GET", "/api/v1/health"): Role.MONITOR,
    ("GET", "/api/v1/openapi.json"): Role.VIEWER,
    **{
        ("GET", f"/dicom-web{path}"): Role.VIEWER
        for path in (
            "/studies",
            "/series",
            "/instances",
            *(f"{STUDY_UID}{what}" for what in ("", "/series", "/instances", "/metadata", "/rendered", "/thumbnail")),
            *(f"{SERIES_UID}{what}" for what in ("", "/instances", "/metadata", "/rendered", "/thumbnail")),
            *(f"{INSTANCE_UID}{what}" for what in ("", "/metadata", "/rendered", "/thumbnail")),
            f"{INSTANCE_UID}/frames/{{numbers}}",
            f"{INSTANCE_UID}/bulkdata/{{tag}}",
        )
    },
}
FILLED = {
    "key": "0" * 32,
    "name": "0" * 32,
    "image": "none.png",
    "part": "findings",
    "number": "1",
    "index": "1",
    "id": "0" * 32,
    "study": "1.2",
    "series": "1.2",
    "instance": "1.2",
    "numbers": "1",
    "tag": "7FE00010",
}
"""What stands in the places of paths."""
LET_IN = {200, 201, 303, 404, 503}
"""Answers of routes behind the gate: the study is not there, and no listener runs."""


def every_route(routes: Iterable[BaseRoute], prefix: str = "") -> Iterator[tuple[str, BaseRoute]]:
    """Each route with its whole path, those of included routers too."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is None:
            yield prefix + getattr(route, "path", ""), route
        else:
            yield from every_route(included.routes, prefix + route.include_context.prefix)  # type: ignore[attr-defined]


def test_every_route_is_in_the_table(house: House) -> None:
    found = list(every_route(house.app.routes))
    assert {
        (method, path) for path, route in found for method in getattr(route, "methods", ()) if method != "HEAD"
    } == set(NEEDS)
    assert all(isinstance(route, APIRoute) or path == "/api/v1/openapi.json" for path, route in found)


VISITORS: dict[str, tuple[Role | None, Callable[[House], dict[str, str]]]] = {
    "nobody": (None, lambda _: {}),
    **{role.value: (role, lambda house, role=role: house.bearer(role)) for role in ROLES},  # type: ignore[misc]
    "wrong token": (None, lambda _: {"Authorization": "Bearer vigil_" + "x" * 43}),
    "no bearer": (None, lambda house: {"Authorization": f"Basic {house.secrets['admin']}"}),
    "empty token": (None, lambda _: {"Authorization": "Bearer "}),
    "forged cookie": (None, lambda _: {"Cookie": f"{COOKIE}=WyJ0aGUtYWRtaW4iXQ.AAAA"}),
    "forged proxy header": (None, lambda _: {"X-Forwarded-User": "eve", "X-Forwarded-Groups": "it"}),
    "forged address": (
        None,
        lambda _: {"X-Forwarded-For": PROXY, "X-Forwarded-User": "eve", "X-Forwarded-Groups": "it"},
    ),
}


@pytest.mark.parametrize("visitor", VISITORS)
def test_every_route_before_every_visitor(visitor: str, house: House) -> None:
    role, headers = VISITORS[visitor]
    for number, ((method, path), needed) in enumerate(NEEDS.items()):
        if path in {"/login", "/logout"} and method == "POST":
            continue  # neither needs a role; see below, and `test_forms`
        # Each from an address of its own: after too many wrong tokens one would have to wait.
        address = f"192.0.2.{number}"
        answer = house.client(address).request(method, path.format(**FILLED), headers=headers(house))
        allowed = needed is None or (role is not None and role.covers(needed))
        assert (answer.status_code in LET_IN) is allowed, (method, path, answer.status_code)
        if not allowed:
            assert answer.status_code == (403 if role else 401), (method, path)
        for name, value in HEADERS.items():
            assert answer.headers[name] == value


@pytest.mark.parametrize("host", ["a/login?", "a/login#", "a/health/live?x=", "a/login", "/login?", "@/login?"])
def test_a_path_in_the_host_header_opens_nothing(host: str, house: House) -> None:
    for path in ("/api/v1/studies", STUDY, "/api/v1/openapi.json"):
        assert house.client().get(path, headers={"Host": host}).status_code in {400, 401}, path


@pytest.mark.parametrize("path", ["//login", "/login/", "/login/../studies", "/%6cogin/..%2fstudies", "/health/live/x"])
def test_what_only_looks_like_an_open_path_is_shut(path: str, house: House) -> None:
    assert house.client().get(path).status_code == 401


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        ("radiology", Role.VIEWER),
        ("guests, pacs-admins", Role.OPERATOR),
        ("radiology,it", Role.ADMIN),
        ("guests", None),
        ("", None),
    ],
)
def test_the_proxy_is_believed(groups: str, role: Role | None, house: House) -> None:
    headers = {"X-Forwarded-User": "ann", "X-Forwarded-Groups": groups}
    client = house.client(PROXY)
    assert client.get("/api/v1/studies", headers=headers).status_code == (200 if role else 403)
    csrf = {CSRF_HEADER: house.signatures.csrf("proxy|ann")}
    answer = client.post(f"{STUDY}/replay", headers=headers | csrf)
    assert answer.status_code == (404 if role and role.covers(Role.OPERATOR) else 403)


def test_a_header_that_stands_twice_is_not_believed(house: House) -> None:
    headers = [("X-Forwarded-User", "ann"), ("X-Forwarded-User", "eve"), ("X-Forwarded-Groups", "it")]
    assert house.client(PROXY).get("/api/v1/studies", headers=headers).status_code == 401  # type: ignore[arg-type]
    headers = [("X-Forwarded-User", "ann"), ("X-Forwarded-Groups", "it"), ("X-Forwarded-Groups", "it")]
    assert house.client(PROXY).get("/api/v1/studies", headers=headers).status_code == 403  # type: ignore[arg-type]


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
    ("host", "access", "opens"),
    [
        ("127.0.0.1", {}, True),
        ("::1", {}, True),
        ("localhost", {}, True),
        ("0.0.0.0", {}, False),
        ("::", {}, False),
        ("10.1.2.3", {"anonymous": "none"}, False),
        ("0.0.0.0", {"anonymous": "viewer"}, True),
        ("0.0.0.0", {"tokens_file": "/etc/vigil/tokens"}, True),
        ("0.0.0.0", {"proxy": {"addresses": ["10.0.0.1"], "roles": {"a": "viewer"}}}, True),
    ],
)
def test_a_door_to_the_house_needs_a_lock(host: str, access: dict[str, object], opens: bool, tmp_path: Path) -> None:
    import yaml

    path = tmp_path / "vigil.yaml"
    path.write_text(yaml.safe_dump({"http": {"host": host, "access": access}}))
    if opens:
        load(path, {})
    else:
        with pytest.raises(Rejected, match=r"python -m app token NAME --role viewer"):
            load(path, {})


@pytest.mark.parametrize(
    ("access", "status"), [({}, 200), ({"anonymous": "none"}, 401), ({"anonymous": "viewer"}, 200)]
)
def test_without_a_log_in_there_is_at_most_a_viewer(access: dict[str, str], status: int, tmp_path: Path) -> None:
    client = TestClient(create_app(Settings.model_validate(raw(tmp_path, **access)), dict))
    assert client.get("/api/v1/studies").status_code == status
    assert client.post(f"{STUDY}/replay").status_code == 401


def test_with_a_way_to_log_in_nobody_else_is_let_in_on_the_loopback(tmp_path: Path) -> None:
    client = TestClient(create_app(Settings.model_validate(raw(tmp_path, tokens_file=tmp_path / "t")), dict))
    assert client.get("/api/v1/studies").status_code == 401


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
