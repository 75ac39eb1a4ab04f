"""`deploy/setup` before anything runs: what it keeps, what it refuses, and what it warns of."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.compose.docker import compose_command, docker
from tests.compose.test_backup import cloned

LABEL = "com.docker.compose.project"


class House:
    """A clone of the repository on a server, under a project name of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = cloned(folder)
        self.project = f"vigil-test-{os.urandom(4).hex()}"

    def setup(self, *options: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return self._run(str(self.folder / "deploy" / "setup"), *options, **environment)

    def config(self, **environment: str) -> dict[str, dict[str, dict[str, object]]]:
        """The files as Compose understands them."""
        told = self._run(*compose_command(), "config", **environment)
        assert told.returncode == 0, told.stderr
        return dict(yaml.safe_load(told.stdout))

    def _run(self, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("VIGIL_", "COMPOSE_"))}
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**mine, "COMPOSE_PROJECT_NAME": self.project, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )


@pytest.fixture
def house(engine: None, tmp_path: Path) -> House:
    return House(tmp_path / "clone")


@pytest.fixture
def database_volume(house: House) -> Iterator[str]:
    name = docker("volume", "create", "--label", f"{LABEL}={house.project}", f"{house.project}_database").strip()
    yield name
    docker("volume", "rm", name)


def test_a_password_is_drawn_once_and_the_project_is_noted(house: House) -> None:
    first = house.setup("--plain")
    assert first.returncode == 0, first.stderr
    password = house.folder / "deploy" / "secrets" / "database_password"
    drawn = password.read_text()
    assert len(drawn) == 64
    assert f"COMPOSE_PROJECT_NAME={house.project}\n" in (house.folder / ".env").read_text()
    assert house.setup().returncode == 0
    assert password.read_text() == drawn


def test_no_password_is_drawn_where_the_database_of_the_project_has_one(house: House, database_volume: str) -> None:
    refused = house.setup("--plain")
    assert refused.returncode == 1
    assert f"the volume {database_volume} has a password" in refused.stderr
    assert not (house.folder / "deploy" / "secrets" / "database_password").exists()


def test_secrets_lie_where_the_settings_say(house: House, tmp_path: Path) -> None:
    elsewhere = tmp_path / "secrets"
    assert house.setup("--plain", VIGIL_SECRETS=str(elsewhere)).returncode == 0
    assert house.setup("--token", "jane=viewer", VIGIL_SECRETS=str(elsewhere)).returncode == 0
    assert {path.name for path in elsewhere.iterdir()} == {"database_password", "grafana_password", "web"}
    assert (elsewhere / "web" / "tokens").read_text().startswith("jane viewer sha256:")
    assert not (house.folder / "deploy" / "secrets").exists()


@pytest.mark.parametrize(("made", "words"), [("folder", "is a folder, and no file of settings"), ("", "is missing")])
def test_settings_that_are_no_file_are_refused(house: House, tmp_path: Path, made: str, words: str) -> None:
    settings = tmp_path / "vigil.yaml"
    if made:
        settings.mkdir()
    refused = house.setup("--plain", VIGIL_SETTINGS=str(settings))
    assert refused.returncode == 1
    assert f"{settings}" in refused.stderr
    assert words in refused.stderr
    shutil.rmtree(settings, ignore_errors=True)


def test_an_overlay_that_no_longer_counts_is_named(house: House) -> None:
    assert house.setup("--monitoring", "--demo").returncode == 0
    changed = house.setup("--demo")
    assert changed.returncode == 0
    assert "deploy/compose.monitoring.yml counted until now and no longer does" in changed.stderr
    assert "up --detach --remove-orphans" in changed.stderr
    assert "compose.demo.yml counted" not in changed.stderr
    assert "counted until now" not in house.setup().stderr


@pytest.mark.parametrize(("address", "warned"), [("0.0.0.0", True), ("10.1.2.3", True), ("127.0.0.1", False)])
def test_pages_by_plain_http_beyond_this_server_are_warned_of(house: House, address: str, warned: bool) -> None:
    told = house.setup("--plain", VIGIL_WEB_ADDRESS=address)
    assert told.returncode == 0, told.stderr
    assert ("lets other machines see the pages by plain HTTP" in told.stderr) == warned


def test_one_service_builds_our_image_and_the_others_wait_for_it(house: House) -> None:
    """Compose 1.29 takes services in the order of their dependencies, and pulls what is not there by then; Compose v2
    builds what has a `build` at the same time.
    """
    assert house.setup("--demo").returncode == 0
    services = house.config(VIGIL_IMAGE="vigil-test/ours", DOCKER_BUILDKIT="0")["services"]
    ours = {name for name, each in services.items() if each["image"] == "vigil-test/ours"}
    assert ours == {"listener", "worker", "web", "migrate", "pacs", "scanner"}
    assert {name for name, each in services.items() if "build" in each} == {"migrate"}
    assert {name for name, each in services.items() if "migrate" in each.get("depends_on", {})} == ours - {"migrate"}
