"""What a viewer is told of a series: directions, windows, certainties, the slice to open."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.findings import Finding, Presence, SliceScore
from app.outcomes import StudyOutcome
from app.slices import slice_places
from app.web.study.overlays import Overlays
from app.web.study.series import edges_of, letters, name_of, view_of, window_of
from bundles.common.reader import read_slice, read_stack
from tests.unit.report.factory import make_report, make_study
from tests.unit.report.volumes import enhanced_study

NOTHING = Overlays((), ())


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        ((1.0, 0.0, 0.0), "L"),
        ((-1.0, 0.0, 0.0), "R"),
        ((0.0, 1.0, 0.0), "P"),
        ((0.0, -1.0, 0.0), "A"),
        ((0.0, 0.0, 1.0), "H"),
        ((0.0, 0.0, -1.0), "F"),
        ((0.6, -0.8, 0.0), "AL"),
        ((0.0, 0.99, 0.14), "P"),
    ],
)
def test_directions_have_the_letters_of_the_standard(direction: tuple[float, float, float], expected: str) -> None:
    assert letters(direction) == expected


@given(st.tuples(*[st.floats(-1, 1) for _ in range(3)]).filter(lambda each: np.linalg.norm(each) > 0.1))
def test_opposite_edges_have_opposite_letters(direction: tuple[float, float, float]) -> None:
    length = float(np.linalg.norm(direction))
    unit = (direction[0] / length, direction[1] / length, direction[2] / length)
    turned = {"L": "R", "R": "L", "A": "P", "P": "A", "H": "F", "F": "H"}
    away = letters((-unit[0], -unit[1], -unit[2]))
    assert "".join(turned[letter] for letter in letters(unit)) == away
    assert letters(unit)


@pytest.mark.parametrize("said", [None, "L", ("L",), ("L", ""), ("L", "<b>"), ("L", "F", "A"), (1, 2)])
def test_directions_that_nobody_knows_are_not_guessed(said: object, tmp_path: Path) -> None:
    series = make_study(tmp_path).series[0]
    headers = {} if said is None else {"PatientOrientation": said}
    assert edges_of(replace(series, geometry=None, headers=headers)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("centre", "width", "expected"),
    [
        (40.0, 80.0, (40.0, 80.0)),
        ((40.0, 600.0), (80.0, 2800.0), (40.0, 80.0)),
        (40.0, 0.0, None),
        (40.0, None, None),
        (float("nan"), 80.0, None),
        ("wide", 80.0, None),
    ],
)
def test_a_window_is_the_first_that_means_something(
    centre: object, width: object, expected: object, tmp_path: Path
) -> None:
    series = make_study(tmp_path).series[0]
    headers = {"WindowCenter": centre, "WindowWidth": width}
    given_ones = {name: value for name, value in headers.items() if value is not None}
    assert window_of(replace(series, headers=given_ones)) == expected  # type: ignore[arg-type]


def test_the_most_certain_slice_of_what_is_present_is_opened(tmp_path: Path) -> None:
    series = make_study(tmp_path, slices=4).series[0]
    uids = [each.sop_instance_uid for each in series.instances]

    def finding(kind: str, presence: Presence, certainties: list[float]) -> Finding:
        scores = tuple(
            SliceScore(uid, at, value) for at, (uid, value) in enumerate(zip(uids, certainties, strict=True))
        )
        return Finding(kind, presence, max(certainties), 0.5, slices=scores)

    absent = finding("pneumothorax", Presence.ABSENT, [0.4, 0.1, 0.1, 0.1])
    present = finding("lung_lesion", Presence.PRESENT, [0.1, 0.2, 0.3, 0.9])
    for findings, start in (((absent, present), 3), ((absent,), 0), ((), 2)):
        outcome = StudyOutcome("key", 0.0, reports=(make_report(findings=findings),))
        found = view_of(0, outcome, series, slice_places(series), NOTHING)
        assert found.start == start
        assert [each.top for each in found.scores] == [{"pneumothorax": 0, "lung_lesion": 3}[f.kind] for f in findings]


def test_scores_of_slices_that_are_not_there_are_left_out(tmp_path: Path) -> None:
    series = make_study(tmp_path, slices=2).series[0]
    scores = (SliceScore("1.2.3", 0, 0.9), SliceScore(series.instances[1].sop_instance_uid, 77, 0.25))
    outcome = StudyOutcome(
        "key",
        0.0,
        reports=(make_report(findings=(Finding("pneumothorax", Presence.ABSENT, 0.9, 0.95, slices=scores),)),),
    )
    (found,) = view_of(0, outcome, series, slice_places(series), NOTHING).scores
    assert (found.values, found.top) == ([None, 0.25], 1)


def test_frames_of_one_file_are_shown_in_the_order_of_the_stack(tmp_path: Path) -> None:
    """The frames lie at 10, 0, 5 and 15 mm in the file, each of one grey."""
    series = enhanced_study(tmp_path / "in").series[0]
    places = slice_places(series)
    assert [place.frame for place in places] == [2, 3, 1, 4]
    stack = read_stack([place.path for place in places[:1]])
    for index, place in enumerate(places):
        assert read_slice(place.path, place.index).array.tolist() == stack.array[index].tolist()


def test_a_series_is_named_without_a_number_or_a_description_too(tmp_path: Path) -> None:
    series = make_study(tmp_path).series[0]
    assert name_of(replace(series, headers={"SeriesNumber": 3, "SeriesDescription": " T1 "})) == "Series 3, T1"
    assert name_of(replace(series, stack=1, headers={})) == "Series without a number, stack 2"
