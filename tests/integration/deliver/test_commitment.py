"""Storage commitment over real associations: answered there, by way of our listener, wrongly, late, or never."""

import json
import threading
import time
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, build_context, evt
from structlog.testing import capture_logs

from app.check import State, check_destinations
from app.commitments import (
    ALL_COMMITTED,
    INVALID_ARGUMENT,
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    SUCCESS,
    Answer,
    Ledger,
    take_report,
)
from app.deliver import commitment, deliver
from app.deliver.association import associate, close
from app.deliver.commitment import ask, verdict
from app.deliver.dimse import peer_of
from app.documents import Document
from app.errors import Rejected, Retryable
from app.receive.listener import running
from app.settings import Settings
from tests.integration.deliver.committing import CommittingPacs, Habits
from tests.integration.deliver.conftest import MakeDestination

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "results")


def listener_settings(ledger: Ledger, folder: Path, *, calls_back: bool = True) -> Settings:
    """Of a listener to which a destination may call back, or none may."""
    commitment = {} if calls_back else None
    return Settings.model_validate(
        {
            "listener": {"host": "127.0.0.1", "port": 0},
            "spool": {"folder": folder, "min_free_mb": 0},
            "results": ledger.results,
            "destinations": [{"name": "pacs", "host": "h", "port": 1, "ae_title": "PACS", "commitment": commitment}],
        }
    )


def wait_for(ledger: Ledger, transaction: str, patience_s: float = 10) -> Answer:
    deadline = time.monotonic() + patience_s
    while (answer := ledger.look(transaction)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return answer


def test_an_answer_on_the_same_association(sr: Document, destination: MakeDestination, ledger: Ledger) -> None:
    with CommittingPacs() as pacs:
        peer = destination(pacs.port)
        deliver(sr, peer)
        transaction, answer = ask(sr, peer, ledger, wait_s=5)
    assert answer == Answer((sr.sop_instance_uid,))
    assert verdict(answer, sr.sop_instance_uid) == ""
    assert (pacs.stored, pacs.asked, pacs.statuses) == ([sr.sop_instance_uid], [transaction], [SUCCESS])


@pytest.mark.parametrize(("before_s", "after_s", "wait_s"), [(0, 1.0, 20), (1.5, 0, 0.5)])
def test_the_association_stays_until_a_report_is_answered(  # noqa: PLR0917  pytest gives all of them by name
    before_s: float, after_s: float, wait_s: float, sr: Document, destination: MakeDestination, ledger: Ledger
) -> None:
    """However long our response takes after the answer is seen; also where the report came, but was not yet read."""

    def slow(event: evt.Event, ledger: Ledger) -> tuple[int, None]:
        time.sleep(before_s)
        status = take_report(event, ledger)
        time.sleep(after_s)
        return status

    with CommittingPacs() as pacs, pytest.MonkeyPatch.context() as patch:
        patch.setattr(commitment, "take_report", slow)
        _, answer = ask(sr, destination(pacs.port), ledger, wait_s=wait_s)
    assert (answer, pacs.statuses) == (Answer((sr.sop_instance_uid,)), [SUCCESS])


def test_a_peer_that_leaves_after_its_report_holds_nobody_up(
    sr: Document, destination: MakeDestination, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time-out of the destination is 30 s; nothing is waited for where there is nobody to answer."""

    def lost(event: evt.Event, ledger: Ledger) -> tuple[int, None]:
        status = take_report(event, ledger)
        time.sleep(0.5)  # for our release, which then waits already
        pacs.hang_up()
        time.sleep(0.5)
        return status

    monkeypatch.setattr(commitment, "take_report", lost)
    with CommittingPacs() as pacs:
        begun = time.monotonic()
        _, answer = ask(sr, destination(pacs.port, timeout_s=30), ledger, wait_s=20)
        took_s = time.monotonic() - begun
    assert answer == Answer((sr.sop_instance_uid,))
    assert took_s < 20


def test_a_report_that_ends_while_we_release_holds_nobody_up(destination: MakeDestination) -> None:
    """pynetdicom's thread of the report says that the loop goes on, when the release has just stopped it."""
    with CommittingPacs() as pacs:
        association = associate(peer_of(destination(pacs.port)), [build_context(PUSH_MODEL)])
        association._reactor_checkpoint.clear()
        deadline = time.monotonic() + 20
        while not association._is_paused:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.1)  # now it rests, and will not say so again
        for saying in (True, False):
            association._is_paused = saying
        releasing = threading.Thread(target=close, args=(association,), daemon=True)
        releasing.start()
        releasing.join(20)
        hangs = releasing.is_alive()
        association._reactor_checkpoint.set()
    assert not hangs
    assert association.is_released


@pytest.mark.parametrize("roles", [True, False])
def test_an_answer_by_way_of_the_listener(
    roles: bool, sr: Document, destination: MakeDestination, ledger: Ledger, tmp_path: Path
) -> None:
    with (
        running(listener_settings(ledger, tmp_path / "spool")) as port,
        CommittingPacs(Habits(call_back=port, delay_s=0.3, roles=roles)) as pacs,
    ):
        transaction, early = ask(sr, destination(pacs.port), ledger, wait_s=0)
        answer = wait_for(ledger, transaction)
    assert (early, pacs.statuses) == (None, [SUCCESS])
    assert verdict(answer, sr.sop_instance_uid) == ""
    assert list((tmp_path / "spool").glob("studies/*")) == []


def test_a_failure_is_told_in_words(sr: Document, destination: MakeDestination, ledger: Ledger) -> None:
    with CommittingPacs(Habits(failing=1)) as pacs:
        _, answer = ask(sr, destination(pacs.port), ledger, wait_s=5)
    assert answer is not None
    assert verdict(answer, sr.sop_instance_uid) == "0x0112 No such object instance"
    assert verdict(answer, "1.2.3") == "its answer does not name the document"


def test_an_answer_in_a_transaction_that_nobody_began_is_refused(
    sr: Document, destination: MakeDestination, ledger: Ledger, tmp_path: Path
) -> None:
    with (
        capture_logs() as logs,
        running(listener_settings(ledger, tmp_path / "spool")) as port,
        CommittingPacs(Habits(call_back=port, wrong=True)) as pacs,
    ):
        _, answer = ask(sr, destination(pacs.port), ledger, wait_s=0.5)
    assert (answer, pacs.statuses) == (None, [INVALID_ARGUMENT])
    assert "commitment_not_asked" in [each["event"] for each in logs]
    assert sr.sop_instance_uid not in json.dumps(logs, default=str)


def test_the_same_answer_twice_is_one(
    sr: Document, destination: MakeDestination, ledger: Ledger, tmp_path: Path
) -> None:
    with (
        running(listener_settings(ledger, tmp_path / "spool")) as port,
        CommittingPacs(Habits(call_back=port, repeated=2)) as pacs,
    ):
        transaction, _ = ask(sr, destination(pacs.port), ledger, wait_s=0)
        wait_for(ledger, transaction)
    assert pacs.statuses == [SUCCESS, SUCCESS]
    assert ledger.look(transaction) == Answer((sr.sop_instance_uid,))


def test_no_answer_is_none(sr: Document, destination: MakeDestination, ledger: Ledger) -> None:
    with CommittingPacs(Habits(answers=False)) as pacs:
        assert ask(sr, destination(pacs.port), ledger, wait_s=0.2)[1] is None


def test_a_peer_that_does_no_commitment_is_told_apart(
    sr: Document, destination: MakeDestination, ledger: Ledger, free_port: int
) -> None:
    with CommittingPacs(Habits(commits=False)) as pacs, pytest.raises(Rejected, match="without `commitment`"):
        ask(sr, destination(pacs.port), ledger, wait_s=0)
    with CommittingPacs(Habits(action_status=0x0213)) as pacs, pytest.raises(Retryable, match="Resource limitation"):
        ask(sr, destination(pacs.port), ledger, wait_s=0)
    with CommittingPacs(Habits(action_status=0x0124)) as pacs, pytest.raises(Rejected, match="Not authorised"):
        ask(sr, destination(pacs.port), ledger, wait_s=0)
    with pytest.raises(Retryable, match="is the peer running"):
        ask(sr, destination(free_port), ledger, wait_s=0)


def test_we_promise_nothing_ourselves(ledger: Ledger, tmp_path: Path) -> None:
    """A scanner that asks for the commitment of its images is refused, and sees at once that it asks in vain."""
    asked = Dataset()
    asked.TransactionUID, asked.ReferencedSOPSequence = generate_uid(), []
    for calls_back, established, status in ((True, True, 0x0211), (False, False, None)):
        with running(listener_settings(ledger, tmp_path / "spool", calls_back=calls_back)) as port:
            scanner = AE("CT1").associate("127.0.0.1", port, [build_context(PUSH_MODEL)], ae_title="VIGIL")
            assert scanner.is_established is established
            if status is not None:
                answer, _ = scanner.send_n_action(asked, 1, PUSH_MODEL, PUSH_MODEL_INSTANCE)
                assert answer.Status == status
                scanner.release()


def test_a_report_that_cannot_be_kept_is_not_acknowledged(ledger: Ledger, tmp_path: Path) -> None:
    """The peer then knows that it has to say it again."""
    transaction = ledger.begin()
    answer = Dataset()
    answer.TransactionUID, answer.ReferencedSOPSequence = transaction, []
    (ledger.results / ".commitments").rename(tmp_path / "away")
    with running(listener_settings(ledger, tmp_path / "spool")) as port:
        pacs = CommittingPacs(Habits(call_back=port))
        pacs.call_back(answer, ALL_COMMITTED)
        assert pacs.statuses == [INVALID_ARGUMENT]
        (tmp_path / "away").rename(ledger.results / ".commitments")
        for kind in (ALL_COMMITTED, 3):
            pacs.call_back(answer, kind)
        broken = Dataset()
        broken.TransactionUID = generate_uid()
        broken.FailedSOPSequence = [Dataset()]
        pacs.call_back(broken, ALL_COMMITTED)
    assert pacs.statuses[1:] == [SUCCESS, 0x0113, INVALID_ARGUMENT]


@pytest.mark.parametrize(("allowed", "barred"), [((), False), (("CT1", "PACS"), False), (("CT1",), True)])
def test_check_tells_of_a_peer_that_may_not_call_back(allowed: tuple[str, ...], barred: bool, ledger: Ledger) -> None:
    with CommittingPacs() as pacs:
        settings = Settings.model_validate(
            {
                "listener": {"peers": [{"ae_title": title} for title in allowed]},
                "results": ledger.results,
                "destinations": [
                    {"name": "pacs", "host": "127.0.0.1", "port": pacs.port, "ae_title": "PACS", "commitment": {}}
                ],
            }
        )
        *errors, answer = check_destinations(settings)
    assert answer.state is State.OK
    assert [("listener.peers" in each.detail, each.state) for each in errors] == [(True, State.ERROR)] * barred
