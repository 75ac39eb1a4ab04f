import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from app.findings import Outcome, Presence, Report
from app.report.json_report import json_report
from tests.unit.report.factory import MADE_AT, make_report

CASES = {
    "present": make_report(),
    "absent": make_report(Presence.ABSENT),
    "failed": make_report(outcome=Outcome.FAILED),
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
    golden = root / "tests" / "golden" / f"report_{case}.json"
    encoded = json_report(CASES[case], MADE_AT)
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
