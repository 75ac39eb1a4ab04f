"""Decisions about whole studies: files, priorities, several bundles, several series, idle times."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.assignment import Assignment, Decision, Declined
from app.errors import Rejected
from app.route import Problems, Router
from app.study import Header, Series, uid_hash
from bundles.common.contract import GeometryLimits
from tests.unit.route.conftest import make_series, make_service, make_study

HEAD = {"Modality": "CT", "slices": {"min": 8, "max": 400}}
RuleFile = Callable[[str], Path]


def test_assigns_with_evidence_and_limits() -> None:
    router = Router.load({"head": make_service(HEAD, priority=3, geometry=GeometryLimits(max_tilt_deg=30))}, ())
    decision = router.decide(make_study(make_series()))
    evidence = ("Modality is CT", "36 slices (wanted 8 to 400)")
    limits = GeometryLimits(max_tilt_deg=30)
    assert decision == Decision((Assignment("head", "head/accepts", "1.2.3", 0, 3, evidence, limits),), ())


def test_tells_every_reason_of_every_rule_for_every_series() -> None:
    router = Router.load({"head": make_service(HEAD), "chest": make_service({"Modality": "CR"})}, ())
    decision = router.decide(make_study(make_series("MR", slices=2, uid="1"), make_series("PT", uid="2")))
    assert decision.assignments == ()
    assert decision.declined == (
        Declined("chest/accepts", "chest", "1", 0, ("Modality is MR, wanted CR",)),
        Declined("chest/accepts", "chest", "2", 0, ("Modality is PT, wanted CR",)),
        Declined("head/accepts", "head", "1", 0, ("Modality is MR, wanted CT", "2 slices, wanted 8 to 400")),
        Declined("head/accepts", "head", "2", 0, ("Modality is PT, wanted CT",)),
    )


def test_a_bundle_that_is_switched_off_declines_what_it_would_have_read_and_says_so_first() -> None:
    router = Router.load({"a": make_service({"Modality": "MR"}), "head": make_service(HEAD)}, ())
    decision = router.decide(make_study(make_series()), {"head": "the bundle 'head' is switched off: new scanner"})
    assert decision.assignments == ()
    assert [(each.rule, each.reasons) for each in decision.declined] == [
        ("head/accepts", ("the bundle 'head' is switched off: new scanner",)),
        ("a/accepts", ("Modality is CT, wanted MR",)),
    ]


def test_a_bundle_that_is_switched_off_still_tells_why_it_would_not_have_read_a_study() -> None:
    router = Router.load({"head": make_service(HEAD)}, ())
    (declined,) = router.decide(make_study(make_series("PT")), {"head": "switched off"}).declined
    assert declined.reasons == ("Modality is PT, wanted CT",)


def test_switching_one_bundle_off_leaves_the_others_what_they_had() -> None:
    router = Router.load({"a": make_service(HEAD), "b": make_service(HEAD)}, ())
    study = make_study(make_series())
    both, one = router.decide(study), router.decide(study, {"a": "off"})
    assert one.assignments == tuple(each for each in both.assignments if each.bundle == "b")


def test_says_so_of_a_study_without_images() -> None:
    decision = Router.load({"head": make_service()}, ()).decide(make_study())
    assert decision.declined == (Declined("head/accepts", "head", "", 0, ("the study holds no images",)),)


def test_gives_one_study_to_several_bundles_the_most_urgent_first() -> None:
    router = Router.load({"a": make_service(priority=9), "b": make_service(priority=2)}, ())
    decision = router.decide(make_study(make_series()))
    assert [(each.bundle, each.priority) for each in decision.assignments] == [("b", 2), ("a", 9)]


def test_a_file_adds_rules_to_a_bundle(rule_file: RuleFile) -> None:
    path = rule_file("rules: [{name: urgent, bundle: head, priority: 1, when: {SeriesDescription: {regex: stroke}}}]")
    router = Router.load({"head": make_service(HEAD)}, (path,))
    (urgent,) = router.decide(make_study(make_series(SeriesDescription="Stroke CT"))).assignments
    (normal,) = router.decide(make_study(make_series())).assignments
    assert (urgent.rule, urgent.priority) == ("urgent", 1)
    assert (normal.rule, normal.priority) == ("head/accepts", 10)


def test_a_series_goes_to_a_bundle_once(rule_file: RuleFile) -> None:
    path = rule_file("rules: [{name: urgent, bundle: head, priority: 1, when: {Modality: CT}}]")
    decision = Router.load({"head": make_service(HEAD)}, (path,)).decide(make_study(make_series()))
    assert [each.rule for each in decision.assignments] == ["urgent"]
    (declined,) = decision.declined
    assert declined.reasons == ("rule 'urgent' gives this series to the same bundle already",)


def test_a_file_replaces_the_rule_of_a_bundle(rule_file: RuleFile) -> None:
    path = rule_file("rules: [{name: only thin, bundle: head, replace: true, when: {SliceThickness: {max: 1}}}]")
    router = Router.load({"head": make_service(HEAD)}, (path,))
    assert [rule.name for rule in router.rules] == ["only thin"]
    assert router.decide(make_study(make_series(SliceThickness=5.0))).assignments == ()


def test_a_disabled_rule_is_checked_and_does_nothing(rule_file: RuleFile) -> None:
    text = "rules: [{name: asleep, bundle: head, enabled: false, replace: true, when: {%s: CT}}]"
    router = Router.load({"head": make_service(HEAD)}, (rule_file(text % "Modality"),))
    assert [rule.name for rule in router.rules] == ["head/accepts"]
    with pytest.raises(Rejected, match="did you mean 'Modality'"):
        Router.load({"head": make_service(HEAD)}, (rule_file(text % "Modalitty"),))


def test_reads_a_folder_of_rule_files(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"{name}.yaml").write_text(f"rules: [{{name: {name}, bundle: head, when: {{Modality: CT}}}}]")
    router = Router.load({"head": make_service(HEAD)}, (tmp_path,))
    assert [rule.name for rule in router.rules] == ["a", "b", "head/accepts"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "rules: [{name: x, bundle: heat, when: {Modality: CT}}]",
            "unknown bundle 'heat', did you mean 'head'?",
        ),
        ("rules: [{name: x, bundle: head, wen: {Modality: CT}}]", "unknown key 'wen', did you mean 'when'?"),
        ("rules: [{bundle: head, when: {Modality: CT}}]", "rules[0]: name: Field required"),
        ("rules: [{name: x, bundle: head, when: {any: []}}]", "rule 'x': when.any: expected a list of conditions"),
        ("rules: [{name: x, bundle: head, when: {Modality: CT}, series: first}]", "rule 'x': series"),
        ("rule: []", "unknown key 'rule', did you mean 'rules'?"),
        ("rules: [{name: head/accepts, bundle: head, when: {Modality: CT}}]", "two rules are called 'head/accepts'"),
        ("- a", "expected a mapping, got list"),
        ("rules: {", "not valid YAML"),
    ],
)
def test_refuses_a_wrong_rule_file(rule_file: RuleFile, text: str, message: str) -> None:
    with pytest.raises(Rejected) as refusal:
        Router.load({"head": make_service(HEAD)}, (rule_file(text),))
    assert message in str(refusal.value)


def test_tells_everything_that_is_wrong_at_once(tmp_path: Path) -> None:
    """Two files, a missing one, an empty folder; in one rule a bundle, two words and a wish; a bundle's own rule."""
    (tmp_path / "empty").mkdir()
    first, second, gone = (tmp_path / f"{name}.yaml" for name in ("first", "second", "gone"))
    first.write_text(
        "rules:\n"
        "- {name: a, bundle: heat, when: {any: [{Modalty: CT}, {slices: {min: 0}}], StudyID: 1},\n"
        "   prefer: [{Manufactrer: x}]}\n"
        "- {name: fine, bundle: head, when: {Modality: CT}}\n"
        "- {name: fine, bundle: head, when: {Modality: MR}}\n"
        "- {name: b, bundle: head, wen: {}, when: {Modality: CT}}\n"
    )
    second.write_text("rule: []")
    bundles = {"head": make_service(HEAD), "chest": make_service({"Modalit": "CR"})}
    with pytest.raises(Problems) as refusal:
        Router.load(bundles, (tmp_path / "empty", first, second, gone))
    told = refusal.value.problems
    assert [word for word, problem in zip(EVERYTHING, told, strict=True) if word not in problem] == []
    assert str(refusal.value).splitlines() == list(told)


EVERYTHING = (
    "no rule file",
    "unknown key 'rule'",
    "gone.yaml: No such file",
    "first.yaml: rule 'a': unknown bundle 'heat'",
    "first.yaml: rule 'a': when.any[0]: unknown keyword or operator 'Modalty'",
    "first.yaml: rule 'a': when.any[1].slices",
    "first.yaml: rule 'a': when: 'StudyID'",
    "first.yaml: rule 'a': prefer[0]: unknown keyword or operator 'Manufactrer'",
    "first.yaml: rule 'b': unknown key 'wen'",
    "bundle 'chest': configs/service.yaml: accepts",
    "two rules are called 'fine'",
)


def test_a_replaced_rule_of_a_bundle_is_not_judged(rule_file: RuleFile) -> None:
    path = rule_file("rules: [{name: mine, bundle: head, replace: true, when: {Modality: CT}}]")
    router = Router.load({"head": make_service({"Modalit": "CT"})}, (path,))
    assert [rule.name for rule in router.rules] == ["mine"]


def test_refuses_a_missing_file_and_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="No such file"):
        Router.load({}, (tmp_path / "missing.yaml",))
    with pytest.raises(Rejected, match="no rule file"):
        Router.load({}, (tmp_path,))


def test_names_the_bundle_whose_own_rule_is_wrong() -> None:
    with pytest.raises(Rejected, match=r"bundle 'head': configs/service.yaml: accepts: unknown keyword"):
        Router.load({"head": make_service({"Modalit": "CT"})}, ())


def test_chooses_the_series_with_most_slices_and_declines_the_others() -> None:
    router = Router.load({"head": make_service(HEAD)}, ())
    thick, thin = make_series(uid="1", slices=36), make_series(uid="2", slices=180)
    decision = router.decide(make_study(thick, thin))
    reason = f"another series of this study was chosen (series {uid_hash('2')[:12]}, 180 slices)"
    (assignment,) = decision.assignments
    note = (
        f"series {uid_hash('2')[:12]} (180 slices) was analysed; another series of this study matched as well "
        f"and was not: series {uid_hash('1')[:12]} (36 slices)"
    )
    assert (assignment.series_uid, assignment.notes) == (
        "2",
        (note,),
    )
    assert decision.declined == (Declined("head/accepts", "head", "1", 0, (reason,)),)


def test_prefers_what_fits_then_original_images_then_more_slices() -> None:
    router = Router.load({"head": make_service({"Modality": "CT"}, geometry=GeometryLimits(max_slices=100))}, ())
    too_many = make_series(uid="1", slices=120)
    derived = make_series(uid="2", slices=90, ImageType=("DERIVED", "SECONDARY"))
    original = make_series(uid="3", slices=30, ImageType=("ORIGINAL", "PRIMARY"))
    for series, chosen in [((too_many, derived, original), "3"), ((too_many, derived), "2"), ((too_many,), "1")]:
        assert [each.series_uid for each in router.decide(make_study(*series)).assignments] == [chosen]


def test_follows_the_preference_of_a_rule_file(rule_file: RuleFile) -> None:
    path = rule_file(
        "rules: [{name: x, bundle: head, replace: true, when: {Modality: CT}, "
        "prefer: [{not: {ConvolutionKernel: {regex: bone}}}]}]"
    )
    router = Router.load({"head": make_service(HEAD)}, (path,))
    bone = make_series(uid="1", slices=200, ConvolutionKernel="BONEPLUS")
    soft = make_series(uid="2", slices=36, ConvolutionKernel="STANDARD")
    assert [each.series_uid for each in router.decide(make_study(bone, soft)).assignments] == ["2"]


def test_gives_every_matching_series_where_the_rule_says_all(rule_file: RuleFile) -> None:
    path = rule_file("rules: [{name: x, bundle: head, replace: true, series: all, when: {Modality: CT}}]")
    decision = Router.load({"head": make_service(HEAD)}, (path,)).decide(
        make_study(make_series(uid="1"), make_series(uid="2"))
    )
    assert [each.series_uid for each in decision.assignments] == ["1", "2"]


def test_idle_time_is_the_largest_of_the_rules_that_match() -> None:
    services = {"a": make_service(idle_s=3.0), "b": make_service(idle_s=7.0), "mr": make_service({"Modality": "MR"})}
    router = Router.load(services, ())
    assert router.idle_s(make_study(make_series()), 10) == 7.0
    assert router.idle_s(make_study(make_series("CR")), 10) == 10
    assert router.idle_s(make_study(make_series("MR")), 10) == 10
    assert router.idle_s(make_study(make_series(uid="1"), make_series("MR", uid="2")), 10) == 10


values = st.one_of(
    st.text(max_size=20), st.integers(), st.floats(), st.lists(st.text(max_size=5), max_size=3).map(tuple)
)
studies = st.lists(
    st.builds(
        lambda uid, stack, slices, plane, headers: make_series("CT", slices, plane, uid=uid, stack=stack, **headers),
        st.sampled_from(["1", "2"]),
        st.integers(0, 1),
        st.integers(0, 20),
        st.sampled_from(["axial", "coronal", None]),
        st.dictionaries(st.sampled_from(["ImageType", "KVP", "SeriesDescription"]), values),
    ),
    max_size=4,
    unique_by=lambda series: (series.uid, series.stack),
)


def radiograph(number: int, stack: int = 0, **headers: Header) -> Series:
    return make_series("DX", 1, None, uid=f"9.{number}", stack=stack, SeriesNumber=number, **headers)


IMAGES = make_service({"Modality": "DX"}, reads="image", priority=4)


def test_a_bundle_that_reads_images_gets_all_of_a_study_in_one_assignment() -> None:
    pa, lateral = (radiograph(2, 0, ViewPosition="PA"), radiograph(2, 1, ViewPosition="LL"))
    decision = Router.load({"wrist": IMAGES}, ()).decide(make_study(lateral, pa, radiograph(1)))
    evidence = (
        "an image without a number of series 1: Modality is DX",
        "an image without a number of series 2 (PA): Modality is DX",
        "an image without a number of series 2 (LL): Modality is DX",
    )
    more = (("9.2", 0), ("9.2", 1))
    assert decision == Decision((Assignment("wrist", "wrist/accepts", "9.1", 0, 4, evidence, more=more),), ())


def test_one_image_has_the_plain_evidence() -> None:
    (assignment,) = Router.load({"wrist": IMAGES}, ()).decide(make_study(radiograph(1))).assignments
    assert (assignment.evidence, assignment.stacks) == (("Modality is DX",), (("9.1", 0),))


def test_images_of_several_rules_go_under_the_most_urgent(rule_file: RuleFile) -> None:
    path = rule_file("rules: [{name: urgent, bundle: wrist, priority: 1, when: {ViewPosition: LL}}]")
    decision = Router.load({"wrist": IMAGES}, (path,)).decide(
        make_study(radiograph(1, ViewPosition="PA"), radiograph(2, ViewPosition="LL"))
    )
    (assignment,) = decision.assignments
    assert (assignment.rule, assignment.priority, assignment.stacks) == ("urgent", 1, (("9.1", 0), ("9.2", 0)))
    assert assignment.evidence == (
        "an image without a number of series 1 (PA) (rule 'wrist/accepts'): Modality is DX",
        "an image without a number of series 2 (LL): ViewPosition is LL",
    )
    assert [(each.rule, each.series_uid) for each in decision.declined] == [
        ("urgent", "9.1"),
        ("wrist/accepts", "9.2"),
    ]


def test_a_raw_image_is_left_out_where_the_same_view_is_there_for_presentation() -> None:
    raw = radiograph(1, ViewPosition="PA", PresentationIntentType="FOR PROCESSING")
    shown = radiograph(2, ViewPosition="PA", PresentationIntentType="FOR PRESENTATION")
    decision = Router.load({"wrist": IMAGES}, ()).decide(make_study(raw, shown))
    (assignment,) = decision.assignments
    reason = "raw values (FOR PROCESSING) of an exposure that is there FOR PRESENTATION"
    assert assignment.stacks == (("9.2", 0),)
    assert assignment.notes == (f"an image without a number of series 1 (PA) was left out: {reason}",)
    assert decision.declined == (Declined("wrist/accepts", "wrist", "9.1", 0, (reason,)),)


@pytest.mark.parametrize("view", ["LL", ""])
def test_a_raw_image_of_another_or_an_unknown_view_stays(view: str) -> None:
    raw = radiograph(1, ViewPosition=view, PresentationIntentType="FOR PROCESSING")
    decision = Router.load({"wrist": IMAGES}, ()).decide(make_study(raw, radiograph(2, ViewPosition="PA")))
    assert [each.stacks for each in decision.assignments] == [(("9.1", 0), ("9.2", 0))]


@pytest.mark.parametrize("key", ["series: all", "series: best", "prefer: [{KVP: 50}]"])
def test_nothing_is_to_be_chosen_for_a_bundle_that_reads_images(rule_file: RuleFile, key: str) -> None:
    path = rule_file(f"rules: [{{name: x, bundle: wrist, when: {{Modality: DX}}, {key}}}]")
    with pytest.raises(Rejected, match=f"rule 'x': '{key.partition(':')[0]}' cannot choose here"):
        Router.load({"wrist": IMAGES}, (path,))


@given(studies)
def test_every_image_ends_in_the_one_assignment_or_declined_with_reasons(series: list[Series]) -> None:
    accepts = {"any": [{"KVP": {"min": 80}}, {"SeriesDescription": {"regex": "a"}}, {"slices": {"max": 3}}]}
    rule = Router.load({"a": make_service(accepts, reads="image")}, ())
    decision = rule.decide(make_study(*series))
    assert len(decision.assignments) <= 1
    told = [stack for each in decision.assignments for stack in each.stacks]
    told += [(each.series_uid, each.stack) for each in decision.declined]
    assert sorted(told) == sorted([(each.uid, each.stack) for each in series] or [("", 0)])


@given(studies)
def test_every_rule_and_series_ends_assigned_or_declined_with_reasons(series: list) -> None:
    accepts = {"any": [{"KVP": {"min": 80}}, {"SeriesDescription": {"regex": "a"}}, {"orientation": "axial"}]}
    router = Router.load({"a": make_service(accepts), "b": make_service(HEAD)}, ())
    decision = router.decide(make_study(*series))
    told = [(each.rule, each.series_uid, each.stack) for each in (*decision.assignments, *decision.declined)]
    expected = [(rule.name, each.uid, each.stack) for rule in router.rules for each in series]
    assert sorted(told) == sorted(expected or [(rule.name, "", 0) for rule in router.rules])
    assert all(each.evidence for each in decision.assignments)
    assert all(each.reasons for each in decision.declined)
    assert len({each.bundle for each in decision.assignments}) == len(decision.assignments)
