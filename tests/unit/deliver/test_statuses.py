import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.deliver.statuses import Verdict, in_words, meaning


@pytest.mark.parametrize(
    ("status", "verdict", "words"),
    [
        (0x0000, Verdict.DELIVERED, "0x0000 Success"),
        (0x0110, Verdict.AGAIN, "0x0110 Processing failure"),
        (0x0111, Verdict.DELIVERED, "0x0111 Duplicate SOP instance: the destination has it already"),
        (0x0122, Verdict.REFUSED, "0x0122 SOP class not supported"),
        (0xA700, Verdict.AGAIN, "0xA700 Out of resources"),
        (0xA7FF, Verdict.AGAIN, "0xA7FF Out of resources"),
        (0xA801, Verdict.REFUSED, "0xA801 Unknown failure"),
        (0xA900, Verdict.REFUSED, "0xA900 Data set does not match SOP class"),
        (0xB000, Verdict.DELIVERED, "0xB000 Warning: coercion of data elements"),
        (0xB006, Verdict.DELIVERED, "0xB006 Warning: elements discarded"),
        (0xB007, Verdict.DELIVERED, "0xB007 Warning: data set does not match SOP class"),
        (0xC000, Verdict.REFUSED, "0xC000 Cannot understand"),
        (0xCFFF, Verdict.REFUSED, "0xCFFF Cannot understand"),
        (0xFF00, Verdict.REFUSED, "0xFF00 Unknown failure"),
    ],
)
def test_a_status_decides_and_is_told_in_words(status: int, verdict: Verdict, words: str) -> None:
    assert (meaning(status).verdict, in_words(status)) == (verdict, words)


@given(st.integers(0, 0xFFFF))
def test_nothing_but_success_warning_or_duplicate_is_a_delivery(status: int) -> None:
    known = status in {0x0000, 0x0001, 0x0107, 0x0111, 0x0116} or 0xB000 <= status <= 0xBFFF
    assert (meaning(status).verdict is Verdict.DELIVERED) == known
