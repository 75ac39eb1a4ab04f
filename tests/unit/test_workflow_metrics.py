"""Figures of the workflow: at zero from the start, queues with their age, failures under the name of their kind."""

import time

import pytest
from prometheus_client import REGISTRY

from app import workflow_metrics
from app.errors import FAILURES, AppError, Failed, OutOfMemory, Rejected, Retryable, TookTooLong, Unexpected


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def test_what_has_not_happened_is_there_at_zero() -> None:
    workflow_metrics.announce(["somewhere"], ["some_bundle"])
    for outcome in workflow_metrics.DELIVERY_OUTCOMES:
        assert value("vigil_deliveries_total", destination="somewhere", outcome=outcome) == 0
    assert value("vigil_reports_total", bundle="some_bundle", outcome="failed") == 0
    assert value("vigil_destination_left_alone", destination="somewhere") == 0
    for stage in workflow_metrics.STAGES:
        for reason in FAILURES:
            assert value("vigil_failures_total", stage=stage, reason=reason) is not None


def test_a_queue_has_a_depth_and_an_age() -> None:
    now = time.time() * 1000
    workflow_metrics.show_queue("q", [int(now - 60_000), int(now - 5_000), None])
    assert value("vigil_queue_depth", queue="q") == 3
    assert 59 < (value("vigil_queue_oldest_seconds", queue="q") or 0) < 120
    workflow_metrics.show_queue("q", [])
    assert (value("vigil_queue_depth", queue="q"), value("vigil_queue_oldest_seconds", queue="q")) == (0, 0)
    workflow_metrics.show_queue("q", [int(now + 60_000)])
    assert value("vigil_queue_oldest_seconds", queue="q") == 0, "a clock that was set back"


@pytest.mark.parametrize("kind", [AppError, Retryable, Rejected, Failed, TookTooLong, Unexpected, OutOfMemory])
def test_every_kind_of_error_counts_under_a_known_reason(kind: type[AppError]) -> None:
    assert kind("words").reason in FAILURES
