"""The runbook leads somewhere: every page is in its index, every link has a page, every command has a verb, and
options that both Compose 1.29 and v2 know."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from typer.main import get_command

from app.__main__ import cli

LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)")
SCRIPT = re.compile(r"(?<![\w/.])deploy/(setup|backup|restore|image/[a-z-]+)\b((?: --?[a-z]+)*)")
COMPOSE = re.compile(r"docker[ -]compose ([^`|;&)\n]*)")
VALUE, FLAG = True, False
OF_BOTH: Mapping[str, Mapping[str, bool]] = {
    "build": {},
    "up": {"--detach": FLAG, "-d": FLAG, "--build": FLAG, "--scale": VALUE},
    "down": {"--volumes": FLAG},
    "ps": {"--all": FLAG, "-a": FLAG, "-q": FLAG},
    "exec": {"-T": FLAG},
    "run": {"--rm": FLAG, "--no-deps": FLAG},
    "logs": {"--follow": FLAG, "--tail": VALUE, "--no-color": FLAG, "--no-log-prefix": FLAG},
    "kill": {"-s": VALUE},
    "start": {},
    "stop": {},
    "restart": {},
}
"""Commands and options that docker-compose 1.29 and Compose v2 both know, of those that we have use for."""
BEFORE_A_COMMAND = {"exec", "run"}
"""What follows the service is the command within."""
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


def unknown(line: str) -> Iterator[str]:
    """What of a command of Compose, without `docker compose`, one of its two versions does not know."""
    words = iter(line.split())
    command = next(words, "")
    if command not in OF_BOTH:
        yield command
        return
    for word in words:
        name = word.partition("=")[0]
        if not name.startswith("-"):
            if command in BEFORE_A_COMMAND:
                return
        elif name not in OF_BOTH[command]:
            yield f"{command} {name}"
        elif OF_BOTH[command][name] and "=" not in word:
            next(words, None)


def test_every_command_of_compose_is_known_to_both_of_its_versions(root: Path) -> None:
    pages = [root / "README.md", *(root / "docs").rglob("*.md"), *(root / "deploy").glob("compose.*.yml")]
    pages += [root / "docker-compose.yml", root / "deploy" / "compose" / "vigil.yaml"]
    found = {
        f"{page.name}: docker compose {line}: {problem}"
        for page in pages
        if page.name != "decisions.md"
        for line in COMPOSE.findall(page.read_text())
        for problem in unknown(line)
    }
    assert found == set()


@pytest.mark.parametrize(
    ("line", "problems"),
    [
        ("logs --since 1h worker", ["logs --since"]),
        ("logs --tail 50 worker", []),
        ("kill --signal HUP prometheus", ["kill --signal"]),
        ("exec -T web python --version", []),
        ("exec --index 1 web ls", ["exec --index"]),
        ("up --detach --scale worker=2", []),
        ("ls", ["ls"]),
    ],
)
def test_what_one_version_does_not_know_is_found(line: str, problems: list[str]) -> None:
    assert list(unknown(line)) == problems


def test_a_check_is_not_asked_of_a_container_that_runs(root: Path) -> None:
    """It would look at the settings of its start."""
    for page in [root / "README.md", *(root / "docs").rglob("*.md")]:
        assert not re.search(r"exec (-T )?\w+ python -m app (check|prune)\b", page.read_text()), page.name


def test_a_proxy_of_a_build_is_named_as_apt_knows_it(folder: Path) -> None:
    """In small letters; Docker hands both on, and apt passes the others by."""
    page = (folder / "install.md").read_text()
    assert {"http_proxy", "https_proxy"} == {
        name for name in re.findall(r"--build-arg (\w+)=", page) if "proxy" in name
    }
    assert not re.search(r"--build-arg [A-Z]+_PROXY", page)
