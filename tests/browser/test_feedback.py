"""Feedback, bundles and system in Chromium: as viewer, operator and administrator, by mouse and by keyboard."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from app.demo.pacs import Pacs
from app.feedback import Answer, Place, of_study
from app.outcomes import State, StudyOutcome
from app.switches import switched_off
from app.workflow_database import open_engine
from tests.browser.conftest import PageAs, Screenshot
from tests.e2e.conftest import Service
from tests.integration.workflow.tiny import ct_slices, write_files

pytestmark = [pytest.mark.debian, pytest.mark.timeout(900)]

Violations = Callable[[Page], list[str]]
PAGES = ("/bundles", "/bundles/head_ct_hemorrhage", "/system", "/feedback")


@pytest.fixture
def engine(service: Service) -> Iterator[sa.Engine]:
    engine = open_engine(service.settings.database)
    yield engine
    engine.dispose()


def main_form(page: Page) -> Page:
    return page.locator("form.answer").first  # type: ignore[return-value]


def test_a_viewer_answers_a_finding_on_the_page_of_its_study_and_changes_their_mind(
    page_as: PageAs, head: StudyOutcome, engine: sa.Engine, screenshot: Screenshot, axe: Violations
) -> None:
    page = page_as("viewer")
    page.goto(f"/study/{head.key}")
    form = main_form(page)
    expect(form.get_by_label("column")).to_be_hidden()
    form.get_by_label("Agree: it is there", exact=True).check()
    form.get_by_label("Where", exact=True).select_option("as shown")
    form.get_by_role("button", name="Keep my answer").click()
    expect(form.get_by_text("You said: agree")).to_be_visible()
    form.get_by_label("Disagree: it is not there").check()
    expect(form.get_by_label("Where", exact=True)).to_be_hidden()
    form.get_by_label("Disagree: it is there, but elsewhere").check()
    expect(form.get_by_label("Where", exact=True)).to_have_value("point")
    form.get_by_label("slice").fill("3")
    form.get_by_label("column").fill("200")
    form.get_by_label("row").fill("180")
    form.get_by_label("Comment").fill("<b>artefact</b> of the table")
    form.get_by_role("button", name="Change my answer").click()
    expect(form.get_by_text("You said: disagree: it is there, but elsewhere")).to_be_visible()
    first, second = (each for each in of_study(engine, head.key) if each.reader == "the-viewer")
    assert (first.answer, first.place, second.answer, second.place) == (
        Answer.AGREE,
        Place.AS_SHOWN,
        Answer.ELSEWHERE,
        Place.POINT,
    )
    assert second.sop_instance_uid == head.reports[0].findings[0].slices[2].sop_instance_uid
    page.goto(f"/feedback/study/{head.key}")
    page.get_by_text("What was said").click()
    expect(page.get_by_text("<b>artefact</b> of the table").last).to_be_visible()
    expect(page.get_by_text("slice 3, column 200, row 180")).to_be_visible()
    assert axe(page) == []
    screenshot("feedback-study", page)


def test_an_operator_who_agrees_makes_two_readers_who_differ(
    page_as: PageAs, head: StudyOutcome, screenshot: Screenshot, axe: Violations
) -> None:
    page = page_as("operator")
    page.goto(f"/feedback/study/{head.key}")
    form = main_form(page)
    form.get_by_label("Agree: it is there", exact=True).check()
    form.get_by_role("button").click()
    expect(form.get_by_text("You said: agree")).to_be_visible()
    page.goto("/feedback?answer=agree")
    expect(page.get_by_role("cell", name="the-operator").first).to_be_visible()
    assert page.get_by_role("button", name="Export for training").count() == 0
    assert axe(page) == []
    screenshot("feedback", page)


def test_an_administrator_exports_what_was_said(
    page_as: PageAs, head: StudyOutcome, tmp_path: Path, service: Service
) -> None:
    page = page_as("admin")
    page.goto(f"/feedback/study/{head.key}")
    # Both: whatever readers said before of the whole, a part that is there makes it known.
    for number in range(2):
        form = page.locator("form.answer").nth(number)
        form.get_by_label("Agree: it is there", exact=True).check()
        form.get_by_role("button").click()
        expect(form.get_by_text("You said: agree")).to_be_visible()
    page.goto("/feedback")
    page.on("dialog", lambda dialog: dialog.accept())
    with page.expect_download() as told:
        page.get_by_role("button", name="Export for training").click()
    path = tmp_path / "export.zip"
    told.value.save_as(path)
    with ZipFile(path) as file:
        names = file.namelist()
        content = b"".join(file.read(name)[:20000] for name in names)
    assert "head_ct_hemorrhage/datalist.json" in names
    assert len(names) == len(head.files) + 1
    assert head.study_uid.encode() not in content
    assert list(service.settings.run.glob("feedback-export-*")) == []


def test_an_administrator_switches_a_bundle_off_and_on_by_keyboard(
    page_as: PageAs, service: Service, engine: sa.Engine, tmp_path: Path, screenshot: Screenshot
) -> None:
    page = page_as("admin")
    page.goto("/bundles")
    card = page.locator("#brightness")
    expect(card.locator("li").get_by_text("warm", exact=True)).to_be_visible()
    card.locator("summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("new <scanner>")
    page.keyboard.press("Enter")
    expect(page.locator("#brightness").get_by_text("new <scanner>")).to_be_visible()
    assert list(switched_off(engine)) == ["brightness"]
    screenshot("bundles-off", page)
    slices = ct_slices()
    write_files(tmp_path / "off", slices)
    service.send(sorted((tmp_path / "off").iterdir()))
    held = service.outcome(slices[0].StudyInstanceUID)
    assert held.state is State.UNWANTED
    assert held.decision is not None
    assert held.decision.declined[0].reasons == ("the bundle 'brightness' is switched off: new <scanner>",)
    page.get_by_role("button", name="Switch on brightness").press("Enter")
    expect(page.locator("#brightness").get_by_text("switched off")).to_have_count(0)
    again = ct_slices()
    write_files(tmp_path / "on", again)
    service.send(sorted((tmp_path / "on").iterdir()))
    assert service.outcome(again[0].StudyInstanceUID).state is State.DELIVERED


def test_an_operator_asks_the_pacs_and_sees_that_it_answers(
    page_as: PageAs, pacs: Pacs, head: StudyOutcome, screenshot: Screenshot
) -> None:
    page = page_as("operator")
    page.goto("/system")
    row = page.get_by_role("row", name="pacs")
    expect(row.get_by_text(f"PACS at 127.0.0.1:{pacs.port}")).to_be_visible()
    row.get_by_role("button", name="C-ECHO").click()
    expect(page.get_by_role("row", name="pacs").get_by_role("status")).to_contain_text("answers, after")
    screenshot("system", page)


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_nothing_serious_for_people_who_see_hear_or_move_differently(
    page_as: PageAs, head: StudyOutcome, axe: Violations, screenshot: Screenshot, scheme: str
) -> None:
    page = page_as("admin")
    if scheme == "light":
        page.get_by_role("button", name="Light").click()
    found: Mapping[str, list[str]] = {path: _seen(page, path, axe) for path in PAGES}
    assert found == {path: [] for path in PAGES}
    page.goto("/bundles")
    screenshot(f"bundles-{scheme}", page)
    page.goto("/bundles/head_ct_hemorrhage")
    screenshot(f"bundle-{scheme}", page)


def _seen(page: Page, path: str, axe: Violations) -> list[str]:
    page.goto(path)
    return axe(page)


def test_who_may_not_sees_no_button_and_is_refused(
    page_as: PageAs, service: Service, tokens: Mapping[str, str]
) -> None:
    page = page_as("viewer")
    for path, name in (("/bundles", "Switch off"), ("/system", "C-ECHO"), ("/feedback", "Export for training")):
        page.goto(path)
        assert page.get_by_role("button", name=name).count() == 0, path
    attempts = {
        ("viewer", "/bundles/brightness/off"): 403,
        ("operator", "/bundles/brightness/off"): 403,
        ("operator", "/bundles/brightness/on"): 403,
        ("operator", "/feedback/export"): 403,
        ("viewer", "/system/echo"): 403,
        ("operator", "/system/echo"): 200,
    }
    for (role, path), status in attempts.items():
        headers = {"Authorization": f"Bearer {tokens[role]}"}
        data = {"destination": "pacs", "reason": "x", "bundle": "brightness"}
        assert httpx.post(service.address + path, data=data, headers=headers).status_code == status, (role, path)
    assert httpx.post(f"{service.address}/system/echo", data={"destination": "pacs"}).status_code == 401


def test_what_was_written_stays_though_the_page_was_too_old(page_as: PageAs, head: StudyOutcome) -> None:
    """The service refuses, nothing is kept, and the page can send it again: its token is a new one."""
    page = page_as("admin")
    page.goto(f"/study/{head.key}")
    form = main_form(page)
    form.get_by_label("Unsure").check()
    form.get_by_label("Comment").fill("written for half an hour")
    old = "document.querySelectorAll('input[name=csrf]').forEach((field) => { field.value = '1.AAAA'; })"
    page.evaluate(old)
    with page.expect_response("**/feedback/study/*") as refused:
        form.get_by_role("button", name=re.compile("my answer")).click()
    assert refused.value.status == 403
    expect(page.locator("#toasts")).to_contain_text("nothing was done. What you wrote is still here")
    expect(form.get_by_label("Comment")).to_have_value("written for half an hour")
    assert form.locator("input[name=csrf]").input_value() == refused.value.headers["x-csrf-token"]


def test_an_old_page_sends_nothing_and_comes_back_to_itself(page_as: PageAs, head: StudyOutcome) -> None:
    page = page_as("operator")
    page.goto(f"/study/{head.key}")
    page.on("dialog", lambda dialog: dialog.accept())
    page.evaluate("document.querySelectorAll('input[name=csrf]').forEach((field) => { field.value = '1.AAAA'; })")
    page.get_by_role("button", name="Send again").click()
    expect(page.get_by_role("alert")).to_contain_text("This page was too old: nothing was done.")
    assert page.url.endswith(f"/study/{head.key}")
    page.evaluate("document.querySelectorAll('input[name=csrf]').forEach((field) => { field.value = '1.AAAA'; })")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
