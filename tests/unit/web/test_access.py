"""Every route before every kind of visitor: what is not allowed is refused, and said."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from starlette.routing import BaseRoute

from app.access import Role
from app.errors import Rejected
from app.settings import Settings, load
from app.web.guard import COOKIE, CSRF_HEADER
from app.web.headers import HEADERS
from app.web.server import create_app
from tests.unit.web.house import PROXY, ROLES, STUDY, House, raw

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
