import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.deliver.fhir import in_words

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["severity", "code", "expression", "x"]), inner),
    max_leaves=20,
)


def outcome(*issues: object) -> dict[str, object]:
    return {"resourceType": "OperationOutcome", "issue": list(issues)}


def error(code: str, *places: str) -> dict[str, object]:
    return {"severity": "error", "code": code, "expression": list(places), "diagnostics": "Jane Doe"}


@pytest.mark.parametrize(
    ("issues", "told"),
    [
        (
            [error("required", "Bundle.entry[0].resource.status")],
            ("error: required at Bundle.entry[0].resource.status", False),
        ),
        ([error("throttled"), error("timeout")], ("error: throttled; error: timeout", True)),
        ([error("throttled"), error("value")], ("error: throttled; error: value", False)),
        ([{"severity": "warning", "code": "value"}], ("", False)),
        ([error("value", "Patient.where(name='Jane Doe')")], ("error: value", False)),
        ([error("Jane Doe")], ("error: of no known code", False)),
        ([error("value", "A", "B", "C", "D")], ("error: value at A, B, C", False)),
    ],
)
def test_errors_are_told_without_the_text_of_the_peer(issues: list[object], told: tuple[str, bool]) -> None:
    assert in_words(outcome(*issues)) == told


def test_other_resources_say_nothing() -> None:
    assert in_words({"resourceType": "Bundle"}) == ("", False)


@given(JSON)
def test_no_outcome_breaks_the_reader(content: object) -> None:
    told, _ = in_words({"resourceType": "OperationOutcome", "issue": content})
    assert "Jane" not in told
