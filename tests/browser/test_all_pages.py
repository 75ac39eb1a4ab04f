"""Every page: who may open it, what axe says of it, whether the keyboard reaches everything, how much it loads."""

from collections.abc import Callable, Mapping

import pytest
from playwright.sync_api import Page, Response, expect
from pydicom.config import IGNORE
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.uid import generate_uid

from app.outcomes import StudyOutcome
from tests.browser.conftest import BIG, LAPTOP, PageAs, Screenshot
from tests.e2e.conftest import Service
from tests.integration.workflow.tiny import ct_slices
from tests.unit.receive.objects import to_file

pytestmark = [pytest.mark.debian, pytest.mark.timeout(1200)]

PAGES = (
    "/",
    "/study/{key}",
    "/feedback",
    "/feedback/study/{key}",
    "/bundles",
    "/bundles/head_ct_hemorrhage",
    "/system",
    "/upload",
)
OPERATORS = frozenset({"/upload"})
MOST_BYTES = 300_000
"""Of a page with its styles and scripts, without images."""
CONTROLS = "a[href], button, input:not([type=hidden]), select, textarea, summary"
WANTED = f"""[...document.querySelectorAll('{CONTROLS}')].filter(each =>
  each.checkVisibility({{ visibilityProperty: true }}) && !each.disabled && each.type !== 'radio' && each.tabIndex >= 0
  && !each.closest('[inert]')).length"""
AT = f"""(() => {{ const at = document.activeElement;
  return [[...document.querySelectorAll('*')].indexOf(at), at.matches('{CONTROLS}') && at.type !== 'radio']; }})()"""
GROUPS = "new Set([...document.querySelectorAll('input[type=radio]')].map(each => each.form)).size"


def opened(page: Page, path: str, head: StudyOutcome) -> Response:
    answer = page.goto(path.format(key=head.key))
    assert answer is not None
    page.wait_for_load_state("networkidle" if path == "/study/{key}" else "load")
    return answer


@pytest.mark.parametrize("role", ["", "viewer", "operator", "admin"])
def test_who_may_open_what(page_as: PageAs, head: StudyOutcome, role: str) -> None:
    page = page_as(role)
    for path in PAGES:
        answer = page.goto(path.format(key=head.key))
        assert answer is not None
        if not role:
            assert "/login" in page.url, path
            continue
        refused = role == "viewer" and path in OPERATORS
        assert answer.status == (403 if refused else 200), (role, path)
        if not refused:
            links = page.get_by_role("navigation", name="Pages").get_by_role("link").all_inner_texts()
            assert ("Upload" in links) == (role != "viewer")


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_axe_finds_nothing_serious_on_any_page(
    page_as: PageAs, head: StudyOutcome, axe: Callable[[Page], list[str]], scheme: str
) -> None:
    page = page_as("admin")
    if scheme == "light":
        page.get_by_role("button", name="Light").click()
    found: dict[str, list[str]] = {}
    for path in PAGES:
        opened(page, path, head)
        found[path] = axe(page)
    assert found == {path: [] for path in PAGES}


def test_the_keyboard_reaches_everything(page_as: PageAs, head: StudyOutcome) -> None:
    page = page_as("admin")
    missed: dict[str, tuple[int, int]] = {}
    for path in PAGES:
        opened(page, path, head)
        wanted = int(page.evaluate(WANTED))
        reached = walked(page, wanted)
        if reached < wanted:
            missed[path] = (reached, wanted)
    assert missed == {}


def walked(page: Page, wanted: int) -> int:
    """How many controls the tabulator reaches; a group of radio buttons is one stop, and counts for nothing here."""
    reached: set[int] = set()
    page.evaluate("document.activeElement.blur()")
    for _ in range(2 * wanted + int(page.evaluate(GROUPS)) + 40):
        page.keyboard.press("Tab")
        number, counts = page.evaluate(AT)
        if counts:
            reached.add(number)
        if len(reached) >= wanted:
            break
    return len(reached)


def test_the_first_stop_skips_to_the_content(page_as: PageAs) -> None:
    page = page_as("viewer")
    page.goto("/system")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.wait_for_url("**/system#main")
    expect(page.locator("#main")).to_be_focused()


def test_pages_are_light(page_as: PageAs, head: StudyOutcome) -> None:
    page = page_as("admin")
    sizes: dict[str, int] = {}
    loaded: list[Response] = []
    page.on("response", lambda response: loaded.append(response))  # noqa: PLW0108  Playwright takes no built-in method
    for path in PAGES:
        loaded.clear()
        opened(page, path, head)
        kinds = {"document", "stylesheet", "script", "fetch", "xhr"}
        text = [each for each in loaded if each.request.resource_type in kinds and is_text(each.headers)]
        sizes[path] = sum(len(each.body()) for each in text)
        assert sizes[path] > 1000, path
    assert {path: size for path, size in sizes.items() if size > MOST_BYTES} == {}


def is_text(headers: Mapping[str, str]) -> bool:
    kind = headers.get("content-type", "")
    return "event-stream" not in kind and any(word in kind for word in ("text", "javascript", "json"))


LONG = "X" * 3000
TURNED = "4711\u202e2222"


@pytest.fixture(scope="module")
def strange(service: Service, tmp_path_factory: pytest.TempPathFactory) -> StudyOutcome:
    """A study whose texts are long without a blank, or hold what turns the text around it."""
    folder, uid = tmp_path_factory.mktemp("strange"), generate_uid()
    for number, each in enumerate(ct_slices(uid)):
        each.SpecificCharacterSet = "ISO_IR 192"
        told = {"PatientName": ("PN", LONG), "PatientID": ("LO", TURNED), "AccessionNumber": ("SH", LONG)}
        told |= {"StudyDescription": ("LO", LONG), "SeriesDescription": ("LO", LONG)}
        for keyword, (vr, value) in told.items():
            each[keyword] = DataElement(tag_for_keyword(keyword) or 0, vr, value, validation_mode=IGNORE)
        (folder / f"{number}.dcm").write_bytes(to_file(each))
    assert set(service.send(sorted(folder.iterdir())).statuses) == {0}
    return service.outcome(uid, patience_s=240)


@pytest.mark.parametrize("size", [LAPTOP, BIG])
def test_no_text_makes_a_page_wider_than_its_window(
    page_as: PageAs, strange: StudyOutcome, size: tuple[int, int], screenshot: Screenshot
) -> None:
    page = page_as("admin", size)
    wide = {}
    for path in (*PAGES, "/nowhere", "/login"):
        opened(page, path, strange)
        needed, there = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        if needed > there:
            wide[path] = (needed, there)
        if path == "/study/{key}":
            assert page.get_by_role("heading", level=1).locator("bdi").get_attribute("title") == LONG
            screenshot("strange-study", page)
            page.set_viewport_size({"width": size[0], "height": size[1]})
    assert wide == {}


def test_what_turns_text_is_shown_and_turns_nothing(page_as: PageAs, strange: StudyOutcome) -> None:
    page = page_as("viewer")
    for path in ("/", "/study/{key}"):
        opened(page, path, strange)
        shown = page.locator("bdi").filter(has_text="4711").first
        assert shown.inner_text() == "4711[U+202E]2222"
        assert "\u202e" not in page.content()
