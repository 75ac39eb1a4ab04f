"""What speaks for and against a series beside its rule: evidence that is told, doubts that make it undetermined."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.route import Problems, Router
from app.study import Contrast, Series
from bundles.common.contract import Doubt
from tests.unit.route.conftest import make_series, make_service, make_study

HEAD = {"Modality": "CT", "slices": {"min": 8, "max": 400}}
RuleFile = Callable[[str], Path]


SILENT = [{"Modality": "MR"}, {"evidence": {"contrast agent": {"not": {"contrast": "plain"}}}}]
NO_ANSWER = {"because": "nobody knows of contrast agent", "when": {"not": {"contrast": "enhanced"}}}


def head_router(rule_files: tuple[Path, ...] = ()) -> Router:
    service = make_service({"all": SILENT}, doubts=(Doubt.model_validate(NO_ANSWER),))
    return Router.load({"head": service}, rule_files)


def pictured(name: str | None, uid: str = "1.2.3") -> Series:
    series = make_series("MR", 120, uid=uid)
    return series if name is None else replace(series, contrast=Contrast(name, 0.05))


def test_what_the_evidence_was_goes_with_the_assignment_into_the_report() -> None:
    (assignment,) = head_router().decide(make_study(pictured("enhanced"))).assignments
    assert assignment.told == ("contrast agent: picture (0.05)",)
    assert assignment.notes == ("routed by evidence of contrast agent: picture (0.05)",)
    assert assignment.doubts == ()


@pytest.mark.parametrize(("seen", "told"), [("unclear", "picture (0.05)"), (None, "picture (not looked at)")])
def test_a_doubt_goes_with_the_assignment(seen: str | None, told: str) -> None:
    (assignment,) = head_router().decide(make_study(pictured(seen))).assignments
    assert assignment.doubts == (f"nobody knows of contrast agent; told by {told}",)


def test_the_doubts_of_a_bundle_hold_for_rule_files_too(rule_file: RuleFile) -> None:
    path = rule_file("rules: [{name: all, bundle: head, priority: 1, replace: true, when: {Modality: MR}}]")
    (assignment,) = head_router((path,)).decide(make_study(pictured("plain"))).assignments
    assert assignment.doubts == ("nobody knows of contrast agent; told by picture (0.05)",)


def test_a_series_without_doubts_goes_first() -> None:
    study = make_study(pictured("unclear", "1"), pictured("enhanced", "2"), pictured("plain", "3"))
    decision = head_router().decide(study)
    assert [(each.series_uid, each.doubts) for each in decision.assignments] == [("2", ())]
    assert [each.series_uid for each in decision.declined] == ["3", "1"]


def test_pictures_are_asked_for_only_where_the_answer_matters() -> None:
    router = head_router()
    assert router.asks_for_contrast(make_series("MR", 120))
    assert not router.asks_for_contrast(make_series("CT", 120))
    assert not Router.load({"head": make_service({"Modality": "MR"})}, ()).asks_for_contrast(make_series("MR", 120))


def test_a_doubt_that_cannot_work_is_refused_with_its_place() -> None:
    wrong = Doubt(because="?", when={"contrast": "bright"})
    with pytest.raises(Problems, match=r"bundle 'head': configs/service.yaml: doubts\[0\].when.contrast: unknown"):
        Router.load({"head": make_service(doubts=(wrong,))}, ())
