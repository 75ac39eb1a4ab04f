"""Attempts are counted as the settings of a destination promise; the notice of an urgent report is measured once."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from app.breakers import Breakers
from app.destinations import DicomDestination
from app.documents import Document, Receipt, Waiting
from app.errors import Retryable
from app.report import encode
from app.settings import Settings
from app.workflow_delivery import attempt_delivery
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
