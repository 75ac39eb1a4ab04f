"""What an open worklist is told, by a web side that runs: that something has changed, and nothing of any study."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from app import outcomes
from app.settings import load
from app.workflow_migration import migrate
from tests.integration.receive.certificates import Hospital
from tests.integration.receive.dcmtk import free_port
from tests.integration.web.test_https import configured, new_token, web
from tests.unit.test_outcomes import KEY, PUBLISHED, RECEIVED

PATIENCE_S = 60.0


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, int, Hospital]:
    hospital, port = Hospital(tmp_path / "certificates"), free_port()
    return configured(tmp_path, hospital, port), port, hospital


def turns(lines: Iterator[str]) -> Iterator[int]:
    deadline, before = time.monotonic() + PATIENCE_S, -1
    for line in lines:
        assert time.monotonic() < deadline
        name, _, value = line.partition(": ")
        assert name in {"", "retry", "id", "event", "data"}
        # No worker runs here: after a while the mark says so too, of the same turn.
        turn = int(value.removesuffix(".silent")) if name == "data" else before
        if turn != before:
            before = turn
            yield turn


def test_a_change_is_told_and_a_stop_waits_for_no_stream(place: tuple[Path, int, Hospital]) -> None:
    config, port, hospital = place
    settings = load(config, {})
    migrate(settings.database)
    headers = {"Authorization": f"Bearer {new_token(config, 'ann', 'viewer')}"}
    trusted = hospital.client(None)
    opened = ExitStack()
    with web(config, port):
        client = httpx.Client(verify=trusted, base_url=f"https://127.0.0.1:{port}", timeout=PATIENCE_S, headers=headers)
        assert httpx.get(f"https://127.0.0.1:{port}/events", verify=trusted).status_code == 401
        while (answer := client.get("/", params={"q": ""})).status_code != 200 or "being filled" in answer.text:
            time.sleep(0.2)
        events = opened.enter_context(client.stream("GET", "/events"))
        assert events.headers["content-type"].startswith("text/event-stream")
        told = turns(events.iter_lines())
        first = next(told)
        outcomes.begin(settings.results, RECEIVED)
        second = next(told)
        assert second > first
        assert f'id="{KEY}"' in client.get("/").text
        outcomes.record(settings.results / KEY, lambda _: replace(PUBLISHED, notes=("more",)))
        assert next(told) > second
    with opened:
        # It came to its end as the process stopped, and was not cut off: that would raise here.
        assert list(told) == []
    assert "Doe" not in (config.parent / "web.log").read_text()
    assert json.loads((settings.results / KEY / "outcome.json").read_text())["state"] == "processing"
