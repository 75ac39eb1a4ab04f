import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from app.findings import Outcome, Presence, Report
from app.report.json_report import json_report
from app.study import Study
from tests.unit.report.factory import MADE_AT, make_report
from tests.unit.report.radiographs import chest_report, wrist_failed, wrist_report
from tests.unit.report.volumes import lesion_report

CASES = {
    "present": make_report(),
    "absent": make_report(Presence.ABSENT),
    "failed": make_report(outcome=Outcome.FAILED),
    "chest": chest_report(),
    "wrist": wrist_report(),
    "wrist_partial": wrist_failed(),
}


@pytest.fixture(scope="module")
def schema(root: Path) -> Draft202012Validator:
    content = json.loads((root / "app" / "report" / "schema" / "report-1.json").read_text())
    Draft202012Validator.check_schema(content)
    return Draft202012Validator(content)


def content(report: Report) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(json_report(report, MADE_AT))
    return decoded


@pytest.mark.parametrize("case", CASES)
def test_keeps_to_the_published_schema_and_the_golden_document(
    case: str, schema: Draft202012Validator, root: Path
) -> None:
    compare(CASES[case], case, schema, root)


def test_tells_of_lesions(study: Study, tmp_path: Path, schema: Draft202012Validator, root: Path) -> None:
    compare(lesion_report(study, tmp_path), "lesions", schema, root)


def compare(report: Report, case: str, schema: Draft202012Validator, root: Path) -> None:
    golden = root / "tests" / "golden" / f"report_{case}.json"
    encoded = json_report(report, MADE_AT)
    if os.environ.get("REGEN_GOLDEN"):
        golden.write_bytes(encoded)
    assert list(schema.iter_errors(json.loads(encoded))) == []
    assert encoded == golden.read_bytes()


def test_the_schema_refuses_absent_after_a_failure(schema: Draft202012Validator) -> None:
    wrong = content(replace(make_report(Presence.ABSENT), outcome=Outcome.FAILED, reason="out of memory"))
    assert not schema.is_valid(wrong)


@pytest.mark.parametrize("missing", ["schema_version", "outcome", "research_only", "findings"])
def test_the_schema_wants_what_a_reader_relies_on(missing: str, schema: Draft202012Validator) -> None:
    wrong = content(make_report())
    del wrong[missing]
    assert not schema.is_valid(wrong)


def test_refuses_a_number_that_json_has_not() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_report(make_report(seconds=float("inf")), MADE_AT)


def test_documents_of_version_1_0_still_keep_to_the_schema(schema: Draft202012Validator) -> None:
    old = content(make_report()) | {"schema_version": "1.0"}
    del old["stacks"], old["urgent"]
    for finding in old["findings"]:
        del finding["urgent"], finding["regions"]
    assert list(schema.iter_errors(old)) == []


@pytest.mark.parametrize(
    ("member", "value"), [("certainty", 0.9), ("kind", "heat map"), ("box", [1, 2, 3]), ("box", [-1, 2, 3, 4])]
)
def test_the_schema_refuses_what_is_no_region(member: str, value: object, schema: Draft202012Validator) -> None:
    wrong = content(wrist_report())
    wrong["findings"][0]["regions"][0][member] = value
    assert not schema.is_valid(wrong)


def test_a_finding_that_is_not_present_has_no_regions() -> None:
    lesion, _ = chest_report().findings
    absent = content(chest_report(findings=(replace(lesion, presence=Presence.ABSENT),)))
    assert (absent["findings"][0]["regions"], absent["urgent"]) == ([], False)
