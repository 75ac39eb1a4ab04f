"""The pause before the next attempt at a delivery."""

import time

import pytest

from app.destinations import WebhookDestination
from app.documents import Receipt, Waiting
from app.errors import Retryable
from app.workflow_delivery import LONGEST_BACKOFF_S, again

DESK = WebhookDestination.model_validate(
    {"kind": "webhook", "name": "desk", "url": "https://desk.local", "backoff_s": 2, "attempts": 40}
)


@pytest.mark.parametrize(
    ("attempt", "asked_s", "pause_s"),
    [(1, 0, 2), (3, 0, 8), (39, 0, LONGEST_BACKOFF_S), (1, 120, 120), (3, 5, 8), (1, 3600, 3600)],
)
def test_it_doubles_and_is_no_shorter_than_the_destination_asked(attempt: int, asked_s: float, pause_s: float) -> None:
    before = time.time()
    waiting = again("x.json", DESK, attempt, Retryable("desk: 503 Service Unavailable", after_s=asked_s))
    assert isinstance(waiting, Waiting)
    assert before + pause_s <= waiting.until <= time.time() + pause_s


def test_the_last_attempt_is_followed_by_none() -> None:
    ended = again("x.json", DESK, 40, Retryable("desk: 503 Service Unavailable", after_s=120))
    assert isinstance(ended, Receipt)
    assert (ended.delivered, ended.detail) == (False, "given up: desk: 503 Service Unavailable")
