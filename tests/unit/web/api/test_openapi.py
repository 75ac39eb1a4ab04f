"""The OpenAPI document is complete and kept: schemathesis asks every route for odd things, and no 5xx answers."""

from collections import Counter
from collections.abc import Callable, Iterator

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance
from structlog.testing import capture_logs

from app import outcomes
from app.outcomes import StudyOutcome
from app.report import encode
from app.study import uid_hash
from app.web.api.cursors import Cursor
from app.workflow_database import open_engine
from app.workflow_migration import migrate
from app.worklist import Worklist
from tests.unit.receive.objects import make_object, to_file
from tests.unit.report.factory import MADE_AT, STUDY_UID, make_report, make_study
from tests.unit.web.house import House

EXAMPLES = 8
KEY = f"{uid_hash(STUDY_UID)}-{'1' * 16}"


@pytest.fixture
def house(house_of: Callable[..., House], tmp_path) -> House:  # type: ignore[no-untyped-def]
    """With a study, an image and documents."""
    house = house_of(uploads={"max_open": 2, "max_file_mb": 1, "max_zip_mb": 1, "idle_s": 1})
    study = make_study(tmp_path / "study")
    documents = encode(make_report(), study, house.settings.results / KEY, made_at=MADE_AT)
    known = StudyOutcome(KEY, 1000.0, files=("a",), study_uid=STUDY_UID, documents=documents, reports=(make_report(),))
    outcomes.begin(house.settings.results, known)
    content = to_file(make_object("1.2", "1.2.3"))
    assert house.client().post("/api/v1/uploads", content=content, headers=house.bearer("operator")).status_code == 200
    return house


@pytest.fixture
def client(house: House) -> Iterator[TestClient]:
    client = house.client()
    client.headers.update(house.bearer("operator"))
    with client:
        yield client


def test_every_route_says_how_to_log_in_and_what_an_error_is(client: TestClient) -> None:
    document = client.get("/api/v1/openapi.json").json()
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert document["security"] == [{"token": []}]
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    tags = {tag["name"] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            told = f"{method} {path}"
            assert set(route["tags"]) <= tags, told
            assert route.get("description"), told
            for status in ("401", "403", "422", "429", "500"):
                assert route["responses"][status]["content"] == problem, told
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_no_answer_is_a_server_error_or_differs_from_the_document(house: House) -> None:
    """A route that is asked for what it cannot do says so; 507, 503 and 406 are words of the document as well."""
    schema = schemathesis.openapi.from_asgi(
        "/api/v1/openapi.json",
        house.app,
        config=SchemathesisConfig(),
        headers=house.bearer("operator"),
    )
    headers = house.bearer("operator")
    answers: Counter[int] = Counter()

    def ask(case: schemathesis.Case) -> None:
        response = case.call(headers=headers)
        answers[response.status_code] += 1
        if response.status_code == 503 and case.path == "/api/v1/health":
            return  # no listener runs here, and it says so
        case.validate_response(
            response, checks=[not_a_server_error, content_type_conformance, response_schema_conformance]
        )

    for result in schema.get_all_operations():
        operation = result.ok()
        strategy = operation.as_strategy()
        run = settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        from hypothesis import given

        run(given(strategy)(ask))()
    assert answers.total() >= 35 * EXAMPLES // 2
    assert {200, 404, 422} <= set(answers), "it was let in, and asked for sense and nonsense"
    assert not set(answers) & {401, 403}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/nothing", 404),
        ("PUT", "/api/v1/studies", 405),
        ("GET", "/api/v1/studies?limit=0", 422),
        ("GET", "/api/v1/studies?limit=x&state=y", 422),
        ("GET", "/api/v1/studies?cursor=%00%ff", 422),
        ("GET", "/api/v1/studies?received_from=never", 422),
        ("GET", "/api/v1/studies/Doe^Jane", 422),
        ("GET", f"/api/v1/studies/{KEY}/documents/outcome.json", 404),
        ("GET", f"/api/v1/studies/{KEY}/documents/..%2foutcome.json", 404),
        ("GET", "/api/v1/bundles/none", 404),
        ("POST", f"/api/v1/studies/{KEY}/replay", 409),
        ("GET", "/dicom-web/studies?%00=%00", 400),
    ],
)
def test_every_error_is_a_problem(method: str, path: str, status: int, client: TestClient) -> None:
    answer = client.request(method, path, headers={"Accept": "text/html, */*"} if "dicom" not in path else {})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    told = answer.json()
    assert (told["status"], told["type"]) == (status, "about:blank")
    assert told["title"]
    assert told["detail"]


def test_a_parameter_that_no_route_knows_is_named_with_those_that_it_knows(client: TestClient) -> None:
    answer = client.get("/api/v1/studies?stat=done")
    assert answer.status_code == 422
    takes = "bundle, cursor, finding, limit, received_before, received_from, state, urgent"
    what = f"there is no such parameter; this route takes {takes}"
    assert answer.json()["errors"] == [{"where": "query stat", "what": what}]
    assert answer.json()["detail"] == f"the request cannot be used: query stat: {what}"
    asked = Counter[str]()
    for path, methods in client.get("/api/v1/openapi.json").json()["paths"].items():
        if not path.startswith("/api/v1/"):
            continue
        for method in methods:
            filled = path.format(key=KEY, name="none", id="0" * 32)
            told = client.request(method, filled, params={"nonsense": "1"})
            assert (told.status_code, told.json()["errors"][0]["where"]) == (422, "query nonsense"), (method, path)
            asked[method] += 1
    assert asked["get"] > 5 < asked.total() - asked["get"]


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"Content-Type": "application/json"}, b"{", 422),
        ({"Content-Type": "application/json"}, b'{"destination": 1}', 422),
        ({"Content-Type": "application/json"}, b'{"unknown": 1}', 422),
        ({"Content-Type": "text/plain"}, b"x", 415),
        ({"Content-Type": "application/json"}, b'{"destination": "none"}', 409),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"destination=none", 409),
    ],
)
def test_a_replay_is_asked_for_as_json_or_by_a_form(
    headers: dict[str, str], content: bytes, status: int, client: TestClient
) -> None:
    answer = client.post(f"/api/v1/studies/{KEY}/replay", content=content, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_documents_are_fetched_as_they_are_on_disk(client: TestClient, house: House) -> None:
    listed = client.get(f"/api/v1/studies/{KEY}/documents").json()["items"]
    assert {each["kind"] for each in listed} >= {"sr", "json"}
    for each in listed:
        answer = client.get(each["href"])
        assert answer.content == (house.settings.results / KEY / each["name"]).read_bytes()
        assert len(answer.content) == each["bytes"]
        assert answer.headers["content-type"] == each["media_type"]
        assert answer.headers["content-disposition"].startswith("attachment")
    assert len(client.get(f"/api/v1/studies/{KEY}/reports").json()["items"]) == 1
    assert client.get(f"/api/v1/studies/{KEY}/deliveries").json() == {"receipts": [], "waiting": [], "pending": []}


@pytest.mark.parametrize("indexed", [False, True])
def test_pages_of_studies_give_each_once_the_newest_first(indexed: bool, client: TestClient, house: House) -> None:
    """From the index of studies, and without one from the outcomes: the same."""
    times = [1000.0, 3000.0, 3000.0, 2000.0, 500.5]
    for number, at in enumerate(times):
        outcomes.begin(house.settings.results, StudyOutcome(f"{number:032x}-{'a' * 16}", at, files=("x",)))
    if indexed:
        migrate(house.settings.database)
        assert Worklist(house.settings, open_engine(house.settings.database)).compare() == len(times) + 1
    found, cursor = [], ""
    for _ in range(10):
        answer = client.get("/api/v1/studies", params={"limit": 2, "cursor": cursor}).json()
        assert len(answer["items"]) <= 2
        found += [each["key"] for each in answer["items"]]
        cursor = answer["next"]
        if cursor is None:
            break
    expected = sorted([(-at, f"{number:032x}-{'a' * 16}") for number, at in enumerate(times)] + [(-1000.0, KEY)])
    assert found == [key for _, key in expected]
    only = client.get("/api/v1/studies", params={"received_from": "1970-01-01T00:33:20Z", "state": "received"}).json()
    assert [each["received_at"] for each in only["items"]] == ["1970-01-01T00:50:00Z"] * 2 + ["1970-01-01T00:33:20Z"]
    present = next(each.kind for each in make_report().findings if each.presence == "present")
    for query, keys in {f"finding={present}": [KEY], "finding=none": [], "bundle=none": [], "urgent=true": []}.items():
        assert [each["key"] for each in client.get(f"/api/v1/studies?{query}").json()["items"]] == keys, query
    with capture_logs() as logs:
        client.get("/api/v1/studies")
    assert not any(each["event"] == "listed_without_index" for each in logs) or not indexed


def test_a_cursor_is_read_as_it_was_given_and_nothing_else() -> None:
    cursor = Cursor(1763800000.25, "0" * 32 + "-" + "1" * 16)
    assert Cursor.of(str(cursor)) == cursor
    for wrong in ("", "x", str(cursor)[:-3], str(Cursor(float("nan"), cursor.key)), str(Cursor(1.0, "../etc"))):
        with pytest.raises(ValueError, match="no cursor"):
            Cursor.of(wrong)
