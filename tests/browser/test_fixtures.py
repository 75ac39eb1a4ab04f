"""That the tests of the pages can fail: people are who they are said to be, and axe sees what is wrong."""

from collections.abc import Callable, Mapping

import pytest
from playwright.sync_api import Page

from app.outcomes import State, StudyOutcome
from tests.browser.conftest import PageAs

pytestmark = [pytest.mark.debian, pytest.mark.timeout(600)]


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
def test_page_is_logged_in_as_its_role(page_as: PageAs, role: str) -> None:
    page = page_as(role)
    assert f"the-{role}" in page.inner_text("body")


def test_nobody_is_asked_to_log_in(page_as: PageAs) -> None:
    page = page_as("")
    page.goto("/")
    assert "/login" in page.url


def test_tokens_are_of_three_roles(tokens: Mapping[str, str]) -> None:
    assert set(tokens) == {"viewer", "operator", "admin"}


def test_phantom_head_is_read(head: StudyOutcome) -> None:
    assert (head.state, head.reports[0].algorithm.name) == (State.DELIVERED, "head_ct_hemorrhage")


def test_axe_sees_an_image_without_words(page_as: PageAs, axe: Callable[[Page], list[str]]) -> None:
    page = page_as("")
    page.goto("/login")
    page.evaluate("document.querySelector('main').append(document.createElement('img'))")
    assert any(each.startswith("image-alt") for each in axe(page))
