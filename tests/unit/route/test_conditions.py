"""Every operator of the rule language, with the words it gives for and against."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Rejected
from app.route.conditions import All, Condition, Verdict, judge, looks_at_pictures, missed, negate
from app.route.parse import parse
from app.study import Contrast, Header, Series, View
from bundles.common.contrast import CONTRASTS
from bundles.common.views import UNCLEAR, VIEWS
from tests.unit.route.conftest import make_series

HOLDS = [
    ({"Modality": "ct"}, "Modality is CT"),
    ({"BodyPartExamined": " Head "}, "BodyPartExamined is HEAD"),
    ({"Rows": 512}, "Rows is 512"),
    ({"SliceThickness": 5}, "SliceThickness is 5.0"),
    ({"ImageType": "PRIMARY"}, "ImageType is ORIGINAL\\PRIMARY\\AXIAL"),
    ({"SeriesDescription": {"regex": "^head"}}, "SeriesDescription is HEAD 5mm"),
    ({"KVP": {"min": 80, "max": 140}}, "KVP is 120"),
    ({"KVP": {"max": 140}}, "KVP is 120"),
    ({"ContrastBolusAgent": {"present": False}}, "ContrastBolusAgent is absent (wanted no value)"),
    ({"Modality": {"present": True}}, "Modality is CT (wanted any value)"),
    ({"Modality": {"in": ["MR", "CT"]}}, "Modality is CT"),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "SOPClassUID is 1.2.840.10008.5.1.4.1.1.2"),
    ({"orientation": "axial"}, "orientation is axial"),
    ({"orientation": ["coronal", "axial"]}, "orientation is axial"),
    ({"slices": {"min": 8, "max": 400}}, "36 slices (wanted 8 to 400)"),
    ({"slices": {"min": 8}}, "36 slices (wanted at least 8)"),
    ({"not": {"Modality": "MR"}}, "Modality is CT (wanted anything but MR)"),
    ({"any": [{"Modality": "MR"}, {"Modality": "CT"}]}, "Modality is CT"),
    ({"PatientAge": {"min": 18}}, "PatientAge is present (wanted at least 18)"),
]
FAILS = [
    ({"Modality": "MR"}, "Modality is CT, wanted MR"),
    ({"ContrastBolusAgent": "x"}, "ContrastBolusAgent is absent, wanted x"),
    ({"Rows": 256}, "Rows is 512, wanted 256"),
    ({"SeriesDescription": {"regex": "^neck"}}, "SeriesDescription is HEAD 5mm, wanted a match of /^neck/"),
    ({"KVP": {"min": 130}}, "KVP is 120, wanted at least 130"),
    ({"SeriesDescription": {"min": 1, "max": 1}}, "SeriesDescription is HEAD 5mm, wanted exactly 1"),
    ({"Modality": {"present": False}}, "Modality is CT, wanted no value"),
    ({"EchoTime": {"present": True}}, "EchoTime is absent, wanted any value"),
    ({"Modality": {"in": ["MR", "CR"]}}, "Modality is CT, wanted MR or CR"),
    ({"orientation": "sagittal"}, "orientation is axial, wanted sagittal"),
    ({"slices": {"max": 8}}, "36 slices, wanted at most 8"),
    ({"not": {"Modality": "CT"}}, "Modality is CT, wanted anything but CT"),
    ({"PatientAge": {"max": 17}}, "PatientAge is present, wanted at most 17"),
    (
        {"any": [{"Modality": "MR"}, {"all": [{"Rows": 256}, {"KVP": 80}]}]},
        "none of 2 alternatives: (1) Modality is CT, wanted MR; (2) Rows is 512, wanted 256, KVP is 120, wanted 80",
    ),
]


@pytest.fixture
def head() -> Series:
    return make_series(
        BodyPartExamined="HEAD",
        Rows=512,
        SliceThickness=5.0,
        ImageType=("ORIGINAL", "PRIMARY", "AXIAL"),
        SeriesDescription="HEAD 5mm",
        KVP="120",
        PatientAge="064Y",
        ContrastBolusAgent="",
    )


@pytest.mark.parametrize(("raw", "words"), HOLDS)
def test_says_what_matched(raw: dict[str, object], words: str, head: Series) -> None:
    assert judge(parse(raw, "here"), head) == Verdict(holds=True, words=(words,))


@pytest.mark.parametrize(("raw", "words"), FAILS)
def test_says_why_not(raw: dict[str, object], words: str, head: Series) -> None:
    assert judge(parse(raw, "here"), head) == Verdict(holds=False, words=(words,))


def test_gives_every_reason_of_several(head: Series) -> None:
    condition = parse({"Modality": "MR", "orientation": "axial", "slices": {"min": 50}}, "here")
    assert judge(condition, head).words == ("Modality is CT, wanted MR", "36 slices, wanted at least 50")


def test_counts_the_frames_of_multi_frame_objects() -> None:
    enhanced = make_series(slices=1, frames=120)
    assert judge(parse({"slices": {"min": 100}}, "here"), enhanced).holds


def test_names_an_image_without_orientation() -> None:
    radiograph = make_series("CR", slices=1, plane=None)
    verdict = judge(parse({"orientation": "axial"}, "here"), radiograph)
    assert verdict == Verdict(holds=False, words=("no orientation in space is given, wanted axial",))


def test_cuts_long_values_and_hides_control_characters() -> None:
    series = make_series(SeriesDescription="a\x1b[31m" + "b" * 100)
    (words,) = judge(parse({"SeriesDescription": "x"}, "here"), series).words
    assert words == "SeriesDescription is a�[31m" + "b" * 58 + "…, wanted x"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"Modalty": "CT"}, "here: unknown keyword or operator 'Modalty', did you mean 'Modality'?"),
        ({"modality": "CT"}, "here: unknown keyword or operator 'modality', did you mean 'Modality'?"),
        ({"orientaton": "axial"}, "here: unknown keyword or operator 'orientaton', did you mean 'orientation'?"),
        ({"Modality": {"regexp": "CT"}}, "here.Modality: unknown test 'regexp', did you mean 'regex'?"),
        ({"orientation": "axal"}, "here.orientation: unknown plane 'axal', did you mean 'axial'?"),
        ({"slices": {"mim": 1}}, "here.slices: unknown key 'mim', did you mean 'min'?"),
        ({"Modality": {"regex": "("}}, "here.Modality.regex: not a regular expression"),
        ({"KVP": {"min": 3, "max": 2}}, "here.KVP: nothing is at least 3 and at most 2"),
        ({"slices": {"min": 0}}, "here.slices: a number of slices is a whole number from 1, got 0"),
        ({"slices": {"min": 1.5}}, "whole number"),
        ({"KVP": {"min": float("nan")}}, "expected a finite number"),
        ({"KVP": {"min": True}}, "expected a number, got True"),
        ({"Modality": ["CT", "MR"]}, "write {in: ['CT', 'MR']}"),
        ({"Modality": {"in": []}}, "expected a list of values"),
        ({"Modality": {"present": "yes"}}, "expected true or false"),
        ({"Modality": {"regex": "a", "present": True}}, "expected one test"),
        ({"Modality": False}, "put text like NO or a date in quotes"),
        ({"Modality": ""}, "write {present: false}"),
        ({"PixelData": 1}, "holds bytes"),
        ({"any": []}, "expected a list of conditions"),
        ({"any": [{"all": [{"Modalit": "x"}]}]}, "here.any[0].all[0]: unknown keyword or operator 'Modalit'"),
        ({}, "expected a condition"),
        ({"all": ["CT"]}, "expected a condition"),
    ],
)
def test_refuses_what_can_never_work(raw: dict[str, object], message: str) -> None:
    with pytest.raises(Rejected) as refusal:
        parse(raw, "here")
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    "keyword",
    [
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "AccessionNumber",
        "StudyInstanceUID",
        "StudyDate",
        "OperatorsName",
    ],
)
def test_refuses_keywords_that_identify_patients(keyword: str) -> None:
    with pytest.raises(Rejected, match=f"'{keyword}' can identify a patient"):
        parse({keyword: {"present": True}}, "here")


def test_refuses_endless_nesting() -> None:
    raw: dict[str, object] = {"Modality": "CT"}
    for _ in range(30):
        raw = {"not": raw}
    with pytest.raises(Rejected, match="more than 20 operators"):
        parse(raw, "here")


leaves = st.sampled_from([raw for raw, _ in HOLDS + FAILS])
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"not": inner}),
        st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)}),
    ),
    max_leaves=8,
)
scalars = st.one_of(st.text(max_size=40), st.integers(), st.floats())
headers = st.dictionaries(
    st.sampled_from(["Modality", "Rows", "KVP", "SeriesDescription", "PatientAge", "ImageType", "ContrastBolusAgent"]),
    st.one_of(scalars, st.lists(scalars, max_size=3).map(tuple)),
)
conditions = trees.map(lambda raw: parse(raw, "here"))


@given(conditions, headers)
def test_never_raises_and_always_explains(condition: Condition, values: dict[str, Header]) -> None:
    verdict = judge(condition, make_series(slices=2, **{"Modality": "CT", **values}))
    assert verdict.words
    assert all(word.strip() for word in verdict.words)


@given(conditions, headers)
def test_negation_turns_the_verdict_and_twice_is_itself(condition: Condition, values: dict[str, Header]) -> None:
    series = make_series(slices=2, **{"Modality": "CT", **values})
    assert judge(negate(condition), series).holds != judge(condition, series).holds
    assert negate(negate(condition)) == condition


@given(conditions, headers)
def test_a_condition_is_missed_by_nothing_exactly_where_it_holds(
    condition: Condition, values: dict[str, Header]
) -> None:
    series = make_series(slices=2, **{"Modality": "CT", **values})
    assert (missed(condition, series) == 0) == judge(condition, series).holds


@given(conditions, conditions, headers)
def test_all_holds_exactly_where_both_hold(left: Condition, right: Condition, values: dict[str, Header]) -> None:
    series = make_series(slices=2, **{"Modality": "CT", **values})
    both = judge(left, series).holds and judge(right, series).holds
    assert judge(All((left, right)), series).holds == both


def _picture(view: View | None) -> Series:
    return replace(make_series("CR", 1, None), view=view)


WRIST = View("wrist", 0.987)
SEEN = [
    ("wrist", WRIST, True, "the picture looks like a wrist (98 %)"),
    (["frontal_chest", "wrist"], WRIST, True, "the picture looks like a wrist (98 %)"),
    ("frontal_chest", WRIST, False, "the picture looks like a wrist (98 %), wanted a frontal chest"),
    (
        "frontal_chest",
        View("other", 0.95),
        False,
        "the picture looks like something other than a chest or a wrist (95 %), wanted a frontal chest",
    ),
    ("wrist", View(UNCLEAR, 0.6), False, "it is unclear what the picture shows (at most 60 % certain), wanted a wrist"),
    ("unclear", View(UNCLEAR, 0.6), True, "it is unclear what the picture shows (at most 60 % certain)"),
    ("wrist", None, False, "the picture was not looked at, wanted a wrist"),
]


@pytest.mark.parametrize(("views", "seen", "holds", "words"), SEEN)
def test_view_looks_at_what_the_picture_shows(views: object, seen: View | None, holds: bool, words: str) -> None:
    assert judge(parse({"view": views}, "rule"), _picture(seen)) == Verdict(holds, (words,))


def test_a_view_that_is_not_wanted_holds_where_nobody_looked() -> None:
    condition = parse({"not": {"view": "lateral_chest"}}, "rule")
    words = "the picture was not looked at (wanted anything but a lateral chest)"
    assert judge(condition, _picture(None)) == Verdict(holds=True, words=(words,))
    assert not judge(condition, _picture(View("lateral_chest", 0.99))).holds


@given(st.lists(st.sampled_from([*VIEWS, UNCLEAR]), min_size=1, unique=True), st.sampled_from([*VIEWS, UNCLEAR]))
def test_view_holds_for_exactly_the_named_views(views: list[str], seen: str) -> None:
    series = _picture(View(seen, 0.5))
    condition = parse({"view": views if len(views) > 1 else views[0]}, "rule")
    assert judge(condition, series).holds == (seen in views)
    assert judge(negate(condition), series).holds == (seen not in views)
    assert looks_at_pictures(All((parse({"Modality": "CR"}, "rule"), condition)))
    assert negate(negate(condition)) == condition


@given(st.one_of(st.text(), st.integers(), st.booleans(), st.none(), st.lists(st.text(), max_size=3), st.just({})))
def test_any_other_view_is_refused_with_its_place(views: object) -> None:
    known = {*VIEWS, UNCLEAR}
    listed = views if isinstance(views, list) else [views]
    if listed and all(isinstance(each, str) and each in known for each in listed):
        return
    with pytest.raises(Rejected, match=r"^rule\.view: (unknown view|an empty list)"):
        parse({"view": views}, "rule")


def test_conditions_on_headers_do_not_look_at_pictures() -> None:
    assert not looks_at_pictures(parse({"any": [{"Modality": "CR"}, {"orientation": "axial"}]}, "rule"))


def _head(seen: Contrast | None, **headers: Header) -> Series:
    return replace(make_series("MR", 120, **headers), contrast=seen)


LOOKED_AT = [
    ("enhanced", Contrast("enhanced", 0.25), True, "the picture shows vessels bright with contrast agent (0.25)"),
    (
        ["enhanced", "unclear"],
        Contrast("plain", 0.004),
        False,
        (
            "the picture shows no contrast agent in vessels (0.00), "
            "wanted vessels bright with contrast agent or no clear answer about contrast agent"
        ),
    ),
    (
        "no_brain",
        Contrast("no_brain", 0.0),
        True,
        "the picture shows no brain",
    ),
    (
        "plain",
        None,
        False,
        "the picture was not looked at for contrast agent, wanted no contrast agent in vessels",
    ),
]


@pytest.mark.parametrize(("contrasts", "seen", "holds", "words"), LOOKED_AT)
def test_contrast_looks_at_the_vessels(contrasts: object, seen: Contrast | None, holds: bool, words: str) -> None:
    assert judge(parse({"contrast": contrasts}, "rule"), _head(seen)) == Verdict(holds, (words,))


@given(st.lists(st.sampled_from(CONTRASTS), min_size=1, unique=True), st.sampled_from([None, *CONTRASTS]))
def test_contrast_holds_for_exactly_the_named_answers(contrasts: list[str], seen: str | None) -> None:
    series = _head(None if seen is None else Contrast(seen, 0.5))
    condition = parse({"contrast": contrasts}, "rule")
    assert judge(condition, series).holds == (seen in contrasts)
    assert judge(negate(condition), series).holds == (seen not in contrasts)
    assert negate(negate(condition)) == condition


def test_an_unknown_contrast_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(Rejected, match=r"^rule\.contrast: unknown contrast 'enhance', did you mean 'enhanced'\?"):
        parse({"contrast": "enhance"}, "rule")


AGENT = {
    "evidence": {
        "contrast agent": {
            "any": [
                {"ContrastBolusAgent": {"present": True}},
                {"SeriesDescription": {"regex": "gd"}},
                {"not": {"contrast": "plain"}},
            ]
        }
    }
}
TOLD = [
    ({"ContrastBolusAgent": "Gadovist", "SeriesDescription": "T1 Gd"}, None, "contrast agent: ContrastBolusAgent"),
    ({"SeriesDescription": "T1 Gd"}, Contrast("plain", 0.0), "contrast agent: SeriesDescription"),
    ({"SeriesDescription": "T1"}, Contrast("enhanced", 0.25), "contrast agent: picture (0.25)"),
    ({"SeriesDescription": "T1"}, None, "contrast agent: picture (not looked at)"),
]


@pytest.mark.parametrize(("headers", "seen", "told"), TOLD)
def test_evidence_is_told_by_name_without_its_value(headers: dict[str, str], seen: Contrast | None, told: str) -> None:
    verdict = judge(parse({"all": [{"Modality": "MR"}, AGENT]}, "rule"), _head(seen, **headers))
    assert (verdict.holds, verdict.told) == (True, (told,))


def test_evidence_that_fails_tells_why_and_names_nothing() -> None:
    verdict = judge(parse(AGENT, "rule"), _head(Contrast("plain", 0.01), SeriesDescription="T1"))
    assert (verdict.holds, verdict.told) == (False, ())
    assert "SeriesDescription is T1" in verdict.words[0]
    condition = parse(AGENT, "rule")
    assert negate(negate(condition)) == condition
    assert judge(negate(condition), _head(Contrast("plain", 0.01))).holds


@pytest.mark.parametrize("raw", ["head", {}, [{"Modality": "CT"}]])
def test_evidence_without_a_name_is_refused(raw: object) -> None:
    with pytest.raises(Rejected, match=r"^rule\.evidence: expected a name and its condition"):
        parse({"evidence": raw}, "rule")
