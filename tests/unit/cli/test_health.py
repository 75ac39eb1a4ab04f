"""What the health checks of containers say, of real parts."""

import threading
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
from app.workflow_database import Heartbeat, open_engine
from app.workflow_migration import migrate

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
    settings = make(tmp_path, worker={"takeover_s": 30})
    with beating(settings, "one"):
        found = health.of_worker(settings)
    assert (found.ok, found.detail) == (True, "worker 'one' beats")


def test_a_worker_that_beat_once_is_not_well(tmp_path: Path) -> None:
    settings = make(tmp_path)
    migrate(settings.database)
    engine = open_engine(settings.database)
    Heartbeat(engine, "one", 30).beat()
    engine.dispose()
    found = health.of_worker(settings)
    assert (found.ok, found.detail) == (False, "worker 'one' did not beat for 2 s; see its log")


def test_another_worker_does_not_answer_for_ours(tmp_path: Path) -> None:
    settings = make(tmp_path)
    with beating(settings, "two"):
        found = health.of_worker(settings)
    assert (found.ok, "it warms up its networks before the first" in found.detail) == (False, True)


def test_a_database_that_does_not_answer_is_no_beat(tmp_path: Path) -> None:
    settings = make(tmp_path)
    (tmp_path / "vigil.sqlite").write_bytes(b"this is no database, whatever its name says" * 100)
    found = health.of_worker(settings)
    assert (found.ok, found.detail) == (False, "the database does not answer (DatabaseError); see database.url")


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
def beating(settings: Settings, worker: str) -> Iterator[None]:
    """A worker's heart, ten beats a second."""
    migrate(settings.database)
    engine = open_engine(settings.database)
    heart, stop = Heartbeat(engine, worker, 30), threading.Event()
    heart.beat()

    def beat() -> None:
        while not stop.wait(0.1):
            heart.beat()

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        engine.dispose()


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
