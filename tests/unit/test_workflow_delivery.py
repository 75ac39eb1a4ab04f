"""Attempts are counted as the settings of a destination promise; the notice of an urgent report is measured once."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from app import outcomes
from app.breakers import Breakers
from app.destinations import DicomDestination
from app.documents import Document, Receipt, Waiting
from app.errors import Retryable
from app.outcomes import Shipment, State, StudyOutcome
from app.report import encode
from app.settings import Settings
from app.workflow_delivery import attempt_delivery, replay
from app.workflow_shipping import Shipping
from tests.unit.report.factory import MADE_AT
from tests.unit.report.radiographs import chest_report, chest_study
from tests.unit.test_outcomes import PUBLISHED


@pytest.fixture
def sr(tmp_path: Path) -> Document:
    return encode(chest_report(), chest_study(tmp_path / "study"), tmp_path / "out", made_at=MADE_AT)[0]


@pytest.fixture
def nobody() -> DicomDestination:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return DicomDestination(name="pacs", host="127.0.0.1", port=port, ae_title="PACS", breaker_after=1, attempts=2)


def test_an_urgent_document_that_goes_before_the_pause_is_over_keeps_its_attempts(
    sr: Document, nobody: DicomDestination
) -> None:
    breakers = Breakers()
    with pytest.raises(Retryable), breakers.passage(nobody, urgent=False):
        raise Retryable("down")
    for _ in range(5):
        found = attempt_delivery(sr, nobody, 2, breakers, urgent=True)
        assert isinstance(found, Waiting)
        assert (found.attempts, "no connection" in found.detail) == (1, True)


def test_the_last_attempt_of_a_destination_in_service_is_the_end(sr: Document, nobody: DicomDestination) -> None:
    found = attempt_delivery(sr, nobody, 2, Breakers(), urgent=True)
    assert isinstance(found, Receipt)
    assert (found.delivered, found.attempts) == (False, 2)


@pytest.fixture
def down(tmp_path: Path, sr: Document, nobody: DicomDestination) -> tuple[Settings, StudyOutcome]:
    """A study whose SR waits for a destination that is away."""
    settings = Settings(results=tmp_path / "results", run=tmp_path / "run", destinations=(nobody,))
    waiting = Waiting("pacs", sr.path.name, 3, "no connection", 2e9, ("1.2.3",))
    shipments = (Shipment(sr.path.name, "pacs"),)
    known = replace(PUBLISHED, documents=(sr,), shipments=shipments, receipts=(), waiting=(waiting,))
    return settings, outcomes.begin(settings.results, known)


def test_a_replay_in_vain_does_not_end_a_delivery_that_goes_on(down: tuple[Settings, StudyOutcome]) -> None:
    settings, known = down
    (receipt,) = replay(settings, known.key)
    assert not receipt.delivered
    assert receipt.detail.endswith("its delivery goes on by itself")
    after = outcomes.read(settings.results / known.key)
    assert after is not None
    assert (after.state, after.waiting, after.receipts) == (State.PROCESSING, known.waiting, ())


@pytest.mark.parametrize(
    ("until", "words"),
    [
        (0.0, "goes on once a worker runs; no worker looks at it"),
        (None, "its delivery goes on by itself while a worker runs"),
    ],
)
def test_a_replay_in_vain_promises_nothing_that_only_a_worker_can_keep(
    until: float | None, words: str, down: tuple[Settings, StudyOutcome]
) -> None:
    settings, known = down
    left = () if until is None else tuple(replace(each, until=until) for each in known.waiting)
    outcomes.record(settings.results / known.key, lambda found: replace(found, waiting=left))
    (receipt,) = replay(settings, known.key)
    assert receipt.detail.endswith(words)


def test_a_replay_in_vain_of_a_dead_letter_stays_one(down: tuple[Settings, StudyOutcome]) -> None:
    settings, known = down
    dead = Receipt("pacs", known.documents[0].path.name, False, 5, "given up")
    outcomes.record(settings.results / known.key, lambda found: outcomes.with_receipt(found, dead))
    (receipt,) = replay(settings, known.key)
    assert (receipt.delivered, receipt.attempts) == (False, 6)
    after = outcomes.read(settings.results / known.key)
    assert after is not None
    assert (after.state, after.receipts) == (State.UNDELIVERED, (receipt,))


def test_the_notice_of_an_urgent_report_is_measured_once(tmp_path: Path) -> None:
    """Deliveries of one report run side by side: each knows the study as it was before the other's receipt."""
    report = chest_report()
    documents = encode(report, chest_study(tmp_path / "study"), tmp_path / "out", made_at=MADE_AT)
    known = replace(PUBLISHED, reports=(report,), documents=documents)
    shipping = Shipping.of(Settings(results=tmp_path / "results", run=tmp_path / "run"))
    assert report.urgent

    def count() -> float:
        return REGISTRY.get_sample_value("vigil_urgent_notice_seconds_count") or 0.0

    before = count()
    for document in documents:
        shipping._notice(known, Receipt("pacs", document.path.name, True, 1, "0x0000 Success"))
    assert count() == before + 1
