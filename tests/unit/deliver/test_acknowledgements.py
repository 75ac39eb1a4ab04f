import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.deliver.mllp import CODES, ERRORS, Acknowledgement, parse
from app.deliver.statuses import Verdict

PARTS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="|^~\\&"), min_size=1)


@given(st.binary())
def test_no_bytes_break_the_reader(content: bytes) -> None:
    for frame in (content, b"MSH|^~\\&|" + content, b"MSH|^~\\&|a\rMSA|" + content):
        found = parse(frame)
        assert found is None or found.errors == tuple(each for each in found.errors if each in ERRORS)


@given(PARTS, PARTS, st.lists(st.sampled_from(sorted(ERRORS)), unique=True))
def test_what_was_written_is_read(code: str, control_id: str, errors: list[str]) -> None:
    lines = [
        "MSH|^~\\&|a|b|c|d||||x|P|2.5.1",
        f"MSA|{code}|{control_id}",
        *(f"ERR|||{each}^x^HL70357|E" for each in errors),
    ]
    assert parse("\r".join(lines).encode()) == Acknowledgement(code, control_id, tuple(errors))


@given(st.text(), st.lists(st.sampled_from(sorted(ERRORS))))
def test_nothing_but_an_accept_is_a_delivery(code: str, errors: list[str]) -> None:
    verdict = Acknowledgement(code, "1", tuple(errors)).meaning().verdict
    assert (verdict is Verdict.DELIVERED) == (code in {"AA", "CA"})


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_code_is_told(code: str) -> None:
    assert Acknowledgement(code, "1").meaning().words.startswith(f"{code} ")


def test_codes_of_old_versions_are_found() -> None:
    """In MSA-6 (before 2.5), and in the fourth part of ERR-1."""
    assert parse(b"MSH|^~\\&|\rMSA|AE|7|words|||207^x").errors == ("207",)
    assert parse(b"MSH|^~\\&|\rMSA|AE|7\rERR|PID^1^3^101&x&HL70357").errors == ("101",)
