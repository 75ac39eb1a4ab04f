"""What breaks or hangs becomes words, within a limit, and no message of a foreign error gets through."""

from threading import Event

import pytest

from app.errors import Failed, Rejected
from app.workflow_edges import Stopped, bounded, edge


def test_work_in_time_gives_its_answer() -> None:
    assert bounded(lambda: 42, 10, Event()) == 42


def test_an_error_of_the_work_is_the_callers() -> None:
    def work() -> None:
        raise Rejected("cut off")

    with pytest.raises(Rejected, match="cut off"):
        bounded(work, 10, Event())


def test_work_over_its_time_is_left_alone() -> None:
    release, ended = Event(), Event()

    def work() -> None:
        release.wait()
        ended.set()

    with pytest.raises(Failed, match=r"longer than inference.timeout_s \(0.2 s\)"):
        bounded(work, 0.2, Event())
    assert not ended.is_set()
    release.set()
    assert ended.wait(30)


def test_a_stopping_worker_waits_no_longer() -> None:
    release, stopping = Event(), Event()
    stopping.set()
    with pytest.raises(Stopped):
        bounded(lambda: release.wait(30), 30, stopping)
    release.set()


def test_an_unexpected_error_becomes_ours_without_its_message() -> None:
    with pytest.raises(Failed) as caught, edge("encoding"):
        raise KeyError("Doe^Jane")
    assert str(caught.value) == "the service broke while encoding (KeyError); the log says where"


def test_an_error_on_purpose_passes() -> None:
    with pytest.raises(Rejected, match="slice 4"), edge("encoding"):
        raise Rejected("slice 4 is missing")
