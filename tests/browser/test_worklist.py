"""The worklist before people: it follows what arrives, by keyboard and without scripts, and runs nothing of a study."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from pydicom.uid import generate_uid

from app.outcomes import State, StudyOutcome
from app.study import uid_hash
from app.tables import asking
from app.workflow_database import open_engine
from app.worklist_rows import Names, Row, Shown, Told
from app.worklist_table import put, remove, turn
from tests.browser.conftest import PageAs, Screenshot, log_in
from tests.e2e.conftest import Service
from tests.integration.workflow.tiny import ct_slices
from tests.unit.receive.objects import to_file
from tests.unit.worklist_cases import key_of

pytestmark = [pytest.mark.debian, pytest.mark.timeout(900)]

NASTY = "X<script>alert(1)</script>"
HANDLER = "<img src=x onerror=alert(1)><b>bold</b>"
LONG_MS = 120_000
MANY = 120


def send(service: Service, folder: Path, **elements: str) -> str:
    """A small study, as a scanner sends it; returns the hash of its UID."""
    uid = generate_uid()
    folder.mkdir()
    for number, made in enumerate(ct_slices(uid)):
        for keyword, value in elements.items():
            setattr(made, keyword, value)
        (folder / f"{number}.dcm").write_bytes(to_file(made))
    assert set(service.send(sorted(folder.iterdir())).statuses) == {0}
    return uid_hash(uid)


PEOPLE = ("Doe^Jane", "Müller^Jörg", "Okafor^Chidi", "Yamada^Tarou=山田^太郎", "O'Neil^Pat", "Nguyễn^An")
KINDS = (
    ("CT", "Head CT", "head_ct_hemorrhage", "intracranial_hemorrhage"),
    ("DX", "Chest", "chest_radiograph", "pneumothorax"),
)
STATES = (*[State.DELIVERED] * 6, State.PROCESSING, State.RECEIVED, State.UNDELIVERED, State.UNWANTED, State.FAILED)
REMARKS = {State.FAILED: "none of its files can be read", State.UNWANTED: "Modality is US, wanted CT"}


def a_study(number: int) -> Row:
    modality, words, bundle, kind = KINDS[number % 2]
    state, at = STATES[number % len(STATES)], 1763800000.0 - 613 * number
    done = state in {State.DELIVERED, State.UNDELIVERED}
    present, old = done and number % 5 == 0, number % 7 == 3
    told = (Told(kind, "present", 0.93, 0.5) if present else Told(kind, "absent", 0.04, 0.5),)
    person, accession = PEOPLE[number % len(PEOPLE)], f"ACC{number:06d}"
    return Row(
        key=key_of(0xF0000 + number),
        changed=1,
        urgent=int(present and number % 10 == 0 and not old),
        received_at=at,
        finished_at=at + 3.4 if done else None,
        state=state,
        shown=Shown(36, told if done else (), (), REMARKS.get(state, ""), research_only=True),
        names=Names(f"1.2.{number}", modality, person, f"PID-{number:05d}", accession, "20251122", words),
        bundles=(bundle,),
        findings=(kind,) if present else (),
        superseded_by=key_of(0xE0000 + number) if old else "",
    )


def some_rows() -> list[Row]:
    """Studies as a day brings them."""
    return [a_study(number) for number in range(MANY)]


@contextmanager
def shown(service: Service, rows: list[Row]) -> Iterator[None]:
    """Rows that stand in the index alone, put there after it was compared with what lies on disk."""
    engine = open_engine(service.settings.database)

    def whole() -> bool:
        with asking(engine) as connection:
            return turn(connection)[1]

    try:
        service.until(whole, "the first comparison of the index")
        with asking(engine) as connection:
            put(connection, rows)
        yield
        with asking(engine) as connection:
            remove(connection, [row.key for row in rows])
    finally:
        engine.dispose()


def test_a_study_appears_and_its_row_changes_while_nothing_else_moves(
    service: Service, page_as: PageAs, tmp_path: Path
) -> None:
    with shown(service, some_rows()):
        page = page_as("viewer")
        expect(page.locator("#live")).to_have_text("Live")
        page.get_by_label("Search").fill("Head")
        page.wait_for_url("**/?q=Head")
        loaded = page.evaluate("window.loadedOnce = true")
        page.evaluate("window.scrollTo(0, 400)")
        assert page.evaluate("window.scrollY") == 400
        study = send(service, tmp_path / "a", PatientName="Arriving^Anna", StudyDescription="Head small")
        row = page.locator(f"tr[id^='{study}']")
        expect(row).to_contain_text("Arriving, Anna", timeout=LONG_MS)
        expect(row).to_contain_text("delivered", timeout=LONG_MS)
        expect(row).to_contain_text("Intracranial hemorrhage: present")
        assert loaded
        assert page.evaluate("window.loadedOnce") is True
        assert page.evaluate("window.scrollY") > 300
        assert page.get_by_label("Search").input_value() == "Head"
        assert "Chest" not in page.locator("table").inner_text()


def test_looks_good_and_axe_finds_nothing(
    service: Service, page_as: PageAs, screenshot: Screenshot, axe: Callable[[Page], list[str]], head: StudyOutcome
) -> None:
    with shown(service, some_rows()):
        page = page_as("operator")
        expect(page.locator("#live")).to_have_text("Live")
        expect(page.locator(f"tr[id='{head.key}']")).to_contain_text("delivered")
        for _ in ("dark", "light"):
            assert axe(page) == []
            screenshot(f"worklist-{page.locator('html').get_attribute('data-theme')}", page)
            page.get_by_role("button", name="Light").or_(page.get_by_role("button", name="Dark")).click()
        assert page.locator("html").get_attribute("data-theme") == "dark"
        page.goto("/?state=superseded&q=nobody")
        assert "No study fits" in page.inner_text("main")
        assert axe(page) == []
        page.goto("/?state=dead")
        screenshot("worklist-malformed", page)
        assert axe(page) == []


def test_filters_and_pages_by_keyboard(service: Service, page_as: PageAs) -> None:
    with shown(service, some_rows()):
        page = page_as("viewer")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        page.keyboard.press("Enter")
        page.get_by_label("Search").focus()
        page.keyboard.type("okafor")
        page.wait_for_url("**/?q=okafor")
        assert page.evaluate("document.activeElement.id") == "q"
        page.get_by_label("State", exact=True).focus()
        page.keyboard.press("d")
        page.wait_for_url("**state=delivered**")
        expect(page.locator("tbody tr").first).to_contain_text("Okafor, Chidi")
        page.get_by_role("link", name="Clear").focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/")
        first = page.locator("tbody tr").first.get_attribute("id")
        page.get_by_role("link", name="After these").focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**after=**")
        expect(page.locator("tbody tr").first).not_to_have_attribute("id", str(first))
        page.go_back()
        page.wait_for_url("**/")
        expect(page.locator("tbody tr").first).to_have_attribute("id", str(first))


def test_a_name_that_is_a_script_is_text(service: Service, page_as: PageAs, tmp_path: Path) -> None:
    page = page_as("viewer")
    said: list[str] = []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    study = send(service, tmp_path / "a", PatientName=NASTY, StudyDescription=HANDLER)
    row = page.locator(f"tr[id^='{study}']")
    expect(row).to_contain_text(NASTY, timeout=LONG_MS)
    expect(row).to_contain_text(HANDLER)
    assert row.locator("script, img, td b:text-is('bold')").count() == 0
    assert (page.title(), said) == ("Worklist · Vigil", [])


def test_works_without_scripts(service: Service, browser: Browser, tokens: Mapping[str, str]) -> None:
    with shown(service, some_rows()):
        context = browser.new_context(base_url=service.address, java_script_enabled=False)
        page = context.new_page()
        log_in(page, tokens["viewer"])
        page.get_by_label("Search").fill("okafor")
        page.get_by_role("button", name="Search").click()
        rows = page.locator("tbody tr")
        assert rows.count() == MANY // 6
        page.goto("/")
        first = rows.first.get_attribute("id")
        page.get_by_role("link", name="After these").click()
        assert rows.first.get_attribute("id") != first
        page.get_by_role("link", name="Before these").click()
        assert rows.first.get_attribute("id") == first
        context.close()
