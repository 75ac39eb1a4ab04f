"""CSV as the data sets write it: odd headers are read, damaged rows named with their line."""

from pathlib import Path

import pytest

from bundles.common.datalist.problems import Damaged, DatalistError, Problems
from bundles.common.datalist.tables import Row, read_plain_rows, read_rows


def rows_of(path: Path, text: str | bytes, columns: tuple[str, ...] = ("a", "b")) -> tuple[list[Row], list[str]]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    problems = Problems()
    return list(read_rows(path, columns, problems)), [str(problem) for problem in problems.found]


@pytest.mark.parametrize(
    "text", ["\ufeffa,b\n1,2\n", "a, b\r\n1,2\r\n", "a,b,,,\n1,2\n", "a,b,\n1, 2,\n", 'a,b\n"1",2\n\n']
)
def test_odd_headers_and_line_ends(tmp_path: Path, text: str) -> None:
    rows, problems = rows_of(tmp_path / "x.csv", text)
    assert [dict(row.values) for row in rows] == [{"a": "1", "b": "2"}]
    assert (rows[0].place.line, problems) == (2, [])


def test_a_damaged_row_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    rows, problems = rows_of(path, 'a,b\n1,2\n3\n4,5,6\n"7,8\n\n9,10\n')
    assert [row["a"] for row in rows] == ["1", "9"]
    assert problems[0] == f"{path}:3: 1 fields, expected 2"
    assert problems[1] == f"{path}:4: 3 fields, expected 2"
    assert problems[2].startswith(f"{path}:5: no row of CSV")
    assert problems[3] == f"{path}:6: an empty row in the middle of x.csv"


def test_a_wrong_file_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    with pytest.raises(DatalistError, match=r"x\.csv:1: no column 'patient'.*did you mean 'patients'"):
        rows_of(path, "patients,b\n", ("patient",))
    with pytest.raises(DatalistError, match="names 'a' twice"):
        rows_of(path, "a,a\n", ("a",))
    with pytest.raises(DatalistError, match="is empty"):
        rows_of(path, "")
    with pytest.raises(DatalistError, match=r"x\.csv:2: byte 0xff is no UTF-8"):
        rows_of(path, b"a,b\n1,\xff\n")
    with pytest.raises(DatalistError, match=r"x\.csv:3: a zero byte"):
        rows_of(path, b"a,b\n1,2\n\0\0\n")
    with pytest.raises(DatalistError, match="No such file"):
        list(read_rows(tmp_path / "none.csv", (), Problems()))


def test_values(tmp_path: Path) -> None:
    rows, _ = rows_of(tmp_path / "x.csv", "a,b\n1.5,\nnan,x\n")
    assert rows[0].number("a") == 1.5
    for row, column in ((rows[0], "b"), (rows[1], "a"), (rows[1], "b")):
        with pytest.raises(Damaged, match="expected a number"):
            row.number(column)
    with pytest.raises(Damaged, match="'b' is empty"):
        rows[0].needed("b")
    assert rows[1].one_of("b", {"x": 1}) == 1
    with pytest.raises(Damaged, match="'b' is 'x', expected one of 'y', 'z'"):
        rows[1].one_of("b", {"y": 1, "z": 0})


def test_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("p,1\nq\n", encoding="utf-8")
    problems = Problems()
    rows = list(read_plain_rows(path, ("path", "label"), problems))
    assert [(dict(row.values), row.place.line) for row in rows] == [({"path": "p", "label": "1"}, 1)]
    assert str(problems.found[0]) == f"{path}:2: 1 fields, expected 2"
