"""From numbers to findings; what is no probability is never one."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.assignment import Assignment
from app.errors import Failed
from app.findings import Algorithm, Finding, Outcome, Presence, Report, SliceScore
from app.infer.catalogue import load_bundle
from app.infer.results import contradictions, find_stacks, to_findings, undetermined, unfinished
from app.study import BROKEN_OFF, Instance, Series, Study
from bundles.common.contract import FindingOutput, Service, Window

CONTRACT = Service(
    title="Hemorrhage",
    accepts={"Modality": "CT"},
    findings=(
        FindingOutput(finding="intracranial_hemorrhage", probability="presence", threshold=0.4, slices="in_slice"),
        FindingOutput(finding="subdural_hemorrhage", probability="types", index=1, calibrated=True),
    ),
    window=Window(center=40, width=80),
)
INSTANCES = tuple(Instance(Path(f"{n}.dcm"), f"1.2.{n}", "1.2", "1.2", "00") for n in range(2))
SERIES = Series("1.2.3", 0, "CT", INSTANCES)
STUDY = Study("1.2", "abcd", (SERIES,))
ASSIGNMENT = Assignment("bleeds", "rule", "1.2.3", 0, 1)
NUMBERS = {"presence": [0.4], "in_slice": [0.1, 0.9], "types": [0.9, 0.2]}


def test_outputs_are_read_as_the_contract_explains_them() -> None:
    assert to_findings(CONTRACT, NUMBERS, SERIES) == (
        Finding(
            "intracranial_hemorrhage",
            Presence.PRESENT,
            0.4,
            0.4,
            slices=(SliceScore("1.2.0", 0, 0.1), SliceScore("1.2.1", 1, 0.9)),
        ),
        Finding("subdural_hemorrhage", Presence.ABSENT, 0.2, 0.5, calibrated=True),
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"presence": [math.nan]}, "expected a probability"),
        ({"presence": [math.inf]}, "expected a probability"),
        ({"presence": [1.0001]}, "expected a probability"),
        ({"in_slice": [0.1, -0.1]}, "expected a probability"),
        ({"in_slice": [0.1]}, "scores 1 slices, the series has 2"),
        ({"types": [0.1]}, "has 1 values, the contract wants index 1"),
        ({"presence": []}, "has 0 values"),
    ],
)
def test_numbers_that_cannot_be_meant_fail(changed: dict[str, list[float]], words: str) -> None:
    with pytest.raises(Failed, match=words):
        to_findings(CONTRACT, {**NUMBERS, **changed}, SERIES)


def test_a_missing_output_fails_and_says_what_there_was() -> None:
    with pytest.raises(Failed, match="gave no 'types'; it gave: in_slice, presence"):
        to_findings(CONTRACT, {key: NUMBERS[key] for key in ("presence", "in_slice")}, SERIES)


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_finding_is_a_probability_compared_with_its_threshold_or_a_failure(value: float) -> None:
    numbers = {**NUMBERS, "presence": [value]}
    if 0 <= value <= 1:
        finding = to_findings(CONTRACT, numbers, SERIES)[0]
        assert finding.presence is (Presence.PRESENT if value >= 0.4 else Presence.ABSENT)
    else:
        with pytest.raises(Failed):
            to_findings(CONTRACT, numbers, SERIES)


def test_undetermined_says_nothing_but_why(write_bundle: Callable[..., Path]) -> None:
    bundle = load_bundle(write_bundle())
    report = undetermined(STUDY, ASSIGNMENT, bundle, Outcome.FAILED, "the disk is full")
    assert report.findings == (
        Finding("intracranial_hemorrhage", Presence.UNDETERMINED),
        Finding("subdural_hemorrhage", Presence.UNDETERMINED),
    )
    assert (report.outcome, report.reason) == (Outcome.FAILED, "the disk is full")
    assert (report.study_uid, report.revision, report.series_uid) == ("1.2", "abcd", "1.2.3")


def test_a_series_that_is_not_there_fails() -> None:
    with pytest.raises(Failed, match="no stack 1"):
        find_stacks(STUDY, Assignment("bleeds", "rule", "1.2.3", 1, 1))


def report_of(*findings: Finding) -> Report:
    algorithm = Algorithm("bleeds", "1.2.3", "00", "phantom head CT", "research")
    return Report("1.2", "abcd", "1.2.3", 0, algorithm, Outcome.SUCCEEDED, findings, notes=(BROKEN_OFF,))


def test_what_is_not_seen_in_a_part_is_not_absent() -> None:
    scores = (SliceScore("1.2.0", 0, 0.1),)
    absent = Finding("intracranial_hemorrhage", Presence.ABSENT, 0.1, 0.4, slices=scores)
    report = unfinished(report_of(absent, Finding("subdural_hemorrhage", Presence.ABSENT, 0.2, 0.5)), (BROKEN_OFF,))
    assert report.findings == (
        Finding("intracranial_hemorrhage", Presence.UNDETERMINED),
        Finding("subdural_hemorrhage", Presence.UNDETERMINED),
    )
    assert (report.outcome, report.reason, report.notes) == (Outcome.PARTIAL, BROKEN_OFF, (BROKEN_OFF,))


def test_what_is_seen_in_a_part_is_there() -> None:
    present = Finding("intracranial_hemorrhage", Presence.PRESENT, 0.9, 0.4, slices=(SliceScore("1.2.0", 0, 0.9),))
    report = unfinished(report_of(present, Finding("subdural_hemorrhage", Presence.ABSENT, 0.2, 0.5)), (BROKEN_OFF,))
    assert report.findings == (present, Finding("subdural_hemorrhage", Presence.UNDETERMINED))
    assert (report.outcome, report.reason, report.notes) == (Outcome.SUCCEEDED, "", (BROKEN_OFF,))


def test_a_type_without_its_finding_is_said_to_contradict() -> None:
    def found(kind: str, presence: Presence) -> Finding:
        return Finding(kind, presence, 0.5, 0.4)

    types = (found("subdural_hemorrhage", Presence.PRESENT), found("epidural_hemorrhage", Presence.PRESENT))
    (told,) = contradictions((found("intracranial_hemorrhage", Presence.ABSENT), *types))
    assert "intracranial hemorrhage is called absent, and of its types subdural hemorrhage and epidural" in told
    assert contradictions((found("intracranial_hemorrhage", Presence.PRESENT), *types)) == ()
    assert contradictions((found("lung_lesion", Presence.ABSENT), found("pneumothorax", Presence.PRESENT))) == ()
