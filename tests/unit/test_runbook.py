"""The runbook leads somewhere: every page is in its index, every link has a page, every command has a verb."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from app.__main__ import cli

LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)")
SCRIPT = re.compile(r"(?<![\w/.])deploy/(setup|backup|restore|image/[a-z-]+)\b((?: --?[a-z]+)*)")
VERB = re.compile(r"python -m app ([a-z-]+)")


@pytest.fixture
def folder(root: Path) -> Path:
    return root / "docs" / "runbook"


def test_every_page_is_in_the_index(folder: Path) -> None:
    index = set(LINK.findall((folder / "README.md").read_text()))
    assert {file.name for file in folder.glob("*.md")} - {"README.md"} <= index


def test_every_link_has_a_page(folder: Path) -> None:
    missing = [
        f"{file.name}: {link}"
        for file in sorted(folder.glob("*.md"))
        for link in LINK.findall(file.read_text())
        if not (folder / link).exists()
    ]
    assert missing == []


def test_every_command_has_a_verb(folder: Path) -> None:
    verbs = set(get_command(cli).commands)  # type: ignore[attr-defined]
    for file in sorted(folder.glob("*.md")):
        told = set(VERB.findall(file.read_text()))
        assert told <= verbs, file.name


def test_every_command_of_deploy_is_there_with_its_options(folder: Path, root: Path) -> None:
    told = {
        (name, option)
        for file in sorted(folder.glob("*.md"))
        for name, options in SCRIPT.findall(file.read_text())
        for option in (options.split() or [""])
    }
    assert {("backup", ""), ("restore", "--force"), ("setup", "--tls")} <= told
    for name, option in told:
        assert option in (root / "deploy" / name).read_text(), f"deploy/{name} {option}"
