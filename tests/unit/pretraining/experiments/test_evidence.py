"""The page of evidence in the repository is what its table says."""

import shutil
from pathlib import Path

from pretraining.experiments.report import write_report
from pretraining.experiments.spec import ROOT
from pretraining.experiments.table import FLAT, TABLE, ResultTable

COMMITTED = ROOT / "docs" / "evidence"


def test_the_page_and_its_pictures_are_made_byte_by_byte_from_the_committed_table(tmp_path: Path) -> None:
    table = tmp_path / "evidence"
    table.mkdir()
    shutil.copyfile(COMMITTED / TABLE, table / TABLE)
    ResultTable(table).append([])  # writes the flat copy
    pictures = write_report(table, tmp_path / "evidence.md")
    assert pictures
    made = {path.name: path.read_bytes() for path in [*pictures, table / TABLE, table / FLAT]}
    assert made == {path.name: path.read_bytes() for path in COMMITTED.iterdir()}
    assert (tmp_path / "evidence.md").read_bytes() == COMMITTED.with_suffix(".md").read_bytes()


def test_the_committed_table_names_no_folder_of_the_machine_it_was_made_on() -> None:
    text = (COMMITTED / TABLE).read_text(encoding="utf-8")
    assert not [part for part in ("/home/", "/root/", "/tmp/", "/work/") if part in text]
