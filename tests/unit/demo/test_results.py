"""Answers beside the truth, and what is listed as wrong."""

from dataclasses import replace

from app.demo.results import Answer, Result, Sent, judge
from app.demo.studies import CHEST, HEAD, MAIN_FINDING, MR, ROUND, WRIST, Drawn, choose
from app.findings import Finding, Presence

LATERAL = "lateral chest"
CHEST_TRUTH = Drawn(
    CHEST, "1.2.3", {"lung_lesion": False, "pneumothorax": True}, "pneumothorax of 20 mm", {"1.2.3.4": LATERAL}
)


def finding(kind: str, presence: Presence, certainty: float | None = 0.75) -> Finding:
    if presence is Presence.UNDETERMINED:
        return Finding(kind, presence)
    return Finding(kind, presence, certainty, 0.5, urgent=kind == "pneumothorax")


def result(*answers: Answer, passed_over: str = "ViewPosition is LL", problem: str = "") -> Result:
    return Result(Sent(7, CHEST_TRUTH, 0.0), answers, problem, {LATERAL: passed_over}, 1.5, None)


def test_each_finding_is_set_beside_its_truth() -> None:
    found = (finding("lung_lesion", Presence.PRESENT), finding("pneumothorax", Presence.PRESENT))
    lesion, pneumothorax = judge(found, CHEST_TRUTH)
    assert lesion == Answer("lung lesion", "present", "75 % (threshold 50 %)", "absent", right=False)
    assert pneumothorax == Answer(
        "pneumothorax", "present", "75 % (threshold 50 %)", "present", right=True, urgent=True
    )


def test_an_undetermined_finding_is_neither_right_nor_wrong() -> None:
    (answer,) = judge([finding("lung_lesion", Presence.UNDETERMINED)], CHEST_TRUTH)
    assert (answer.said, answer.truth, answer.right) == ("undetermined", "absent", None)


def test_what_the_phantoms_do_not_know_is_neither_right_nor_wrong() -> None:
    (answer,) = judge([finding("wrist_fracture", Presence.PRESENT)], CHEST_TRUTH)
    assert (answer.truth, answer.right) == ("", None)


def test_rightly_absent_kinds_become_one_line_and_wrong_ones_do_not() -> None:
    kinds = ("intracranial", "subdural", "epidural", "subarachnoid")
    head = Drawn(
        HEAD, "1.2", {f"{kind}_hemorrhage": kind in {"intracranial", "subdural"} for kind in kinds}, "subdural"
    )
    found = [finding(f"{kind}_hemorrhage", Presence.ABSENT, 0.1) for kind in kinds]
    answers = judge([replace(found[0], presence=Presence.PRESENT, certainty=0.9), *found[1:]], head)
    assert [(each.finding, each.right) for each in answers] == [
        ("intracranial hemorrhage", True),
        ("subdural hemorrhage", False),
        ("2 further findings", True),
    ]


def test_two_findings_are_always_told() -> None:
    nothing = replace(CHEST_TRUTH, truth={"lung_lesion": False, "pneumothorax": False})
    answers = judge([finding(kind, Presence.ABSENT) for kind in nothing.truth], nothing)
    assert [each.finding for each in answers] == ["lung lesion", "pneumothorax"]


def test_every_wrong_or_missing_answer_is_a_sentence() -> None:
    right = Answer("lung lesion", "absent", truth="absent", right=True)
    wrong = Answer("pneumothorax", "absent", "12 % (threshold 50 %)", "present", right=False)
    assert result(right, wrong).complaints == (
        "study 7, chest: pneumothorax called absent at 12 % (threshold 50 %), in truth present",
    )
    lost = Answer("pneumothorax", "undetermined", truth="present")
    assert result(lost, problem="its image is damaged").complaints == (
        "study 7, chest: pneumothorax undetermined: its image is damaged",
    )
    assert [result(right, wrong).right, result(right, lost).right, result(right).right] == [False, None, True]


def test_a_lateral_view_that_was_analysed_is_wrong() -> None:
    right = Answer("lung lesion", "absent", truth="absent", right=True)
    assert result(right, passed_over="ViewPosition is LL").right is True
    analysed = result(right, passed_over="")
    assert analysed.right is False
    assert analysed.complaints == ("study 7, chest: the lateral chest was analysed, and no bundle is for it",)


def test_only_what_a_bundle_is_for_is_sent() -> None:
    assert choose(set(MAIN_FINDING.values()), None) == ROUND
    assert {case.exam for case in choose({"lung_lesion", "pneumothorax"}, None)} == {CHEST}
    assert [case.exam for case in choose({"wrist_fracture"}, 6)] == [WRIST] * 6
    assert len({case.scan for case in choose({"brain_metastasis"}, 4)}) == 4
    assert choose({"unheard_of"}, 3) == ()


def test_a_round_has_every_finding_and_healthy_studies_of_every_exam() -> None:
    assert {case.shows for case in ROUND} == {"bleed", "metastases", "pneumothorax", "lesions", "fracture", ""}
    assert {case.exam for case in ROUND if not case.shows} == {HEAD, MR, CHEST, WRIST}
    assert {case.exam for case in ROUND if case.beside} == {MR, CHEST}
