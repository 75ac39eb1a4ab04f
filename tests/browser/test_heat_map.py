"""The heat map of a classifier in a real Chromium: off at first, over the image by key and by button, with zoom."""

import base64
from collections.abc import Callable
from uuid import uuid4

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, expect

from app.demo.studies import WRIST, Case, draw
from app.findings import Presence, SliceScore
from app.outcomes import StudyOutcome
from tests.browser.conftest import Screenshot
from tests.browser.test_study import shown, wait_for
from tests.e2e.conftest import Service

pytestmark = [pytest.mark.timeout(600), pytest.mark.debian]
FRACTURE = "wrist_fracture"
LEGEND = 90
"""Rows at the top of a laptop's canvas that hold words and a scale, in warm colours too."""


@pytest.fixture(scope="module")
def wrist(service: Service, tmp_path_factory: pytest.TempPathFactory) -> StudyOutcome:
    """A phantom wrist with a fracture, sent as a scanner does, and read."""
    folder = tmp_path_factory.mktemp("wrist")
    drawn = draw(Case(WRIST, "fracture"), 1011, folder, uuid4().hex)
    assert set(service.send(sorted(file for file in folder.rglob("*") if file.is_file())).statuses) == {0}
    return service.outcome(drawn.uid, patience_s=240)


def pixels(page: Page) -> NDArray[np.uint8]:
    """(rows, columns, red green blue alpha) of the canvas, without its legend."""
    script = """canvas => {
      const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
      let words = "";
      for (let at = 0; at < data.length; at += 4096) words += String.fromCharCode(...data.subarray(at, at + 4096));
      return [canvas.height, canvas.width, btoa(words)];
    }"""
    rows, columns, words = page.locator("#viewer-canvas").evaluate(script)
    seen = np.frombuffer(base64.b64decode(words), np.uint8).reshape(rows, columns, 4).copy()
    seen[:LEGEND] = 0
    return seen


def warmth(seen: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which pixels are clearly redder than blue; a radiograph is grey."""
    return seen[..., 0].astype(int) - seen[..., 2] > 30


def opened(page: Page, outcome: StudyOutcome) -> int:
    """Open the image in which the fracture is most certain; its series."""
    (finding,) = outcome.reports[0].findings
    assert finding.presence is Presence.PRESENT
    top: SliceScore = max(finding.slices, key=lambda each: each.certainty)
    page.goto(f"/study/{outcome.key}")
    expect(page.locator("#viewer-said")).to_contain_text("Image 1 of 1")
    number = next(
        at
        for at in range(len(outcome.files))
        if page.request.get(f"/study/{outcome.key}/series/{at}").json()["sources"][0][0] == top.sop_instance_uid
    )
    page.locator("#viewer-series").select_option(str(number))
    wait_for(page, "shown", "0")
    page.locator("#viewer-frame").focus()
    page.keyboard.press("a")  # the box and its words are another layer
    return number


def test_it_is_off_at_first_and_lies_over_the_image_when_asked_for(
    page: Page, wrist: StudyOutcome, axe: Callable[[Page], list[str]], screenshot: Screenshot
) -> None:
    number = opened(page, wrist)
    button = page.get_by_role("button", name="Heat map", exact=True)
    expect(button).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#viewer-heat-of")).to_be_hidden()  # one finding: nothing to choose
    before = pixels(page)
    assert not warmth(before).any()
    screenshot("study-wrist", page)
    page.locator("#viewer-frame").focus()
    page.keyboard.press("g")
    expect(button).to_have_attribute("aria-pressed", "true")
    wait_for(page, "heat", FRACTURE)
    expect(page.locator("#viewer-said")).to_contain_text("where the network looked (Grad-CAM); no outline of a finding")
    warm = pixels(page)
    assert warmth(warm).sum() > 1000
    assert axe(page) == []
    screenshot("study-heat", page)
    (heat,) = page.request.get(f"/study/{wrist.key}/series/{number}").json()["heats"]
    assert heat["finding"] == FRACTURE
    for _ in range(3):
        page.keyboard.press("+")
    page.keyboard.press("Alt+ArrowDown")
    assert float(shown(page)["zoom"]) > 1
    moved = pixels(page)
    assert warmth(moved).sum() > 1.5 * warmth(warm).sum()  # it grows with the image
    page.keyboard.press("0")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    wait_for(page, "heat", "")
    page.mouse.move(0, 0)
    after = pixels(page)
    assert not warmth(after).any()


def test_it_lies_where_the_network_looked(page: Page, wrist: StudyOutcome) -> None:
    """The middle of what is warmest on the screen is inside the box that the report gives."""
    opened(page, wrist)
    plain = pixels(page)
    page.keyboard.press("g")
    wait_for(page, "heat", FRACTURE)
    changed = np.abs(pixels(page).astype(int) - plain).sum(axis=-1)
    region = wrist.reports[0].findings[0].regions[0]
    size = page.request.get(page.url.partition("#")[0] + "/series/" + page.locator("#viewer-series").input_value())
    rows, columns = size.json()["rows"], size.json()["columns"]
    scale = min(changed.shape[0] / rows, changed.shape[1] / columns)
    row, column = np.unravel_index(np.argmax(changed), changed.shape)
    x = (column - changed.shape[1] / 2) / scale + columns / 2
    y = (row - changed.shape[0] / 2) / scale + rows / 2
    left, upper, right, lower = region.box
    assert left <= x <= right
    assert upper <= y <= lower


def test_of_several_findings_one_is_chosen_and_what_cannot_be_loaded_is_said(page: Page, wrist: StudyOutcome) -> None:
    number = opened(page, wrist)
    address = f"/study/{wrist.key}/series/{number}"
    series = page.request.get(address).json()
    (heat,) = series["heats"]
    series["heats"].append({**heat, "finding": "lung_lesion", "name": "0" * 32})
    page.route(f"**{address}", lambda route: route.fulfill(json=series))
    opened(page, wrist)
    chosen = page.locator("#viewer-heat-of")
    expect(chosen).to_be_visible()
    expect(chosen.locator("option")).to_have_text(["wrist fracture", "lung lesion"])
    page.keyboard.press("g")
    wait_for(page, "heat", FRACTURE)
    chosen.select_option(label="lung lesion")
    wait_for(page, "heat", "")
    expect(page.locator("#viewer-problems")).to_contain_text(
        "The heat map cannot be shown: this series has no heat map"
    )
    chosen.select_option(label="wrist fracture")
    wait_for(page, "heat", FRACTURE)


def test_a_study_without_one_offers_none(page: Page, head: StudyOutcome) -> None:
    page.goto(f"/study/{head.key}")
    expect(page.locator("#viewer-said")).to_contain_text("Slice")
    expect(page.locator("#viewer-heat")).to_be_hidden()
    page.locator("#viewer-frame").focus()
    page.keyboard.press("g")
    wait_for(page, "heat", "")
    page.keyboard.press("?")
    expect(page.locator("#viewer-keys")).to_contain_text("heat map, where there is one")
