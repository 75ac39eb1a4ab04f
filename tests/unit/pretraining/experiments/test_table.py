"""The table of results keeps every row once, whatever happens while it is written."""

import csv
import json
import math
import multiprocessing
from pathlib import Path

import pytest

from bundles.common.strict import ConfigurationError
from pretraining.experiments.table import FLAT, TABLE, ResultTable


def run(key: str, **more: object) -> dict[str, object]:
    """A row."""
    return {"kind": "run", "key": key, "experiment": "tried", "state": "done", **more}


def test_a_row_is_there_once_and_in_its_order(tmp_path: Path) -> None:
    table = ResultTable(tmp_path / "evidence")
    assert table.rows() == []
    assert table.append([run("b"), run("a"), run("b")]) == 2
    assert table.append([run("a", state="diverged"), run("c")]) == 1
    assert [(row["key"], row["state"]) for row in table.rows()] == [("b", "done"), ("a", "done"), ("c", "done")]


def test_a_line_that_a_kill_cut_off_is_left_out_and_written_anew(tmp_path: Path) -> None:
    table = ResultTable(tmp_path)
    table.append([run("a"), run("b")])
    whole = table.path.read_bytes()
    for cut in range(1, len(whole.splitlines(keepends=True)[1])):
        table.path.write_bytes(whole[:-cut])
        # Without its newline alone the line is whole, as an editor may leave it.
        assert [row["key"] for row in table.rows()] == (["a", "b"] if cut == 1 else ["a"])
        assert table.append([run("b")]) == (cut > 1)
        assert table.path.read_bytes() == whole


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    table = ResultTable(tmp_path)
    for line, told in (
        ("{]", "line 2: no result"),
        ('{"kind": "run"}', "line 2"),
        ('{"kind": "x", "key": "k"}', "'x'"),
    ):
        table.path.write_text(json.dumps(run("a")) + "\n" + line + "\n")
        with pytest.raises(ConfigurationError) as refused:
            table.append([run("b")])
        assert told in str(refused.value)


def test_the_csv_has_a_line_for_each_figure_and_no_number_is_empty(tmp_path: Path) -> None:
    figures = [
        {"finding": "mass", "metric": "auroc", "value": 0.7},
        {"finding": "mass", "metric": "ap", "value": math.nan},
    ]
    ResultTable(tmp_path).append([run("a", figures=figures), run("b", state="diverged")])
    with (tmp_path / FLAT).open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["metric"], line["value"], line["state"]) for line in lines] == [
        ("auroc", "0.7", "done"),
        ("ap", "", "done"),
        ("", "", "diverged"),
    ]
    assert "NaN" not in (tmp_path / TABLE).read_text()


def _append(folder: Path, first: int) -> None:
    for number in range(first, first + 10):
        ResultTable(folder).append([run(f"k{number}"), run("shared")])


def test_processes_append_at_the_same_time(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_append, args=(tmp_path, first)) for first in (0, 10)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    keys = [row["key"] for row in ResultTable(tmp_path).rows()]
    assert sorted(keys) == sorted(["shared", *(f"k{number}" for number in range(20))])


def test_a_description_that_comes_back_is_the_last_again(tmp_path: Path) -> None:
    table = ResultTable(tmp_path)
    for key in ("a", "a", "b", "a", "a", "b", "a"):
        for experiment in ("one", "other"):
            row = {"kind": "experiment", "key": f"{key}{experiment}", "experiment": experiment, "variant": "small"}
            table.append([{**row, "title": key}])
    found = [row for row in table.rows() if row["experiment"] == "one"]
    assert [row["title"] for row in found] == ["a", "b", "a", "b", "a"]
    assert [row["key"] for row in found] == ["aone", "bone", "aone#1", "bone#1", "aone#2"]
