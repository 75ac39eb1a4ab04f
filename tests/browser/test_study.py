"""The study page in a real Chromium: open a finding, scroll, window, toggle contours, by mouse and by keyboard."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from app.demo.pacs import Pacs
from app.demo.studies import CHEST, Case, draw
from app.findings import Presence
from app.outcomes import StudyOutcome
from tests.browser.conftest import BIG, PageAs, Screenshot
from tests.e2e.conftest import Service

pytestmark = [pytest.mark.timeout(600), pytest.mark.debian]


def shown(page: Page) -> dict[str, str]:
    """What the viewer says that it shows."""
    found: dict[str, str] = page.locator("#viewer").evaluate("each => ({...each.dataset})")
    return found


def wait_for(page: Page, name: str, value: str) -> None:
    expect(page.locator("#viewer")).to_have_attribute(f"data-{name}", value)


def brightness(page: Page) -> float:
    """Mean of the red channel in the middle of the canvas, 0 to 255."""
    script = """canvas => {
      const [w, h] = [canvas.width >> 2, canvas.height >> 2];
      const data = canvas.getContext("2d").getImageData(w, h, 2 * w, 2 * h).data;
      let sum = 0;
      for (let at = 0; at < data.length; at += 4) sum += data[at];
      return sum / (data.length / 4);
    }"""
    found: float = page.locator("#viewer-canvas").evaluate(script)
    return found


def test_a_finding_is_opened_scrolled_windowed_and_its_contour_hidden(
    page: Page, head: StudyOutcome, screenshot: Screenshot
) -> None:
    main = head.reports[0].findings[0]
    assert main.presence is Presence.PRESENT
    top = max(main.slices, key=lambda each: each.certainty).index
    page.goto(f"/study/{head.key}")
    wait_for(page, "shown", str(top))
    assert int(shown(page)["marks"]) > 0
    frame = page.locator("#viewer-frame")
    frame.focus()
    page.keyboard.press("ArrowDown")
    wait_for(page, "shown", str(top + 1))
    page.keyboard.press("c")
    wait_for(page, "shown", str(top))
    box = frame.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.wheel(0, -100)
    wait_for(page, "shown", str(top - 1))
    page.locator("#viewer-slider").fill("1")
    wait_for(page, "shown", "0")
    page.get_by_role("button", name="Most certain", exact=True).click()
    wait_for(page, "shown", str(top))

    page.locator("#viewer-preset").select_option(label="3 Brain")
    wait_for(page, "width", "80.0")
    narrow = brightness(page)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y - 120, steps=4)
    page.mouse.up()
    assert float(shown(page)["width"]) > 80
    assert float(shown(page)["centre"]) > 40
    assert brightness(page) < narrow  # a higher centre is a darker picture
    expect(page.locator("#viewer-preset")).to_have_value("hand")

    contours = page.get_by_role("button", name="Contours")
    contours.click()
    expect(contours).to_have_attribute("aria-pressed", "false")
    wait_for(page, "marks", "0")
    frame.focus()
    page.keyboard.press("o")
    expect(contours).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("i")
    wait_for(page, "inverted", "true")
    page.keyboard.press("+")
    assert float(shown(page)["zoom"]) > 1
    page.keyboard.press("0")
    wait_for(page, "zoom", "1.000")
    wait_for(page, "inverted", "false")
    page.keyboard.press("3")
    wait_for(page, "centre", "40.0")
    screenshot("study", page)


def test_everything_is_there_for_the_keyboard_and_the_blind(
    page: Page, head: StudyOutcome, axe: Callable[[Page], list[str]], screenshot: Screenshot
) -> None:
    page.goto(f"/study/{head.key}")
    expect(page.locator("#viewer-said")).to_contain_text("Slice")
    assert axe(page) == []
    page.locator("#viewer-frame").focus()
    page.keyboard.press("?")
    expect(page.locator("#viewer-keys")).to_be_visible()
    screenshot("study-keys", page)
    assert axe(page) == []
    page.keyboard.press("Escape")
    expect(page.locator("#viewer-keys")).not_to_be_visible()
    page.locator("#viewer-frame").focus()
    page.keyboard.press("End")
    wait_for(page, "shown", str(len(head.files) - 1))
    page.keyboard.press("Home")
    wait_for(page, "shown", "0")
    page.keyboard.press("n")
    first = min(lesion for lesion in _outlined(page))
    wait_for(page, "shown", str(first))
    page.get_by_role("heading", name="Deliveries").scroll_into_view_if_needed()
    screenshot("study-below", page)


def _outlined(page: Page) -> list[int]:
    """Slices with a contour, by the service's own word."""
    answer = page.request.get(page.url.partition("#")[0] + "/series/0")
    return [mark["slice"] for mark in answer.json()["marks"]]


def test_documents_are_read_and_sent_again(
    page: Page, head: StudyOutcome, pacs: Pacs, axe: Callable[[Page], list[str]], screenshot: Screenshot
) -> None:
    page.goto(f"/study/{head.key}")
    page.get_by_role("row").filter(has_text="structured report").get_by_role("link", name="view").click()
    expect(page.locator(".tree")).to_contain_text("Intracranial hemorrhage")
    assert axe(page) == []
    screenshot("study-sr", page)
    page.get_by_role("link", name="Back to the study").click()
    page.get_by_role("row").filter(has_text="key image").get_by_role("link", name="view").first.click()
    picture = page.locator(".key-image")
    expect(picture).to_be_visible()
    assert picture.evaluate("each => each.naturalWidth") > 100
    page.get_by_role("link", name="Back to the study").click()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Send again").click()
    page.wait_for_url("**/study/*#deliveries")
    made = [each.sop_instance_uid for each in head.documents if each.sop_instance_uid]
    expect(page.get_by_role("status").filter(has_text="Sent again just now")).to_contain_text(f"{len(made)} documents")
    arrived = [each.sop_instance_uid for each in pacs.arrived]
    assert [arrived.count(uid) for uid in made] == [2] * len(made)


def test_a_viewer_looks_and_an_operator_analyses_again(page_as: PageAs, head: StudyOutcome) -> None:
    looking = page_as("viewer", BIG)
    looking.goto(f"/study/{head.key}")
    expect(looking.locator("#viewer-said")).to_contain_text("Slice")
    assert looking.get_by_role("button", name="Analyse again").count() == 0
    acting = page_as("operator")
    acting.goto(f"/study/{head.key}")
    acting.once("dialog", lambda dialog: dialog.accept())
    acting.get_by_role("button", name="Analyse again").click()
    acting.wait_for_url(lambda url: "/study/" in url and head.key not in url)
    expect(acting.locator("#progress")).to_have_attribute("data-final", "yes", timeout=240_000)
    expect(acting.get_by_role("heading", name="Intracranial hemorrhage in non-contrast head CT").first).to_be_visible()
    acting.reload()
    assert head.key in acting.content()


def test_a_radiograph_shows_its_boxes(
    page: Page, service: Service, tmp_path: Path, axe: Callable[[Page], list[str]], screenshot: Screenshot
) -> None:
    drawn = draw(Case(CHEST, "lesions"), 1011, tmp_path, uuid4().hex)
    assert set(service.send(sorted(file for file in tmp_path.rglob("*") if file.is_file())).statuses) == {0}
    outcome = service.outcome(drawn.uid, patience_s=240)
    page.goto(f"/study/{outcome.key}")
    wait_for(page, "shown", "0")
    places = [region for each in outcome.reports[0].findings for region in each.regions]
    wait_for(page, "marks", str(len(places)))
    page.keyboard.press("b")  # not in the stack: nothing happens
    wait_for(page, "marks", str(len(places)))
    assert axe(page) == []
    screenshot("study-chest", page)


def test_what_is_on_the_screen_is_the_value_in_its_window_at_its_place(page: Page, head: StudyOutcome) -> None:
    """From the bytes of a slice to the colour of a canvas, against the formula of the standard and plain arithmetic."""
    page.goto(f"/study/{head.key}")
    frame = page.locator("#viewer-frame")
    expect(page.locator("#viewer-said")).to_contain_text("Slice")
    frame.focus()
    for key in ("o", "b", "a", "3", *["+"] * 9):  # from a scale of 4 on nothing is smoothed
        page.keyboard.press(key)
    wait_for(page, "zoom", f"{1.25**9:.3f}")
    now = shown(page)
    address = page.url.partition("#")[0] + f"/series/0/slices/{now['shown']}"
    answer = page.request.get(address)
    rows, columns = int(answer.headers["vigil-rows"]), int(answer.headers["vigil-columns"])
    values = np.frombuffer(answer.body(), "<i2").reshape(rows, columns)
    size = page.locator("#viewer-canvas").evaluate("canvas => [canvas.width, canvas.height]")
    scale = min(size[0] / columns, size[1] / rows) * 1.25**9
    assert scale >= 4
    for row in range(rows // 2 - 8, rows // 2 + 8):
        for column in range(columns // 2 - 8, columns // 2 + 8):
            x = size[0] / 2 + (column + 0.5 - columns / 2) * scale
            y = size[1] / 2 + (row + 0.5 - rows / 2) * scale
            seen = page.locator("#viewer-canvas").evaluate(
                "(canvas, [x, y]) => canvas.getContext('2d').getImageData(x, y, 1, 1).data[0]", [int(x), int(y)]
            )
            assert seen == grey(int(values[row, column]), 40, 80), (row, column)


def grey(value: float, centre: float, width: float) -> int:
    """PS3.3 C.11.2.1.2.1, as it stands there, for 256 shades."""
    if value <= centre - 0.5 - (width - 1) / 2:
        return 0
    if value > centre - 0.5 + (width - 1) / 2:
        return 255
    return math.floor(((value - (centre - 0.5)) / (width - 1) + 0.5) * 255 + 0.5)


def test_a_list_of_all_series_leads_to_their_images(page: Page, head: StudyOutcome) -> None:
    page.goto(f"/study/{head.key}/all/series")
    first = page.locator(".series-button").first
    first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/study/{head.key}#series-1-slice-1")
    wait_for(page, "shown", "0")


def test_a_list_of_all_series_that_stands_in_the_page_opens_them_there(page: Page, head: StudyOutcome) -> None:
    """As the link "Show all" of a study of many series puts it there."""
    page.goto(f"/study/{head.key}")
    expect(page.locator("#viewer")).to_have_attribute("data-shown", re.compile(r"\d+"))
    page.evaluate(
        """async (address) => {
          document.querySelector("main").append(Object.assign(document.createElement("div"), {id: "all-series"}));
          await vigil.swap("#all-series", address);
        }""",
        f"/study/{head.key}/all/series",
    )
    before = page.url
    page.locator("#all-series a.series-button").first.click()
    expect(page.locator("#viewer-frame")).to_be_focused()
    assert page.url == before
