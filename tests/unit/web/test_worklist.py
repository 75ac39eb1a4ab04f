"""The worklist as a page: what it shows, finds, refuses, and that nothing of a study runs in it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app import outcomes
from app.outcomes import CHANGED
from app.settings import Settings
from app.web.server import create_app
from app.workflow_database import open_engine
from app.worklist import PAGE
from app.worklist_rows import Names, Row, Shown, Told
from app.worklist_table import put
from tests.unit.web.test_server import UNWANTED, delivered, unwanted, urgent
from tests.unit.worklist_cases import a_row, settings_in, with_tables

NASTY = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    engine = with_tables(settings)
    yield TestClient(create_app(settings, dict))
    engine.dispose()


class Markup(HTMLParser):
    """Every element with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def keys(self) -> list[str | None]:
        return [each["id"] for each in self.all("tr") if "id" in each]


def fill(settings: Settings, *rows: Row) -> None:
    made = open_engine(settings.database)
    with made.begin() as connection:
        put(connection, rows)
    made.dispose()


def test_shows_findings_and_reasons_urgent_ones_first(client: TestClient, settings: Settings) -> None:
    kept = delivered(settings)
    unwanted(settings)
    early = urgent(settings)
    text = client.get("/").text
    assert Markup(text).keys() == [early.key, kept.key, UNWANTED]
    for words in (
        "Research only",
        "Intracranial hemorrhage: present</b> 93 % (threshold 50 %)",
        "Lung lesion: absent",
        "Pneumothorax: present",
        "Modality is &lt;b&gt;MR&lt;/b&gt;",
        "2.5 s",
        "3 images",
        "3 studies",
    ):
        assert words in text, words
    assert text.count("flagged for early reading, research use only") == 1
    assert [each.get("href") for each in Markup(text).all("a") if "open" in (each.get("class") or "")] == [
        f"/study/{key}" for key in (early.key, kept.key, UNWANTED)
    ]


def test_an_older_revision_is_marked_and_flagged_no_more(client: TestClient, settings: Settings) -> None:
    older = delivered(settings)
    newer = replace(older, key=older.key[:-1] + "2", received_at=2000.0, files=(*older.files, "late"))
    outcomes.begin(settings.results, newer)
    text = client.get("/").text
    assert Markup(text).keys() == [newer.key, older.key]
    assert text.count('<span class="tag calm">superseded</span>') == 1


def test_loads_nothing_from_elsewhere_and_runs_nothing_of_a_study(client: TestClient, settings: Settings) -> None:
    names = Names("1.2.3", NASTY, NASTY, NASTY, NASTY, "20261122", NASTY)
    shown = Shown(1, (Told(NASTY, NASTY, 0.5, 0.5),), (NASTY,), NASTY)
    fill(settings, a_row(1, names=names, shown=shown, bundles=("head",)), a_row(2, shown=replace(shown, told=())))
    answer = client.get("/", params={"q": NASTY.replace(" ", "")[:100]})
    assert answer.status_code == 200
    for text in (answer.text, client.get("/").text):
        markup = Markup(text)
        assert not markup.all("img")[1:]
        sources = [each["src"] or "" for each in markup.all("script")]
        assert len(sources) == 2
        assert all(re.fullmatch(r"/static/\w+\.js\?v=[0-9a-f]{12}", source) for source in sources)
        assert not [name for _, attributes in markup.elements for name in attributes if name.startswith("on")]
        assert not [1 for _, attributes in markup.elements if "style" in attributes]
        assert "49" not in re.sub(r"v=[0-9a-f]+|data-turn=.\d+|csrf.*|\d{4}-\d\d.*", "", text)
        assert "<script>alert" not in text
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=doe", [2, 1]),
        ("q=a2", [2]),
        ("q=pneumothorax+jane", [2, 1]),
        ("q=2026-11-22", [2, 1]),
        ("q=miller", []),
        ("state=failed", [2]),
        ("priority=urgent", [1]),
        ("priority=urgent&state=failed", []),
        ("detector=head", [1]),
        ("detector=hea", []),
        ("since=1970-01-02", []),
        ("until=1970-01-01&q=", [1, 2]),
    ],
)
def test_finds_what_is_looked_for(client: TestClient, settings: Settings, query: str, found: list[int]) -> None:
    fill(settings, a_row(1, urgent=1), a_row(2, state="failed", bundles=("chest",)))
    keys = Markup(client.get(f"/?{query}").text).keys()
    wanted = [a_row(number).key for number in found]
    assert sorted(map(str, keys)) == sorted(wanted)
    if not found:
        assert "No study fits" in client.get(f"/?{query}").text


def test_counts_and_keeps_what_was_chosen(client: TestClient, settings: Settings) -> None:
    fill(settings, a_row(1, urgent=1), a_row(2, state="failed"), a_row(3))
    text = client.get("/?state=delivered&q=doe&since=1970-01-01").text
    assert re.search(r"all <b>3</b>", text)
    assert re.search(r"delivered <b>2</b>", text)
    assert re.search(r"failed <b>1</b>", text)
    assert re.search(r"flagged for early reading <b>1</b>", text)
    assert "2 studies" in text
    assert '<option value="delivered" selected>' in text
    assert 'name="q" value="doe"' in text
    assert 'name="since" value="1970-01-01"' in text
    links = [each["href"] for each in Markup(text).all("a") if "data-choose" in each]
    assert all("q=doe" in str(link) and "since=1970-01-01" in str(link) for link in links)


def test_turns_pages_by_plain_links(client: TestClient, settings: Settings) -> None:
    fill(settings, *(a_row(number) for number in range(2 * PAGE + 1)))
    address, seen = "/", []
    for _ in range(3):
        markup = Markup(client.get(address).text)
        seen += markup.keys()
        following = [each["href"] for each in markup.all("a") if each.get("rel") == "next"]
        address = f"/{following[0]}" if following else ""
    assert seen == [a_row(number).key for number in reversed(range(2 * PAGE + 1))]
    assert not address


@pytest.mark.parametrize(
    "query", ["state=dead", "after=1", "q=%00", "q=a&q=b", "since=x", "limit=3", "q=%ff&state=%zz", "=1"]
)
def test_a_malformed_address_is_told_in_words(client: TestClient, query: str) -> None:
    answer = client.get(f"/?{query}")
    assert (answer.status_code, "This address cannot be read" in answer.text) == (400, True)
    assert 'href="/"' in answer.text


def test_says_what_to_do_where_nothing_came(client: TestClient) -> None:
    assert "python -m app send" in client.get("/").text


def test_says_while_the_index_is_being_filled(client: TestClient, settings: Settings) -> None:
    kept = delivered(settings)
    assert "is being filled" in client.get("/").text
    (settings.results / CHANGED / kept.key).unlink(missing_ok=True)
    with TestClient(create_app(settings, dict)) as running:
        for _ in range(600):
            if "is being filled" not in (text := running.get("/").text):
                break
    assert Markup(text).keys() == [kept.key]


def test_a_damaged_outcome_hides_no_other(client: TestClient, settings: Settings) -> None:
    kept, other = delivered(settings), urgent(settings)
    (settings.results / kept.key / "outcome.json").write_text("{")
    text = client.get("/").text
    assert set(Markup(text).keys()) == {kept.key, other.key}
    assert "is damaged on disk" in text


def test_a_database_that_is_not_set_up_is_told_in_words(settings: Settings) -> None:
    answer = TestClient(create_app(settings, dict)).get("/")
    assert (answer.status_code, "python -m app migrate" in answer.text) == (503, True)


def test_who_looks_and_for_what_is_audited_once_a_page(tmp_path: Path, settings: Settings) -> None:
    from base64 import b64encode

    audited = Settings.model_validate(settings.model_dump() | {"audit": {"file": tmp_path / "audit.xml"}})
    with_tables(audited).dispose()
    client = TestClient(create_app(audited, dict))
    client.get("/?q=doe")
    client.get("/?q=doe", headers={"X-Fragment": "worklist"})
    (line,) = (tmp_path / "audit.xml").read_text().splitlines()
    assert b64encode(b"/?q=doe").decode() in line
    assert 'csd-code="110112"' in line


def test_events_are_refused_while_nobody_looks(client: TestClient) -> None:
    answer = client.get("/events")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
