from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.findings import Finding, Presence, SliceScore
from app.report.words import about_slices, disclaimer, fitted, percent, plain, suspicious_slices
from tests.unit.report.factory import PHANTOM


def finding(presence: Presence, *certainties: float, threshold: float = 0.5) -> Finding:
    scores = tuple(SliceScore(f"1.{i}", i, certainty) for i, certainty in enumerate(certainties))
    return Finding("intracranial_hemorrhage", presence, 0.9, threshold, slices=scores)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tilt of 18.5° was corrected", "tilt of 18.5 deg was corrected"),
        ("≥ 5 × 3 – “so”", '>= 5 x 3 - "so"'),
        ("Läsion µm", "Lasion um"),
        ("山", "?"),
    ],
)
def test_writes_in_ascii(text: str, expected: str) -> None:
    assert plain(text) == expected


@given(st.text())
def test_fits_any_text_into_a_long_string(text: str) -> None:
    line = fitted(text)
    assert (0 < len(line) <= 64, line.isascii(), "\\" in line) == (True, True, False)


@given(st.floats(0, 1), st.integers(1, 9999))
def test_rounding_never_carries_a_certainty_over_its_threshold(certainty: float, threshold: int) -> None:
    operating_point = threshold / 10_000
    assert (percent(certainty) >= percent(operating_point)) == (certainty >= operating_point)


def test_marks_phantom_weights_even_where_the_bundle_calls_itself_cleared() -> None:
    assert [
        disclaimer(replace(PHANTOM, status="cleared")),
        disclaimer(replace(PHANTOM, training_data="CQ500")),
        disclaimer(replace(PHANTOM, status="cleared", training_data="CQ500")),
    ] == [
        "RESEARCH USE ONLY - trained on phantoms, not for clinical use",
        "RESEARCH USE ONLY - not for clinical use",
        "",
    ]


def test_every_disclaimer_fits_a_series_description() -> None:
    assert len(disclaimer(PHANTOM)) <= 64


@pytest.mark.parametrize(
    ("presence", "certainties", "indices", "words"),
    [
        (
            Presence.PRESENT,
            (0.1, 0.5, 0.8, 0.2),
            [1, 2],
            (
                "Referenced slices (certainty at or above the threshold of 50.00 %): 2, 3; "
                "most suspicious: slice 3 of 4 with 80.00 %."
            ),
        ),
        (
            Presence.PRESENT,
            (0.3, 0.1, 0.45, 0.2),
            [0, 2, 3],
            (
                "Referenced slices (the most certain ones, as no single slice reaches the threshold of 50.00 %): "
                "1, 3, 4; most suspicious: slice 3 of 4 with 45.00 %."
            ),
        ),
        (
            Presence.ABSENT,
            (0.1, 0.2),
            [],
            "All 2 slices were searched; none is referenced. Most suspicious: slice 2 of 2 with 20.00 %.",
        ),
        (Presence.PRESENT, (), [], "No certainty for single slices; the series as a whole was assessed."),
    ],
)
def test_chooses_slices_and_says_which(
    presence: Presence, certainties: tuple[float, ...], indices: list[int], words: str
) -> None:
    answer = finding(presence, *certainties)
    assert ([score.index for score in suspicious_slices(answer)], about_slices(answer)) == (indices, words)
