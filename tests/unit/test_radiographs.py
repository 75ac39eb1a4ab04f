"""What headers tell of a radiograph among others."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.radiographs import image_name, is_raw, same_exposure
from app.study import Header, Instance, Series

PRESENTATION, PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1.1"


def radiograph(sop_class: str = PRESENTATION, number: int | None = 1, **headers: Header) -> Series:
    instance = Instance(Path("1.dcm"), "1.2.3.1", sop_class, "1.2.840.10008.1.2.1", "0" * 16, instance_number=number)
    return Series("1.2.3", 0, "DX", (instance,), headers)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (
            {"ViewPosition": "PA", "BodyPartExamined": "CHEST"},
            {"ViewPosition": "pa", "BodyPartExamined": "CHEST"},
            True,
        ),
        ({"ViewCodeSequence": "lateral"}, {"ViewCodeSequence": "lateral"}, True),
        ({"ViewPosition": "PA"}, {"ViewPosition": "LL"}, False),
        ({"ViewPosition": "PA", "Laterality": "L"}, {"ViewPosition": "PA", "Laterality": "R"}, False),
        ({}, {}, False),
        ({"ViewPosition": "PA"}, {}, False),
        ({"IrradiationEventUID": "1.9"}, {"IrradiationEventUID": "1.9"}, True),
        (
            {"IrradiationEventUID": "1.9", "ViewPosition": "PA"},
            {"IrradiationEventUID": "1.8", "ViewPosition": "PA"},
            False,
        ),
        ({"IrradiationEventUID": ("1.9", "1.8")}, {"IrradiationEventUID": "1.9"}, True),
    ],
)
def test_the_same_exposure_must_be_stated(one: dict[str, Header], other: dict[str, Header], same: bool) -> None:
    assert same_exposure(radiograph(**one), radiograph(**other)) is same
    assert same_exposure(radiograph(**other), radiograph(**one)) is same


@pytest.mark.parametrize(
    ("series", "raw"),
    [
        (radiograph(PROCESSING), True),
        (radiograph(PRESENTATION, PresentationIntentType="FOR PROCESSING"), True),
        (radiograph(PRESENTATION, PresentationIntentType="FOR PRESENTATION"), False),
        (radiograph("1.2.840.10008.5.1.4.1.1.1"), False),
    ],
)
def test_raw_values(series: Series, raw: bool) -> None:
    assert is_raw(series) is raw


@pytest.mark.parametrize(
    ("series", "name"),
    [
        (radiograph(SeriesNumber=2, ViewPosition="PA"), "image 1 of series 2 (PA)"),
        (radiograph(number=None), "an image without a number"),
        (radiograph(number=7, ViewPosition="", ViewCodeSequence="lateral"), "image 7 (lateral)"),
    ],
)
def test_a_name_for_people(series: Series, name: str) -> None:
    assert image_name(series, series.instances[0]) == image_name(series) == name


values = st.one_of(
    st.text(max_size=60), st.integers(), st.floats(), st.lists(st.text(max_size=5), max_size=3).map(tuple)
)


@given(st.dictionaries(st.sampled_from(["ViewPosition", "SeriesNumber", "IrradiationEventUID", "Laterality"]), values))
def test_odd_headers_break_nothing(headers: dict[str, Header]) -> None:
    series = radiograph(**headers)
    assert image_name(series, series.instances[0]).isprintable()
    assert same_exposure(series, series) in {True, False}
    assert is_raw(series) is False
