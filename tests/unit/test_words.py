import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.words import certainty_in_words, visible


@pytest.mark.parametrize(
    ("certainty", "threshold", "words"),
    [
        (0.1349, 0.09, "13 % (threshold 9 %)"),
        (0.0938, 0.0912, "9.3 % (threshold 9.1 %)"),
        (0.0938, 0.0936, "9.38 % (threshold 9.36 %)"),
        (0.5, 0.5, "50 % (threshold 50 %)"),
        (0.29, 0.5, "29 % (threshold 50 %)"),
        (0.9999, 0.5, "99 % (threshold 50 %)"),
        (1.0, 0.0, "100 % (threshold 0 %)"),
        (0.25, None, "25 %"),
        (None, None, ""),
    ],
)
def test_a_certainty_is_told_with_its_threshold(certainty: float | None, threshold: float | None, words: str) -> None:
    assert certainty_in_words(certainty, threshold) == words


SEEN = {"\n", "\t", "\r", *map(chr, range(0x600, 0x606)), "\u06dd", "\u070f", "\u0890", "\u0891", "\u08e2"}
"""Line ends, and signs of Arabic and Syriac of class Cf that have a shape; beyond the first plane are hieroglyphs."""


def test_what_nobody_sees_gets_a_mark() -> None:
    assert visible("DOE\u202eENAJ") == "DOE[U+202E]ENAJ"
    assert visible("4711\u200b") == "4711[U+200B]"
    assert visible("a\x00b\x1b[31m") == "a[U+0000]b[U+001B][31m"
    assert visible("\U000e0041\ud800") == "[U+E0041][U+D800]"
    for point in range(0x10000):
        hidden = unicodedata.category(chr(point)) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and chr(point) not in SEEN
        if hidden:
            assert visible(chr(point)) == f"[U+{point:04X}]"


@pytest.mark.parametrize(
    "text", ["Doe^Jane", "Grüße\n\tλ", "山田 太郎", "محمد", "کتاب\u200cها", "क्\u200dष", "דוד", "4\u202f711", "👩🏽"]
)
def test_what_people_write_stays(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize("text", ["a\u200cb", "\u200c", "ک\u200c", "\u200dक", "1\u200d2"])
def test_a_joiner_that_joins_nothing_is_marked(text: str) -> None:
    assert "[U+200" in visible(text)


@given(st.text())
def test_of_any_text_nothing_is_hidden_and_nothing_else_is_changed(text: str) -> None:
    told = visible(text)
    assert visible(told) == told
    kept = iter(re.sub(r"\[U\+[0-9A-F]{4,6}\]", "", told))
    assert all(each in text for each in kept)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\ufeff\x00]", told)
