"""Numbers and marks as people read them: never a number without the other that gives it its meaning."""

import re
import unicodedata
from decimal import ROUND_FLOOR, Decimal
from typing import Final

MOST_DECIMALS = 2
_JOINERS: Final = "\u200c\u200d"
_JOINED: Final = frozenset({"Lo", "Mn", "Mc"})
_HIDDEN: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
"""What nobody sees, or what changes the order of the text around it (Unicode: Cc, Cf, Cs, Zl, Zp and empty letters).
Line ends and tabs are left out, and signs of Arabic and other scripts that are of class Cf and are seen."""


def visible(text: str) -> str:
    """Text for people, with a mark where it holds what they could not see: "DOE[U+202E]JANE".

    A right-to-left override shows "EOD" as "DOE", and a blank of no width tells apart two identifiers that look the
    same. Joiners stay between letters of scripts that are written with them (Persian, Hindi).
    """
    return _HIDDEN.sub(_marked, text)


def _marked(found: re.Match[str]) -> str:
    text, at, character = found.string, found.start(), found[0]
    around = (text[at - 1 : at], text[at + 1 : at + 2])
    if character in _JOINERS and all(each and unicodedata.category(each) in _JOINED for each in around):
        return character
    return f"[U+{ord(character):04X}]"


def certainty_in_words(certainty: float | None, threshold: float | None) -> str:
    """A certainty beside the threshold that gave the answer: "13 % (threshold 9 %)"; "" where there is none."""
    if certainty is None:
        return ""
    if threshold is None:
        return f"{_percent(certainty, 0)} %"
    number, limit = percents(certainty, threshold)
    return f"{number} % (threshold {limit} %)"


def flagged(*, research_only: bool) -> str:
    """Say that a study is to be read before others, and no more than that."""
    return "flagged for early reading" + (", research use only" if research_only else "")


def percents(certainty: float, threshold: float, fewest_decimals: int = 0) -> tuple[str, str]:
    """Both in per cent, with as many decimals, up to two, as it takes to tell them apart.

    They are cut off, not rounded, so that 99.9 % does not become 100 %, nor what is below the threshold the threshold.

    Raises:
        ValueError: One of them does not lie between 0 and 1.
    """
    if not (0 <= certainty <= 1 and 0 <= threshold <= 1):
        raise ValueError(f"certainty and threshold lie between 0 and 1, not at {certainty} and {threshold}")
    pair = ("", "")
    for decimals in range(fewest_decimals, MOST_DECIMALS + 1):
        pair = (_percent(certainty, decimals), _percent(threshold, decimals))
        if pair[0] != pair[1] or certainty == threshold:
            break
    return pair


def _percent(share: float, decimals: int) -> str:
    step = Decimal(1).scaleb(-decimals)
    return str((Decimal(repr(float(share))) * 100).quantize(step, rounding=ROUND_FLOOR))
