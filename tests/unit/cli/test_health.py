"""What the health checks of containers say, of real parts."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app import health
from app.__main__ import cli
from app.cli.serve import free_port
from app.receive.listener import running
from app.settings import Settings
from app.wellness import leave_sign, remove_sign

FULL = """{
    "ok": false, "version": "1", "parts": {"spool": {"ok": false, "detail": "full"}, "web": {"ok": true, "detail": ""}}
}"""


def make(folder: Path, **sections: dict[str, object]) -> Settings:
    return Settings.model_validate(
        {
            "listener": {"host": "127.0.0.1", "port": free_port("127.0.0.1"), **sections.get("listener", {})},
            "spool": {"folder": folder / "spool", "min_free_mb": 0},
            "results": folder / "results",
            "run": folder / "run",
            "worker": {"id": "one", "takeover_s": 1.5, **sections.get("worker", {})},
            "http": {"port": free_port("127.0.0.1")},
            "database": {"url": f"sqlite:///{folder}/vigil.sqlite"},
        }
    )


def test_a_listener_is_asked_here_wherever_others_find_it(tmp_path: Path) -> None:
    settings = make(tmp_path, listener={"address": "no-such-host.invalid"})
    assert not health.of_listener(settings).ok
    with running(settings):
        assert health.of_listener(settings).ok


def test_a_worker_is_well_while_it_beats(tmp_path: Path) -> None:
    settings = make(tmp_path)
    found = health.of_worker(settings)
    assert (found.ok, "it warms up its networks first" in found.detail) == (False, True)
    settings.run.mkdir()
    leave_sign(settings)
    found = health.of_worker(settings)
    assert (found.ok, found.detail) == (True, "worker 'one' beats")


def test_a_worker_that_beat_a_while_ago_is_not_well_until_it_beats_again(tmp_path: Path) -> None:
    settings = make(tmp_path)
    settings.run.mkdir()
    leave_sign(settings)
    (sign,) = settings.run.iterdir()
    os.utime(sign, (time.time() - 7, time.time() - 7))
    found = health.of_worker(settings)
    assert (found.ok, found.detail) == (False, "worker 'one' did not beat for 7 s; see its log, and database.url")
    leave_sign(settings)
    assert health.of_worker(settings).ok
    remove_sign(settings)
    assert not health.of_worker(settings).ok


def test_another_worker_does_not_answer_for_ours(tmp_path: Path) -> None:
    settings = make(tmp_path)
    settings.run.mkdir()
    leave_sign(make(tmp_path, worker={"id": "two"}))
    assert not health.of_worker(settings).ok


def test_a_sign_that_cannot_be_left_stops_nobody(tmp_path: Path) -> None:
    settings = make(tmp_path)
    settings.run.write_text("no folder")
    leave_sign(settings)
    remove_sign(settings)
    settings.run.unlink()
    assert not health.of_worker(settings).ok


def test_the_check_of_a_worker_loads_neither_a_database_nor_dicom() -> None:
    """It runs every half minute beside analyses that want the processor."""
    loaded = (
        "import sys, app.health; print(*sorted({'sqlalchemy', 'dbos', 'pynetdicom', 'pydicom'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("role", "answers", "ok", "words"),
    [
        ("web", {"/health/live": (200, '{"ok": true}')}, True, "answers on port"),
        ("web", {"/health/live": (500, "")}, False, "does not answer; see its log"),
        ("web", None, False, "does not answer; see its log"),
        ("serve", {"/health": (200, '{"ok": true, "version": "1", "parts": {}}')}, True, "every part works"),
        ("serve", {"/health": (200, "{}")}, False, "is not the web side; see http.port"),
        ("serve", {"/health": (503, FULL)}, False, "spool: full"),
        ("serve", {"/health": (503, "<html>")}, False, "does not answer; see its log"),
        ("serve", None, False, "does not answer; see its log"),
    ],
)
def test_the_web_side_is_asked_by_http(
    tmp_path: Path, role: str, answers: dict[str, tuple[int, str]] | None, ok: bool, words: str
) -> None:
    settings = make(tmp_path)
    with serving(settings.http.port, answers):
        found = health.ROLES[role](settings)
    assert (found.ok, words in found.detail) == (ok, True)


def test_the_command_says_one_line_and_tells_by_its_code(tmp_path: Path) -> None:
    settings = make(tmp_path)
    config = tmp_path / "vigil.yaml"
    config.write_text(f"http: {{port: {settings.http.port}}}\nrun: {tmp_path / 'run'}\n")
    with serving(settings.http.port, {"/health/live": (200, '{"ok": true}')}):
        found = CliRunner().invoke(cli, ["health", "web", "--config", str(config)])
    assert (found.exit_code, found.stdout.count("\n")) == (0, 1)
    assert found.stdout.startswith("web: well: ")
    assert CliRunner().invoke(cli, ["health", "web", "--config", str(config)]).exit_code == 1
    refused = CliRunner().invoke(cli, ["health", "wroker", "--config", str(config)])
    assert "did you mean 'worker'?" in str(refused.exception)


@contextmanager
def serving(port: int, answers: dict[str, tuple[int, str]] | None) -> Iterator[None]:
    """A web side that gives these answers; None: nobody is there."""
    if answers is None:
        yield
        return

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path, (404, ""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
