"""What several images say together."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from app.assignment import Assignment, Unfit
from app.findings import Finding, Presence, Region, RegionKind, SliceScore
from app.infer.images import images_of, shared, size_of, together
from app.study import Instance, Series

THRESHOLD = 0.4


def image(uid: str, number: int = 1, **headers: object) -> Series:
    instance = Instance(Path(f"{uid}.dcm"), f"{uid}.1", "1.2", "1.2", "0" * 16, instance_number=number)
    return Series(uid, 0, "CR", (instance,), {"Rows": 10, "Columns": 20, **headers})


def said(uid: str, certainty: float) -> Finding:
    present = certainty >= THRESHOLD
    regions = (Region(uid, (0, 0, 1, 1), RegionKind.DETECTION, certainty),) if present else ()
    presence = Presence.PRESENT if present else Presence.ABSENT
    return Finding(
        "lung_lesion", presence, certainty, THRESHOLD, slices=(SliceScore(uid, 0, certainty),), regions=regions
    )


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_present_where_any_image_shows_it_with_the_largest_certainty(certainties: list[float]) -> None:
    (finding,) = together([[said(str(place), certainty)] for place, certainty in enumerate(certainties)])
    assert finding.certainty == max(certainties)
    assert (finding.presence is Presence.PRESENT) == any(each >= THRESHOLD for each in certainties)
    assert [score.certainty for score in finding.slices] == certainties
    assert len(finding.regions) == sum(each >= THRESHOLD for each in certainties)
    shown = [region.certainty or 0.0 for region in finding.regions]
    assert shown == sorted(shown, reverse=True)


def test_boxes_of_attention_follow_those_with_a_certainty() -> None:
    hint = Region("1", (0, 0, 1, 1), RegionKind.ATTENTION)
    seen = Region("2", (0, 0, 1, 1), RegionKind.DETECTION, 0.5)
    one = Finding("lung_lesion", Presence.PRESENT, 0.9, THRESHOLD, regions=(hint,))
    (finding,) = together([[one], [said("2", 0.5)]])
    assert finding.regions == (seen, hint)


def test_each_kind_by_itself() -> None:
    first = [said("1", 0.9), Finding("pneumothorax", Presence.ABSENT, 0.1, 0.5, urgent=True)]
    second = [said("2", 0.1), Finding("pneumothorax", Presence.PRESENT, 0.7, 0.5, urgent=True)]
    lesion, air = together([first, second])
    assert (lesion.kind, lesion.certainty, air.kind, air.certainty, air.urgent) == (
        "lung_lesion",
        0.9,
        "pneumothorax",
        0.7,
        True,
    )


def test_images_in_the_order_of_the_assignment_with_what_is_wrong_with_them() -> None:
    assignment = Assignment("b", "r", "1.1", 0, 1, more=(("1.2", 0),), unfit=(Unfit("1.2", 0, "cut off"),))
    first, second = images_of([image("1.1", SeriesNumber=3), image("1.2", 2)], assignment)
    assert [(each.index, each.name, each.problem) for each in (first, second)] == [
        (0, "image 1 of series 3", ""),
        (1, "image 2", "cut off"),
    ]
    assert (first.rows, first.columns) == (10, 20)


def test_a_size_that_no_header_tells_is_none() -> None:
    assert size_of(image("1", Rows="", Columns=("1", "2"))) == (0, 0)


def test_what_holds_for_all_images_is_said_once() -> None:
    assert shared([("a", ["dark", "odd"]), ("b", ["odd", "odd"])]) == ("odd", "a: dark")
    assert shared([("a", ["dark", "odd"])]) == ("dark", "odd")
    assert shared([("a", []), ("b", ["odd"])]) == ("b: odd",)
    assert shared([]) == ()
