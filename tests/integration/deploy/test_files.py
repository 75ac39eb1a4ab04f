"""What is shipped for servers, read as an engine would: hardening, pins, no secret, and what every file names."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import load

OVERLAYS = ("gpu", "tls", "monitoring", "demo")
ONE_SHOTS = {"migrate", "scanner"}
OURS = {"migrate", "listener", "worker", "web", "pacs", "scanner"}
VARIABLE = re.compile(r"\$\{(\w+)(?:(:?-)([^}]*))?\}")
PINNED = re.compile(r"[\w./-]+:[\w.-]*\d[\w.-]*")
SECRET = re.compile(
    r"BEGIN [A-Z ]*PRIVATE KEY|password[ \t]*[:=][ \t]*['\"]?\w|://\w+:\w+@|vigil_[A-Za-z0-9_-]{40,}", re.IGNORECASE
)


def filled(value: object, variables: Mapping[str, str]) -> Any:
    """A document with its variables filled in as Compose does."""
    if isinstance(value, str):
        return VARIABLE.sub(lambda match: variables.get(match[1], match[3] or ""), value)
    if isinstance(value, dict):
        return {key: filled(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, variables) for each in value]
    return value


def merged(root: Path, *overlays: str, **variables: str) -> dict[str, Any]:
    """The main file with overlays, merged as Compose does it: mappings by key, lists one after the other, but a command
    takes the place of that before.
    """

    def merge(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
        for key, value in more.items():
            if isinstance(value, dict) and isinstance(base.get(key), dict):
                merge(base[key], value)
            elif isinstance(value, list) and isinstance(base.get(key), list) and key not in {"command", "test"}:
                base[key] = [*base[key], *value]
            else:
                base[key] = value
        return base

    found: dict[str, Any] = {}
    for path in (root / "docker-compose.yml", *(root / "deploy" / f"compose.{name}.yml" for name in overlays)):
        merge(found, filled(yaml.safe_load(path.read_text()), variables))
    return found


@pytest.fixture(params=[(), *((name,) for name in OVERLAYS), OVERLAYS], ids=lambda names: "+".join(names) or "plain")
def together(request: pytest.FixtureRequest, root: Path) -> dict[str, Any]:
    return merged(root, *request.param)


def test_every_service_is_hardened(together: dict[str, Any]) -> None:
    for name, service in together["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["init"] is True, name
        assert service["user"] not in {"", "root", "0", "0:0"}, name
        assert service["restart"] == ("no" if name in ONE_SHOTS else "unless-stopped"), name
        assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices"} & service.keys(), name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name


def test_our_services_are_the_user_of_the_image(together: dict[str, Any]) -> None:
    for name, service in together["services"].items():
        if name in OURS:
            assert (service["user"], service["image"]) == ("10001:10001", "vigil:latest"), name


def test_one_service_builds_our_image_and_the_others_wait_for_it(together: dict[str, Any]) -> None:
    """Several that build one tag are built at the same time by Compose v2, and get in each other's way. Compose 1.29
    takes services in the order of their dependencies, and asks a registry for an image that is not there by then.
    """
    services = together["services"]
    assert {name for name, each in services.items() if "build" in each} == {"migrate"}
    assert services["migrate"]["build"]["target"] == "service"
    for name, each in services.items():
        if each["image"] == services["migrate"]["image"] and name != "migrate":
            assert each["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}, name


def test_every_service_has_limits_and_a_health_check(together: dict[str, Any]) -> None:
    for name, service in together["services"].items():
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"]), name
        assert float(service["cpus"]) >= 0, name
        assert 0 < int(service["pids_limit"]) <= 512, name
        if name in ONE_SHOTS:
            assert service["healthcheck"] == {"disable": True}, name
        else:
            assert service["healthcheck"].keys() == {"test", "interval", "timeout", "retries", "start_period"}, name


def test_every_image_is_pinned(together: dict[str, Any]) -> None:
    for name, service in together["services"].items():
        assert service["image"] == "vigil:latest" or PINNED.fullmatch(service["image"]), name


def test_every_volume_network_and_secret_is_declared_and_used(together: dict[str, Any]) -> None:
    used: dict[str, set[str]] = {"volumes": set(), "networks": set(), "secrets": set()}
    for name, service in together["services"].items():
        used["networks"] |= set(service["networks"])
        used["secrets"] |= set(service.get("secrets", ()))
        for mount in service.get("volumes", ()):
            source, target, *mode = mount.split(":")
            if source.startswith((".", "/")):
                assert mode == ["ro"], f"{name}: {mount}"
            else:
                used["volumes"].add(source)
            assert target.startswith(("/var/lib/", "/etc/", "/prometheus")), f"{name}: {mount}"
    for kind, names in used.items():
        assert names == together[kind].keys(), kind


def test_the_rest_starts_after_a_healthy_database_that_was_migrated(together: dict[str, Any]) -> None:
    services = together["services"]
    assert services["migrate"]["depends_on"] == {"database": {"condition": "service_healthy"}}
    for name in ("listener", "worker", "web"):
        assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}, name


def test_the_database_is_on_an_inner_network_alone(together: dict[str, Any]) -> None:
    assert together["services"]["database"]["networks"] == ["inner"]
    assert "ports" not in together["services"]["database"]
    assert together["networks"]["inner"] == {"internal": True}


def test_only_the_listener_is_published_beyond_this_server(together: dict[str, Any]) -> None:
    for name, service in together["services"].items():
        for port in service.get("ports", ()):
            assert port.startswith("0.0.0.0:" if name == "listener" else "127.0.0.1:"), f"{name}: {port}"


def test_files_that_are_mounted_exist(together: dict[str, Any], root: Path) -> None:
    made_by_setup = {"./deploy/certificates", "./deploy/secrets/web"}
    for name, service in together["services"].items():
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            assert not source.startswith(".") or source in made_by_setup or (root / source).exists(), f"{name}: {mount}"


def test_every_variable_has_a_default(root: Path) -> None:
    for path in (root / "docker-compose.yml", *sorted((root / "deploy").glob("compose.*.yml"))):
        for name, mark, _ in VARIABLE.findall(path.read_text()):
            assert mark, f"{path.name}: {name}"


def test_no_secret_lies_in_what_is_shipped(root: Path) -> None:
    shipped = subprocess.run(
        ["git", "ls-files", "-z", "deploy", "docker-compose.yml", "Dockerfile", ".dockerignore", "wheelhouse"],
        cwd=root, capture_output=True, text=True, check=True, timeout=60,
    ).stdout.split("\0")  # fmt: skip
    assert "docker-compose.yml" in shipped
    for name in filter(None, shipped):
        assert not SECRET.search((root / name).read_text()), name


@pytest.mark.parametrize("text", ["-----BEGIN EC PRIVATE KEY-----", "password: geheim", "postgresql://u:p@h/d"])
def test_what_looks_like_a_secret_is_found(text: str) -> None:
    assert SECRET.search(text)


@pytest.mark.parametrize("overlays", [(), *((name,) for name in OVERLAYS)], ids=str)
def test_the_settings_of_the_containers_are_understood_with_the_environment_of_each(
    root: Path, overlays: tuple[str, ...]
) -> None:
    for name, service in merged(root, *overlays)["services"].items():
        if name in OURS - {"pacs"}:
            settings = load(root / "deploy" / "compose" / "vigil.yaml", service.get("environment", {}))
            mounts = {mount.split(":")[-2 if mount.endswith(":ro") else -1] for mount in service["volumes"]}
            if name in {"listener", "worker", "web"}:
                assert {str(settings.spool.folder), str(settings.results), str(settings.run)} <= mounts, name
            if name in {"worker", "web"}:
                assert {str(folder) for folder in settings.bundles.also} <= mounts, name
            if name in {"worker", "web", "migrate"}:
                assert settings.database.password_file is not None
                assert settings.database.password_file.name in service["secrets"], name
            if name == "web":
                assert settings.http.access.tokens_file is not None
                assert str(settings.http.access.tokens_file.parent) in mounts, "a folder: files are replaced"


READERS = ("migrate", "listener", "worker", "web")
"""Who reads the settings in every installation."""


@pytest.mark.parametrize("overlays", [(), *((name,) for name in OVERLAYS), OVERLAYS], ids=str)
def test_all_services_read_the_same_settings(root: Path, overlays: tuple[str, ...]) -> None:
    """What stands in the settings of one service alone may keep another, which reads the same file, from starting."""
    its_own = {"worker": "VIGIL_INFERENCE__DEVICE", "web": "VIGIL_HTTP__ACCESS__ANONYMOUS"}
    services = merged(root, *overlays)["services"]
    environments = []
    for name in READERS:
        given = services[name].get("environment", {})
        environments.append({key: value for key, value in given.items() if key != its_own.get(name)})
    assert environments == [environments[0]] * len(READERS)


@pytest.mark.parametrize("name", READERS)
def test_a_peer_with_a_certificate_is_understood_by_every_service(root: Path, tmp_path: Path, name: str) -> None:
    """As docs/runbook/certificates.md adds a scanner."""
    raw = yaml.safe_load((root / "deploy" / "compose" / "vigil.yaml").read_text())
    raw["listener"]["peers"] = [{"ae_title": "CT1", "certificate": {"names": ["ct1.hospital.example"]}}]
    (tmp_path / "vigil.yaml").write_text(yaml.safe_dump(raw))
    settings = load(tmp_path / "vigil.yaml", merged(root, "tls")["services"][name]["environment"])
    assert [peer.ae_title for peer in settings.listener.peers] == ["CT1"]


def test_tls_is_demanded_of_scanners_and_browsers_with_its_overlay(root: Path) -> None:
    for name in READERS:
        service = merged(root, "tls")["services"][name]
        settings = load(root / "deploy" / "compose" / "vigil.yaml", service["environment"])
        assert settings.listener.tls is not None
        assert settings.listener.tls.client_certificates == "required"
        assert settings.http.tls is not None
        mounted = any("/etc/vigil/certificates" in mount for mount in service["volumes"])
        assert mounted == (name in {"listener", "web"}), "keys go to who opens a port, and to nobody else"


def test_variables_fill_in_as_compose_does() -> None:
    assert filled("${A:-1}/${B-2}/${C:-}", {"A": "x"}) == "x/2/"


# ---- the Dockerfile


@pytest.fixture
def instructions(root: Path) -> list[tuple[str, str]]:
    """(instruction, rest) of the Dockerfile, lines that go on joined."""
    text = re.sub(r"^\s*#.*\n", "", (root / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(words[0].upper(), words[1]) for line in text.splitlines() if (words := line.split(maxsplit=1))]


def test_the_dockerfile_builds_without_buildkit_and_without_a_registry_but_for_its_base(
    instructions: list[tuple[str, str]], root: Path
) -> None:
    assert "# syntax" not in (root / "Dockerfile").read_text()
    stages: set[str] = set()
    for name, rest in instructions:
        assert not (name in {"RUN", "COPY"} and re.match(r"--(mount|link|chmod|network|security)", rest)), rest
        assert name != "ADD", "COPY says what it does"
        if name == "FROM":
            source, _, stage = rest.partition(" AS ")
            assert source in {"${BASE}", *stages}, rest
            stages.add(stage)
    assert {"service", "train"} <= stages


def test_the_last_stage_is_the_service(instructions: list[tuple[str, str]]) -> None:
    assert [rest for name, rest in instructions if name == "FROM"][-1].startswith("service AS ")


def test_the_image_runs_as_a_numbered_user_and_ends_on_sigterm(instructions: list[tuple[str, str]]) -> None:
    users = [rest for name, rest in instructions if name == "USER"]
    assert users
    assert set(users) == {"10001:10001"}
    assert ("STOPSIGNAL", "SIGTERM") in instructions
    assert [rest for name, rest in instructions if name == "ENTRYPOINT"] == [
        '["/usr/bin/tini", "-s", "--", "python", "-m", "app"]',
        '["/usr/bin/tini", "-s", "--"]',
    ]


def test_what_the_dockerfile_copies_is_let_into_the_build_and_exists(
    instructions: list[tuple[str, str]], root: Path
) -> None:
    ignored = (root / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    allowed = tuple(line[1:] for line in ignored if line.startswith("!"))
    for name, rest in instructions:
        if name == "COPY" and not rest.startswith("--from="):
            for source in rest.split()[:-1]:
                assert (root / source).exists(), source
                assert source.startswith(allowed), f"{source} is kept out by .dockerignore"


@pytest.mark.parametrize(("stage", "folders"), [("service", "app bundles"), ("train", "app bundles pretraining")])
def test_code_that_was_cloned_for_its_owner_alone_can_be_read_in_the_image(
    instructions: list[tuple[str, str]], root: Path, tmp_path: Path, stage: str, folders: str
) -> None:
    """With umask 027 or 077 the files of a clone are 0640 or 0600, and COPY keeps that. The command itself is run."""
    inside = [number for number, (name, _) in enumerate(instructions) if name == "FROM"]
    begin = next(number for number in inside if instructions[number][1].endswith(f" AS {stage}"))
    steps = instructions[begin : next((number for number in inside if number > begin), None)]
    copied = max(n for n, (name, rest) in enumerate(steps) if name == "COPY" and not rest.startswith("--from="))
    name, command = steps[copied + 1]
    assert name == "RUN"
    let, _, then = command.partition(" && ")
    assert "compileall" in then, "bytecode has the mode of its source"
    for folder in folders.split():
        (tmp_path / folder / "inner").mkdir(parents=True)
        (tmp_path / folder / "inner" / "code.py").touch()
    for path in tmp_path.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    (tmp_path / "LICENSE").touch(mode=0o600)
    subprocess.run(["sh", "-euc", let], cwd=tmp_path, check=True, timeout=60)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_dir()} == {0o755}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()} == {0o644}


def test_nothing_of_a_hospital_gets_into_the_build(root: Path) -> None:
    allowed = {line[1:] for line in (root / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert allowed == {
        "app", "bundles", "pretraining", "deploy/ca", "deploy/image", "wheelhouse", "pyproject.toml", "constraints.txt",
        "LICENSE",
    }  # fmt: skip
    for path in ("deploy/secrets/x", "deploy/site/vigil.yaml", "deploy/certificates/dicom.key", ".env"):
        assert subprocess.run(["git", "check-ignore", "-q", path], cwd=root, check=False, timeout=60).returncode == 0, (
            path
        )


def test_every_base_package_is_pinned(root: Path) -> None:
    pins = dict(line.split("==") for line in (root / "constraints.txt").read_text().split())
    for stage in ("service", "train"):
        command = ["python3", "deploy/image/requirements.py", stage]
        listed = subprocess.run(
            command, cwd=root, capture_output=True, text=True, check=True, timeout=60
        ).stdout.split()
        assert listed
        known = {name.lower().replace("_", "-") for name in pins}
        for requirement in listed:
            assert re.split(r"[^A-Za-z0-9_.-]", requirement)[0].lower().replace("_", "-") in known, requirement


@pytest.mark.parametrize(
    "name",
    [
        "setup",
        "backup",
        "restore",
        "image/install",
        "image/install-torch",
        "image/slim",
        "image/system-packages",
        "image/fill-wheelhouse",
    ],
)
def test_scripts_are_plain_shell_and_executable(root: Path, name: str) -> None:
    path = root / "deploy" / name
    assert os.access(path, os.X_OK)
    assert path.read_text().startswith("#!/bin/sh\n")
    subprocess.run(["sh", "-n", str(path)], check=True, timeout=60)
