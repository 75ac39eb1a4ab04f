"""`visible` of our scripts marks what `app.words.visible` marks, and nothing else."""

import json
import unicodedata

import pytest
from playwright.sync_api import Browser, Page

from app.words import visible
from tests.e2e.conftest import ROOT

pytestmark = [pytest.mark.timeout(300), pytest.mark.debian]

SAMPLES = (
    "one\nline\tand another\r\n",
    "کتاب\u200cها.dcm",
    "क्\u200dष.dcm",
    "\U00011103\U00011127\u200d\U00011103",
    "a\u200cb",
    "\u200c",
    "ک\u200c",
    "\u200dक",
    "1\u200d2",
    "DOE\u202eENAJ",
    "4711\u200b",
    "\u0600\u06dd 12",
    "👩🏽\u200d⚕",
    "",
)


@pytest.fixture(scope="module")
def scripted(browser: Browser) -> Page:
    """A page with nothing but the script that every page loads."""
    page = browser.new_page()
    page.set_content("<div id=toasts></div>")
    page.add_script_tag(path=ROOT / "app" / "web" / "static" / "vigil.js")
    return page


def test_both_mark_the_same_characters(scripted: Page) -> None:
    """Each one by itself, of all planes; halves of pairs too."""
    script = """() => Array.from({length: 0x110000}, (_, at) => at)
      .filter((at) => vigil.visible(String.fromCodePoint(at)) !== String.fromCodePoint(at))"""
    marked = set(scripted.evaluate(script))
    assert marked == {at for at in range(0x110000) if visible(chr(at)) != chr(at)}


def test_both_write_the_same(scripted: Page) -> None:
    told = scripted.evaluate("(all) => JSON.parse(all).map((each) => vigil.visible(each))", json.dumps(SAMPLES))
    assert told == [visible(each) for each in SAMPLES]


def test_both_leave_joiners_between_the_same_letters(scripted: Page) -> None:
    """Of Latin, Arabic and the scripts of India, as far as this Python's Unicode, which is older, knows a character."""
    scripts = (*range(0x250), *range(0x600, 0x700), *range(0x900, 0xE00))
    known = [at for at in scripts if unicodedata.category(chr(at)) != "Cn"]
    script = """(known) => known.filter((at) => {
      const each = String.fromCodePoint(at);
      return !vigil.visible("ک" + "\\u200c" + each).includes("[U+200C]");
    })"""
    assert scripted.evaluate(script, known) == [at for at in known if "[U+200C]" not in visible(f"ک\u200c{chr(at)}")]


def test_a_message_of_several_lines_is_one(scripted: Page) -> None:
    scripted.evaluate("vigil.toast('first\\nsecond: کتاب\\u200cها')")
    assert scripted.locator(".toast").text_content() == "first\nsecond: کتاب\u200cها"
