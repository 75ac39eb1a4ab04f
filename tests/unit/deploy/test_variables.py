"""docs/runbook/install.md tells every variable that the compose files fill in, and the value without it."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

VARIABLE = re.compile(r"\$\{(VIGIL_\w+)(?::?-([^}]*))?\}")
NAME = re.compile(r"`(VIGIL_\w+)`")
HEAD = "| In `.env` | Value | What |"


def filled_in(files: Sequence[Path]) -> Mapping[str, str]:
    """Name and default of each variable; two defaults of one name are a mistake."""
    found: dict[str, str] = {}
    for file in files:
        for name, default in VARIABLE.findall(file.read_text()):
            assert found.setdefault(name, default) == default, f"{file.name}: {name} has two defaults"
    return found


def told(page: str) -> Mapping[str, str]:
    """Name and value of each variable in the table; the names of a row and its values go in pairs."""
    rows = page.partition(HEAD)[2].partition("\n\n")[0].splitlines()[2:]
    found: dict[str, str] = {}
    for row in rows:
        names, values, _ = row.strip("|").split(" | ")
        for name, value in zip(NAME.findall(names), values.split(", "), strict=True):
            assert name not in found, f"{name} stands in two rows"
            found[name] = value.strip("` ")
    return found


@pytest.fixture
def page(root: Path) -> str:
    return (root / "docs" / "runbook" / "install.md").read_text()


@pytest.fixture
def files(root: Path) -> list[Path]:
    return [root / "docker-compose.yml", *sorted((root / "deploy").glob("compose*.yml"))]


def test_every_variable_of_the_compose_files_is_told_with_its_default_and_no_other(
    page: str, files: list[Path]
) -> None:
    assert len(files) == 5
    wanted = {name: default.removeprefix("./") for name, default in filled_in(files).items()}
    assert told(page) == wanted


def test_every_image_that_compose_pulls_is_carried_over_where_there_is_no_internet(
    page: str, files: list[Path]
) -> None:
    section = page.partition("## Without internet")[2].partition("\n## ")[0]
    images = {value for name, value in filled_in(files).items() if name.endswith("_IMAGE")} - {"vigil:latest"}
    assert len(images) == 4
    saved = re.findall(r"^docker save (?:.*\\\n)*.*", section, re.MULTILINE)
    assert saved, "the section saves nothing"
    assert {image for image in images if not any(image in command for command in saved)} == set()
    assert all("--output " in command for command in saved), "without --output nothing is written to a terminal"


def test_prometheus_is_said_to_have_no_log_in(page: str) -> None:
    (row,) = [line for line in page.splitlines() if line.startswith("| `VIGIL_PROMETHEUS_ADDRESS`")]
    assert "no log-in" in row


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ("| `VIGIL_A`, `VIGIL_B` | 1, `x` | both |", {"VIGIL_A": "1", "VIGIL_B": "x"}),
        ("| `VIGIL_A` | 1 | `VIGIL_B` elsewhere |", {"VIGIL_A": "1"}),
    ],
)
def test_rows_are_read_in_pairs(row: str, found: dict[str, str]) -> None:
    assert told(f"{HEAD}\n|---|---|---|\n{row}\n\nmore") == found


def test_a_row_with_fewer_values_than_names_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="zip"):
        told(f"{HEAD}\n|---|---|---|\n| `VIGIL_A`, `VIGIL_B` | 1 | both |\n")
