"""Which commit a row of the table names."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pretraining.experiments.identity import commit_beside


def git(folder: Path, *arguments: str) -> str:
    """What git answers."""
    who = ["-c", "user.name=vigil", "-c", "user.email=vigil@example.org"]
    command = ["git", *who, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_the_table_and_its_page_are_no_changes_of_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, page, code = tmp_path / "docs/evidence", tmp_path / "docs/evidence.md", tmp_path / "code.py"
    table.mkdir(parents=True)
    for path in (table / "results.jsonl", page, code):
        path.write_text("before\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "before")
    commit = git(tmp_path, "rev-parse", "HEAD")

    def told(present: str) -> str:
        monkeypatch.setattr("pretraining.experiments.identity.present_commit", lambda: present)
        return commit_beside(table, tmp_path)

    assert told(commit) == commit
    for path in (table / "results.jsonl", page):
        path.write_text("after\n")
    assert told(f"{commit}+changes") == commit
    code.write_text("after\n")
    assert told(f"{commit}+changes") == f"{commit}+changes"
    assert told("unknown") == "unknown"


def test_beside_a_table_elsewhere_every_change_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pretraining.experiments.identity.present_commit", lambda: "abc+changes")
    assert commit_beside(tmp_path / "elsewhere", tmp_path / "repository") == "abc+changes"
