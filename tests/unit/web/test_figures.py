"""The web side's figures of an installation: taken again and again, back to zero when something is over."""

import time
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from app import outcomes
from app.settings import Settings
from app.web.figures import Figures
from app.web.health import Knock, Pulse
from tests.unit.test_outcomes import DELIVERED, KEY, PUBLISHED, REFUSED

FREE_MB = 7


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "spool").mkdir()
    return Settings.model_validate(
        {
            "listener": {"host": "127.0.0.1", "port": 1},  # nobody listens there
            "spool": {"folder": tmp_path / "spool", "min_free_mb": FREE_MB},
            "results": tmp_path / "results",
            "run": tmp_path / "run",
            "destinations": [{"name": "quiet", "host": "127.0.0.1", "port": 1, "ae_title": "X"}],
        }
    )


@pytest.fixture
def figures(settings: Settings) -> Figures:
    return Figures.of(settings, Knock(settings), Pulse(dict, 30))


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"vigil_{name}", labels)


def test_a_look_shows_disks_parts_and_what_is_not_finished(figures: Figures, settings: Settings) -> None:
    outcomes.begin(settings.results, PUBLISHED)
    before = time.time()
    figures.look()
    assert (value("figures_looked_at_timestamp_seconds") or 0) >= before
    assert value("spool_min_free_bytes") == FREE_MB << 20
    for folder in ("spool", "results"):
        free, size = value("disk_free_bytes", folder=folder), value("disk_size_bytes", folder=folder)
        assert free is not None
        assert size is not None
        assert 0 < free < size
    assert value("part_ok", part="listener") == 0
    assert value("part_ok", part="spool") == 1
    assert value("workers_alive") == 0
    assert value("documents_waiting", destination="pacs") == 1
    assert (value("documents_waiting_oldest_seconds", destination="pacs") or 0) > 1e9, "received in 1970"
    assert value("studies_unfinished") == 1


def test_a_destination_that_nothing_happened_to_is_there_at_zero(figures: Figures, settings: Settings) -> None:
    settings.results.mkdir()
    figures.look()
    for name in ("documents_waiting", "dead_letters", "commitments_outstanding"):
        assert value(name, destination="quiet") == 0


def test_what_is_over_goes_back_to_zero(figures: Figures, settings: Settings) -> None:
    outcomes.begin(settings.results, outcomes.with_receipt(PUBLISHED, REFUSED))
    figures.look()
    assert value("dead_letters", destination="pacs") == 1
    outcomes.record(settings.results / KEY, lambda known: outcomes.with_receipt(known, DELIVERED))
    figures.look()
    assert value("dead_letters", destination="pacs") == 0
    assert value("documents_waiting_oldest_seconds", destination="pacs") == 0


def test_who_cannot_look_says_so_and_its_figures_grow_old(
    figures: Figures, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.results.mkdir()
    figures.look()
    looked = value("figures_looked_at_timestamp_seconds")

    def broken() -> None:
        raise PermissionError(13, "Permission denied", "/a/path/with/a^name")

    monkeypatch.setattr(figures.reader, "look", broken)
    with capture_logs() as logs:
        figures.look()
    assert value("figures_looked_at_timestamp_seconds") == looked
    assert [(each["event"], each["error"]) for each in logs] == [("figures_not_taken", "PermissionError")]
    assert "a^name" not in str(logs)
