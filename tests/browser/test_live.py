"""Pages that follow what happens: parts change in place, and what somebody looks at or writes stays."""

from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from app import outcomes
from app.outcomes import StudyOutcome
from tests.browser.conftest import PageAs
from tests.e2e.conftest import Service

pytestmark = [pytest.mark.timeout(600), pytest.mark.debian]

PATIENCE_MS = 60_000


def stays(page: Page) -> bool:
    """Whether the page was not loaded anew since this was asked first."""
    found: bool = page.evaluate("() => { const was = window.stays === true; window.stays = true; return was; }")
    return found


def test_a_study_page_follows_its_study_and_keeps_what_somebody_writes(
    page_as: PageAs, head: StudyOutcome, service: Service
) -> None:
    folder = service.settings.results / head.key
    before = outcomes.read(folder)
    assert before is not None
    page = page_as("operator")
    try:
        outcomes.record(folder, lambda known: replace(known, receipts=known.receipts[1:], finished_at=None))
        page.goto(f"/study/{head.key}")
        progress, viewer = page.locator("#progress"), page.locator("#viewer")
        expect(progress).to_have_attribute("data-final", "no")
        expect(page.get_by_role("button", name="Send again")).to_be_visible()
        expect(page.locator("#live")).to_have_text("Live", timeout=PATIENCE_MS)
        page.locator("#viewer-frame").focus()
        page.keyboard.press("Home")
        expect(viewer).to_have_attribute("data-shown", "0", timeout=PATIENCE_MS)
        comment = page.locator("form.answer textarea").first
        comment.fill("half a sentence")
        link = page.get_by_role("link", name="view").first
        link.focus()
        stays(page)
        outcomes.record(folder, lambda _: before)
        expect(progress).to_have_attribute("data-final", "yes", timeout=PATIENCE_MS)
        assert stays(page)
        expect(comment).to_have_value("half a sentence")
        expect(viewer).to_have_attribute("data-shown", "0")
        expect(link).to_be_focused()
        expect(page.locator("#tags")).to_contain_text("delivered")
    finally:
        outcomes.record(folder, lambda _: before)


def test_the_page_of_the_system_brings_itself_up_to_date(page_as: PageAs, head: StudyOutcome, service: Service) -> None:
    page = page_as("operator")
    page.goto("/system")
    button = page.get_by_role("button", name="C-ECHO").first
    button.focus()
    stays(page)
    expect(page.locator("#live")).to_have_text("Live", timeout=PATIENCE_MS)
    assert stays(page)
    expect(button).to_be_focused()
    told = page.locator("#troubles").get_by_text("a fault that the test made")
    expect(told).to_have_count(0)
    folder = service.settings.results / head.key
    before = outcomes.read(folder)
    assert before is not None
    try:
        outcomes.record(folder, lambda known: replace(known, problem="a fault that the test made"))
        expect(told).to_have_count(1, timeout=PATIENCE_MS)
        assert stays(page)
    finally:
        outcomes.record(folder, lambda _: before)
