from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.findings import Finding, Presence, Region, RegionKind, SliceScore
from app.report.words import (
    ATTENTION,
    about_regions,
    about_slices,
    disclaimer,
    early,
    fitted,
    percent,
    plain,
    suspicious_slices,
)
from tests.unit.report.factory import PHANTOM
from tests.unit.report.radiographs import chest_report


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


@pytest.mark.parametrize(
    ("presence", "certainties", "words"),
    [
        (
            Presence.PRESENT,
            (0.1, 0.75),
            (
                "Referenced images (certainty at or above the threshold of 50.00 %): 2; "
                "most suspicious: image 2 of 2 with 75.00 %."
            ),
        ),
        (
            Presence.ABSENT,
            (0.25,),
            "The one image was searched; it is not referenced. Most suspicious: image 1 of 1 with 25.00 %.",
        ),
        (
            Presence.ABSENT,
            (0.25, 0.125),
            "All 2 images were searched; none is referenced. Most suspicious: image 1 of 2 with 25.00 %.",
        ),
        (Presence.PRESENT, (), "No certainty for single images; the study as a whole was assessed."),
    ],
)
def test_speaks_of_images_where_each_was_read_by_itself(
    presence: Presence, certainties: tuple[float, ...], words: str
) -> None:
    assert about_slices(finding(presence, *certainties), by_image=True) == words


def test_counts_regions_and_says_what_they_are() -> None:
    box = Region("1.0", (0.0, 0.0, 1.0, 1.0), RegionKind.DETECTION, 0.5)
    seen, looked = (replace(box, kind=kind) for kind in (RegionKind.DETECTION, RegionKind.ATTENTION))
    present, absent = finding(Presence.PRESENT, 0.75), finding(Presence.ABSENT, 0.25)
    assert [
        about_regions(replace(one, regions=regions))
        for one, regions in ((present, ()), (present, (seen,)), (present, (seen, seen)), (absent, (seen,)))
    ] == [
        "",
        "1 detected region in the group after this one.",
        "2 detected regions in groups of their own after this one.",
        "",
    ]
    assert about_regions(replace(present, regions=(looked,))) == (
        f"1 attention region in the group after this one. {ATTENTION}"
    )


def test_says_what_is_to_be_read_early_and_why() -> None:
    air = Finding("pneumothorax", Presence.PRESENT, 0.9, 0.5, urgent=True)
    cases = [
        chest_report(),
        chest_report(findings=(replace(air, presence=Presence.ABSENT),)),
        chest_report(findings=(replace(air, urgent=False),)),
    ]
    assert [early(report) for report in cases] == [
        "Flagged for early reading because of: Pneumothorax; RESEARCH USE ONLY",
        "",
        "",
    ]
