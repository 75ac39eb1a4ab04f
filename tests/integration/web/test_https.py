"""The HTTP side as the process it is, over HTTPS: who asks, and with which certificate it answers."""

import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml

from app.access import Role
from app.cli.serve import ask_health
from app.settings import Settings, load
from app.tls.profile import CIPHERS_1_2
from app.tokens import parse
from tests.integration.receive.certificates import Hospital
from tests.integration.receive.dcmtk import ROOT, await_port, free_port


@contextmanager
def web(config: Path, port: int) -> Iterator[None]:
    with (config.parent / "web.log").open("wb") as log:
        command = [sys.executable, "-m", "app", "web", "--config", str(config)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        await_port(port, process, 120)
        yield
    finally:
        process.terminate()
        assert process.wait(60) == 0


def configured(folder: Path, hospital: Hospital, port: int) -> Path:
    pair = hospital.issue("vigil.hospital.example")
    raw = {
        "spool": {"folder": str(folder / "spool"), "min_free_mb": 0},
        "results": str(folder / "results"),
        "run": str(folder / "run"),
        "database": {"url": f"sqlite:///{folder}/vigil.sqlite"},
        "http": {
            "host": "127.0.0.1",
            "port": port,
            "tls": {name: str(value) for name, value in pair.settings().items()},
            "access": {"tokens_file": str(folder / "tokens")},
        },
    }
    config = folder / "vigil.yaml"
    config.write_text(yaml.safe_dump(raw))
    return config


def new_token(config: Path, name: str, role: str) -> str:
    command = [sys.executable, "-m", "app", "token", name, "--role", role, "--config", str(config)]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def serial(port: int, hospital: Hospital) -> str:
    context = hospital.client(None)
    import socket

    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="vigil") as secure,
    ):
        return str((secure.getpeercert() or {})["serialNumber"])


def test_https_with_tokens_and_a_renewed_certificate(tmp_path: Path) -> None:
    hospital, port = Hospital(tmp_path / "certificates"), free_port()
    config = configured(tmp_path, hospital, port)
    secret = new_token(config, "ann", "viewer")
    assert secret not in (tmp_path / "tokens").read_text()
    trusted = ssl.create_default_context(cafile=str(hospital.ca))
    trusted.check_hostname = False
    with web(config, port):
        with httpx.Client(verify=trusted, base_url=f"https://127.0.0.1:{port}", timeout=30) as client:
            assert client.get("/api/v1/studies").status_code == 401
            answer = client.get("/api/v1/studies", headers={"Authorization": f"Bearer {secret}"})
            assert (answer.status_code, answer.json()) == (200, {"items": [], "next": None})
            assert "max-age" in answer.headers["strict-transport-security"]
            cookie = client.get("/login").headers["set-cookie"]
            assert {"HttpOnly", "Secure", "SameSite=strict"} <= set(cookie.split("; "))
            later = new_token(config, "bob", "operator")
            assert client.get("/api/v1/studies", headers={"Authorization": f"Bearer {later}"}).status_code == 200
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{port}/health/live", timeout=10)
        assert ask_health(f"https://127.0.0.1:{port}", load(config), "/health/live") == {"ok": True}
        health = ask_health(f"https://127.0.0.1:{port}", load(config))
        assert health is not None
        assert "parts" in health
        old = hospital.client(None)
        old.set_ciphers("AES256-SHA:@SECLEVEL=0")
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(OSError, match=r"handshake|HANDSHAKE|reset|EOF"):
            _shake(port, old)
        fit = hospital.client(None)
        fit.maximum_version = ssl.TLSVersion.TLSv1_2
        assert _shake(port, fit) in CIPHERS_1_2
        before = serial(port, hospital)
        hospital.issue("vigil.hospital.example")
        deadline = time.monotonic() + 60
        while serial(port, hospital) == before:
            assert time.monotonic() < deadline, "the renewed certificate is not used"
            time.sleep(0.5)
    assert secret not in (tmp_path / "web.log").read_text()
    found = {token.name: token.role for token in parse((tmp_path / "tokens").read_text(), "")}
    assert found == {"ann": Role.VIEWER, "bob": Role.OPERATOR}


def _shake(port: int, context: ssl.SSLContext) -> str:
    import socket

    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="vigil") as secure,
    ):
        return str((secure.cipher() or ("",))[0])


def test_a_second_token_of_a_name_and_an_unknown_role_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "tokens"

    def made(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "app", "token", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    first = made("ann", "--file", str(file))
    assert (first.returncode, len(first.stdout.strip())) == (0, 49)
    assert file.stat().st_mode & 0o007 == 0
    second = made("ann", "--role", "admin", "--file", str(file))
    assert (second.returncode, second.stdout) == (2, "")
    assert "has a token of 'ann' already" in second.stderr
    unknown = made("bob", "--role", "amdin", "--file", str(file))
    assert unknown.returncode == 2
    assert "did you mean 'admin'" in unknown.stderr
    bare = made("bob", "--role", "viewer")
    assert bare.returncode == 0
    assert "bob viewer sha256:" in bare.stderr


def test_the_settings_name_https(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="key_file"):
        Settings.model_validate({"http": {"tls": {"certificate_file": str(tmp_path / "c")}}})
