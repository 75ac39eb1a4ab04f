"""Docker and Compose as an operator calls them, and the images of the tests."""

import functools
import hashlib
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
BASE = "python:3.11-slim-bookworm"
CONTENT = "vigil.test.content"
"""Label of an image of the tests: digest of what it was built from."""
BUILD_TIMEOUT_S = 2400.0
COMMAND_TIMEOUT_S = 300.0


def docker(*arguments: str, timeout_s: float = COMMAND_TIMEOUT_S, environment: Mapping[str, str] | None = None) -> str:
    """Run `docker` and return what it wrote.

    Raises:
        AssertionError: It failed; the message has what it said.
    """
    return run(["docker", *arguments], timeout_s, environment)


def run(command: Sequence[str], timeout_s: float, environment: Mapping[str, str] | None = None) -> str:
    """Run a command in the root of the repository and return what it wrote to standard output."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def inspect(*containers: str) -> list[dict[str, Any]]:
    """What the engine knows of containers, in their order."""
    return list(json.loads(docker("inspect", *containers))) if containers else []


@functools.cache
def compose_command() -> tuple[str, ...]:
    """Compose v2 where the engine has the plugin, else v1."""
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False, timeout=60)
    return ("docker", "compose") if plugin.returncode == 0 else ("docker-compose",)


@functools.cache
def _builder() -> Mapping[str, str]:
    """The legacy builder where BuildKit's plugin is missing."""
    plugin = subprocess.run(["docker", "buildx", "version"], capture_output=True, check=False, timeout=60)
    return {"DOCKER_BUILDKIT": "1" if plugin.returncode == 0 else "0"}


def stand_in(name: str) -> str:
    """Build the stand-in of this folder below tests/compose, unless it is there as its files say; its tag."""
    tag, folder = f"vigil-test/{name}", HERE / name
    wanted = _digest(folder)
    labels = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{json .Config.Labels}}", tag],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if labels.returncode or (json.loads(labels.stdout) or {}).get(CONTENT) != wanted:
        build(tag, folder, "--label", f"{CONTENT}={wanted}")
    return tag


def build(tag: str, folder: Path, *options: str) -> None:
    """Build an image; what did not change comes from the engine's cache."""
    docker(
        "build", "--network", "host", "--tag", tag, *options, str(folder),
        timeout_s=BUILD_TIMEOUT_S,
        environment=_builder(),
    )  # fmt: skip


def torch_index() -> tuple[str, ...]:
    """No index of its own for torch where the base image brings wheels; else the one of the Dockerfile."""
    environment = json.loads(docker("image", "inspect", "--format", "{{json .Config.Env}}", BASE)) or []
    brings = any(each.startswith("PIP_FIND_LINKS=") for each in environment)
    return ("--build-arg", "TORCH_INDEX=") if brings else ()


def _digest(folder: Path) -> str:
    """Of the files, their modes, and the base image."""
    digest = hashlib.sha256(docker("image", "inspect", "--format", "{{.Id}}", BASE).encode())
    for path in sorted(folder.iterdir()):
        digest.update(f"{path.name}\0{path.stat().st_mode & 0o111}\0".encode() + path.read_bytes())
    return digest.hexdigest()
