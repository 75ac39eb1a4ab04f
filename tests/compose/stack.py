"""One installation of the compose file, of a project name of its own, and what an operator does to it."""

import json
import os
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from app.access import Role
from app.tokens import make
from tests.compose.docker import HERE, ROOT, compose_command, docker, inspect, run, stand_in
from tests.compose.pacs import Pacs
from tests.integration.receive.dcmtk import free_port

MAIN = ROOT / "docker-compose.yml"
FOR_TESTS = HERE / "compose.test.yml"
DELIVERED_SETTINGS = ROOT / "deploy" / "compose" / "vigil.yaml"
SERVICE_LABEL = "com.docker.compose.service"
PROJECT_LABEL = "com.docker.compose.project"
START_PATIENCE_S = 420.0
PATIENCE_S = 420.0
GLANCE_S = 1.0
LOG_LINES = "400"


@dataclass
class Stack:
    """Containers, networks and volumes of one project.

    Attributes:
        project: Its name.
        folder: Settings and secrets.
        image: Of Vigil.
        files: Compose files, the main one first.
        token: Of an operator, for the web side.
        more: Further variables of the compose files.
        trust: What the web side's certificate is checked by, where it speaks HTTPS.
    """

    project: str
    folder: Path
    image: str
    files: tuple[Path, ...]
    token: str
    dicom_port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)
    pacs_port: int = field(default_factory=free_port)
    more: Mapping[str, str] = field(default_factory=dict)
    trust: ssl.SSLContext | None = None

    @property
    def pacs(self) -> Pacs:
        return Pacs(self.pacs_port)

    @property
    def environment(self) -> dict[str, str]:
        """What Compose fills into the files: nothing of the caller's, so that every machine tests the same."""
        mine = {name: value for name, value in os.environ.items() if not name.startswith(("VIGIL_", "COMPOSE_"))}
        return {
            **mine,
            "VIGIL_IMAGE": self.image,
            "VIGIL_POSTGRES_IMAGE": "vigil-test/postgres",
            "VIGIL_DICOM_PORT": str(self.dicom_port),
            "VIGIL_WEB_PORT": str(self.http_port),
            "VIGIL_DICOM_ADDRESS": "127.0.0.1",
            "VIGIL_SETTINGS": str(self.folder / "vigil.yaml"),
            "VIGIL_SECRETS": str(self.folder / "secrets"),
            "VIGIL_TEST_PACS_PORT": str(self.pacs_port),
            "COMPOSE_HTTP_TIMEOUT": "300",
            **self.more,
        }

    def compose(self, *arguments: str, timeout_s: float = 600.0) -> str:
        """Run Compose on this project; what it wrote to standard output."""
        files = [part for file in self.files for part in ("-f", str(file))]
        empty = self.folder / "empty.env"
        empty.touch()
        command = [*compose_command(), "--env-file", str(empty), "-p", self.project, *files, *arguments]
        return run(command, timeout_s, self.environment)

    def up(self, *arguments: str, patience_s: float = START_PATIENCE_S) -> None:
        """`up -d`, and wait until every container is healthy."""
        try:
            self.compose("up", "-d", *arguments, timeout_s=patience_s + 300)
            self.await_health(patience_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs()}") from error

    def containers(self, service: str = "") -> list[dict[str, Any]]:
        """What the engine knows of the project's containers, those that ended too."""
        filters = ["--filter", f"label={PROJECT_LABEL}={self.project}"]
        if service:
            filters += ["--filter", f"label={SERVICE_LABEL}={service}"]
        names = docker("ps", "-aq", *filters).split()
        return sorted(inspect(*names), key=lambda each: str(each["Name"]))

    def container(self, service: str) -> str:
        """Id of the only container of a service."""
        (found,) = self.containers(service)
        return str(found["Id"])

    def await_health(self, patience_s: float = START_PATIENCE_S) -> None:
        """Wait until every container is healthy, or has done its work where it does one thing and ends."""
        self.until(lambda: not self._ill(), lambda: f"health; not well: {self._ill()}", patience_s)

    def _ill(self) -> dict[str, str]:
        found, containers = {}, self.containers()
        for each in containers:
            state = each["State"]
            health = (state.get("Health") or {}).get("Status", "without a health check")
            done = state["Status"] == "exited" and state["ExitCode"] == 0
            if health != "healthy" and not done:
                found[each["Name"].strip("/")] = f"{state['Status']} {state['ExitCode']} {health}"
        return found or ({} if containers else {"": "no containers"})

    def crash(self, service: str) -> None:
        """Kill every process of a service from within, as the kernel does where memory is short.

        The restart policy starts it again; after `docker kill` it would not.
        """
        container = self.container(service)
        before = started_at(container)
        subprocess.run(
            ["docker", "exec", container, "sh", "-c", "kill -9 -1"], capture_output=True, check=False, timeout=60
        )
        self.until(lambda: started_at(container) != before, f"{service} to be started again")

    def kill(self, service: str) -> None:
        """`docker kill`: gone at once, until `start` brings it back."""
        docker("kill", self.container(service))

    def start(self, service: str) -> None:
        """`docker start`."""
        docker("start", self.container(service))

    def execute(self, service: str, *command: str) -> str:
        """Run a command in the container of a service, as the user of the service."""
        return docker("exec", self.container(service), *command)

    def ask(self, path: str) -> Any:
        """What the web side answers in JSON; None where nobody answers, as while it starts."""
        try:
            with urllib.request.urlopen(self._request(path), timeout=30, context=self.trust) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            # /health tells in its body what is ill; anything else is a failure of the test.
            assert error.code == 503, f"{path}: {error.code} {error.read()!r}"
            return json.load(error)
        except (OSError, ValueError):
            return None

    def _request(self, path: str) -> urllib.request.Request:
        scheme = "http" if self.trust is None else "https"
        address = f"{scheme}://localhost:{self.http_port}{path}"
        return urllib.request.Request(address, headers={"Authorization": f"Bearer {self.token}"})

    def page(self, key: str) -> str:
        """The page of a revision, as people see it.

        Raises:
            urllib.error.HTTPError: There is none.
        """
        with urllib.request.urlopen(self._request(f"/study/{key}"), timeout=30, context=self.trust) as answer:
            return str(answer.read().decode())

    def health(self) -> Mapping[str, Any]:
        """`/health`; {} where nobody answers."""
        return self.ask("/health") or {}

    def until(
        self, condition: Callable[[], object], what: str | Callable[[], str], patience_s: float = PATIENCE_S
    ) -> None:
        """Wait for a condition.

        Raises:
            AssertionError: It did not come in time; the message says what was waited for.
        """
        deadline = time.monotonic() + patience_s
        while not condition():
            told = what if isinstance(what, str) else what()
            assert time.monotonic() < deadline, f"waited {patience_s:.0f} s in vain for {told}"
            time.sleep(GLANCE_S)

    def logs(self) -> str:
        """The last lines of every container."""
        try:
            return self.compose("logs", "--no-color", "--tail", LOG_LINES, timeout_s=120)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            return f"no logs: {error}"

    def end(self) -> None:
        """Remove containers, networks and volumes."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "10", timeout_s=300)


def started_at(container: str) -> str:
    """When a container was started the last time."""
    (found,) = inspect(container)
    return str(found["State"]["StartedAt"])


@contextmanager
def installed(
    folder: Path,
    image: str,
    *,
    overlays: Sequence[Path] = (),
    files: Sequence[Path] = (MAIN, FOR_TESTS),
    more: Mapping[str, str] | None = None,
    **sections: Mapping[str, object],
) -> Iterator[Stack]:
    """An installation that is not started yet, removed with all it has in the end.

    Args:
        folder: Gets settings and secrets.
        image: Of Vigil.
        overlays: Further compose files.
        files: The compose files that these go on top of.
        more: Further variables of the compose files.
        sections: What differs from the delivered settings, by section.
    """
    stand_in("postgres")
    stand_in("pacs")
    write_settings(folder / "vigil.yaml", sections)
    token = write_secrets(folder / "secrets")
    project = f"vigil-test-{os.urandom(4).hex()}"
    stack = Stack(project, folder, image, (*files, *overlays), token, more=more or {})
    try:
        yield stack
    finally:
        stack.end()
        shutil.rmtree(folder, ignore_errors=True)


def write_secrets(folder: Path) -> str:
    """The secrets of an installation; the token of an operator."""
    folder.mkdir()
    (folder / "database_password").write_text(os.urandom(16).hex())
    secret, token = make("compose-test", Role.OPERATOR)
    (folder / "web_tokens").write_text(token.line())
    return secret


def write_settings(path: Path, sections: Mapping[str, Mapping[str, object]]) -> None:
    """The settings as they are delivered, with a PACS, less patience, and these changes."""
    raw = yaml.safe_load(DELIVERED_SETTINGS.read_text())
    changes: Mapping[str, Mapping[str, object]] = {
        "assembly": {"idle_s": 1.0, "interrupted_s": 5.0},
        "inference": {"threads": 1},
        "spool": {"min_free_mb": 50},
        "http": {"access": {"tokens_file": "/run/secrets/web_tokens"}},
    }
    for section, values in (*changes.items(), *sections.items()):
        raw[section] = {**raw.get(section, {}), **values}
    raw["destinations"] = [
        {"name": "pacs", "host": "pacs", "port": 4242, "ae_title": "PACS", "attempts": 60, "backoff_s": 0.5,
         "timeout_s": 10, "documents": ["sr", "key_image", "seg"]}
    ]  # fmt: skip
    path.write_text(yaml.safe_dump(raw))
