"""Cases on disk: what was written comes back, names of nobody are in it, and what is damaged is named."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles.common.metrics.cases import Case, case_id, patient_id, read_cases, write_cases
from bundles.common.metrics.writing import Cases
from pretraining.data.patients import hashed

numbers = st.one_of(st.floats(allow_infinity=False), st.just(math.nan))
cases = st.builds(Case, st.sampled_from(["mass", 'a, "b"']), st.text("0123456789abcdef", min_size=16, max_size=16),
                  st.just(patient_id("P")), st.booleans(), numbers)  # fmt: skip


@given(st.lists(cases, min_size=1, max_size=8, unique_by=lambda case: (case.finding, case.case)))
def test_what_was_written_comes_back(tmp_path_factory: pytest.TempPathFactory, rows: list[Case]) -> None:
    path = tmp_path_factory.mktemp("cases") / "cases.csv"
    write_cases(path, rows)
    assert [repr(case) for case in read_cases(path)] == [repr(case) for case in rows]
    assert [each.name for each in path.parent.iterdir()] == ["cases.csv"]


def test_names_are_hashed_as_a_store_of_pretraining_hashes_them(tmp_path: Path) -> None:
    assert (case_id("a.png"), patient_id("7")) == (hashed("vigil", "image", "a.png"), hashed("vigil", "patient", "7"))
    rows = Cases([0.25, 0.75], [False, True], np.array(["MEIER^ANNA", "P2"]), names=["meier.png", "b.png"]).rows("mass")
    write_cases(tmp_path / "cases.csv", rows)
    text = (tmp_path / "cases.csv").read_text().lower()
    assert "meier" not in text
    assert text.splitlines()[1] == f"mass,{case_id('meier.png')},{patient_id('MEIER^ANNA')},0,0.25"
    assert Cases([0.25], [True]).rows("mass") == []


def test_a_case_twice_and_no_case_are_refused(tmp_path: Path) -> None:
    case = Case("mass", case_id("a"), patient_id("a"), truth=True, score=0.5)
    with pytest.raises(ValueError, match="a case is there twice for one finding"):
        write_cases(tmp_path / "cases.csv", [case, case])
    with pytest.raises(ValueError, match="there is no case to write"):
        write_cases(tmp_path / "cases.csv", [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("finding,case\n", "expected the columns finding, case, patient, truth, score"),
        ("finding,case,patient,truth,score\nmass,a,b,1\n", "line 2: not a case; the file was cut off"),
        ("finding,case,patient,truth,score\nmass,a,b,yes,0.5\n", "line 2: not a case"),
        ("finding,case,patient,truth,score\nmass,a,b,1,high\n", "line 2: the score 'high' is no number"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "cases.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"cases\.csv") as refused:
        read_cases(path)
    assert told in str(refused.value)
    with pytest.raises(ValueError, match="cannot be read"):
        read_cases(tmp_path / "none.csv")
