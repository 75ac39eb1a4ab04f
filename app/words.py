"""Numbers and marks as people read them: never a number without the other that gives it its meaning."""

from decimal import ROUND_FLOOR, Decimal

MOST_DECIMALS = 2


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
