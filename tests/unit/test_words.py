import pytest

from app.words import certainty_in_words


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
