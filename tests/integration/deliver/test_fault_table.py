"""Every fault of a destination, through the real workflow: what it has, what was sent again, what the operator sees.

One study goes to all of them at once. docs/faults.md holds the table; REGEN_GOLDEN=1 writes it anew: look at the
difference before committing it.
"""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from pydicom.uid import Comprehensive3DSRStorage

from app.breakers import left_alone
from app.commitments import Ledger
from app.deliveries import Delivery, Standing, undelivered
from app.demo.pacs import Faults, Pacs
from app.documents import DocumentKind, Receipt
from app.outcomes import State, StudyOutcome
from app.receive.listener import running
from app.web.health import destinations
from app.workflow import replay
from app.workflow_delivery import HELD_BACK
from tests.integration.deliver.committing import CommittingPacs, Habits
from tests.integration.deliver.test_commitment import listener_settings
from tests.integration.deliver.test_dimse import silent
from tests.integration.workflow.conftest import Installation, free_port
from tests.integration.workflow.test_recovery import running as process
from tests.integration.workflow.tiny import ct_slices, send_to_spool, write_bundle

pytestmark = pytest.mark.timeout(400)

START = "<!-- written by tests/integration/deliver/test_fault_table.py: -->"
COMMITMENT = {"wait_s": 0.5, "within_s": 8}
Stored = Callable[[], list[str]]


@dataclass(frozen=True)
class Case:
    """A fault, and what is to come of it.

    Attributes:
        name: Of the destination.
        fault: In words.
        peer: A `Faults` or `Habits` of a stand-in; "silent" or "nobody".
        delivered: Whether the SR is, in the end.
        sent: How many times it was sent.
        stored: How many times the destination stored it, under its one UID.
        options: Of the destination.
    """

    name: str
    fault: str
    peer: Faults | Habits | str
    delivered: bool
    sent: int
    stored: int
    options: dict[str, object] = field(default_factory=dict)


CASES = (
    Case("down", "down: nobody listens", "nobody", False, 2, 0),
    Case("half-open", "half-open: takes the connection and says nothing", "silent", False, 2, 0),
    Case("slow", "slow: takes 0.7 s for each object", Faults(hang_s=0.7), True, 1, 1),
    Case("hangs", "hangs: does not answer C-STORE within the time-out", Faults(hang_s=90), False, 2, 0),
    Case("aborts", "aborts the first association in the middle", Faults(abort=True, times=1), True, 2, 1),
    Case("busy", "rejects every association: too busy", Faults(reject="transient"), False, 2, 0),
    Case("unknown-title", "rejects every association: does not know us", Faults(reject="permanent"), False, 1, 0),
    Case("no-room-once", "answers 0xA700 once", Faults(status=0xA700, times=1), True, 2, 1),
    Case("refuses", "answers 0xA900", Faults(status=0xA900), False, 1, 0),
    Case(
        "one-class",
        "does not accept the SOP class of SRs; takes key images",
        Habits(unwanted=Comprehensive3DSRStorage),
        False,
        1,
        0,
        {"documents": ["sr", "key_image"]},
    ),
    Case("warns", "answers a warning, 0xB000", Habits(store_status=0xB000), True, 1, 1),
    Case("commits", "commits, on the same association", Habits(), True, 1, 1, {"commitment": COMMITMENT}),
    Case(
        "commits-late",
        "commits after 1.2 s, on an association of its own",
        Habits(call_back=-1, delay_s=1.2),
        True,
        1,
        1,
        {"commitment": COMMITMENT},
    ),
    Case(
        "commits-twice",
        "commits, and says so twice",
        Habits(call_back=-1, repeated=2),
        True,
        1,
        1,
        {"commitment": COMMITMENT},
    ),
    Case(
        "fails-first",
        "says that it has lost the object, then commits",
        Habits(failing=1),
        True,
        2,
        2,
        {"commitment": COMMITMENT},
    ),
    Case(
        "loses", "always says that it has lost the object", Habits(failing=9), False, 2, 2, {"commitment": COMMITMENT}
    ),
    Case(
        "never-commits",
        "stores, and never says whether it commits",
        Habits(answers=False),
        False,
        2,
        2,
        {"commitment": COMMITMENT},
    ),
    Case(
        "wrong-transaction",
        "commits in a transaction that nobody began",
        Habits(call_back=-1, wrong=True),
        False,
        2,
        2,
        {"commitment": COMMITMENT},
    ),
    Case(
        "no-commitment",
        "stores, and does no storage commitment",
        Habits(commits=False),
        False,
        1,
        1,
        {"commitment": COMMITMENT},
    ),
)


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """With one bundle, on SQLite."""
    (tmp_path / "bundles").mkdir()
    write_bundle(tmp_path / "bundles")
    return Installation(tmp_path, f"sqlite:///{tmp_path}/workflow.sqlite")


@contextmanager
def listening(installation: Installation) -> Iterator[int]:
    """Our listener, for the answers of peers that call back."""
    with running(listener_settings(Ledger(installation.settings.results), installation.folder / "received")) as port:
        yield port


def start(stack: ExitStack, case: Case, folder: Path, listener: int) -> tuple[int, Stored]:
    """Start the stand-in of a case: its port, and what it has stored, one UID for each time."""
    if isinstance(case.peer, Habits):
        called_back = case.peer if not case.peer.call_back else _to(case.peer, listener)
        peer = stack.enter_context(CommittingPacs(called_back))
        return peer.port, lambda: list(peer.stored)
    if isinstance(case.peer, Faults):
        pacs = stack.enter_context(Pacs(folder / case.name, faults=case.peer))
        return pacs.port, lambda: [each.sop_instance_uid for each in pacs.arrived]
    return (stack.enter_context(silent()) if case.peer == "silent" else free_port()), list


def _to(habits: Habits, port: int) -> Habits:
    return Habits(**{**{name: getattr(habits, name) for name in habits.__dataclass_fields__}, "call_back": port})


def add(installation: Installation, name: str, port: int, **options: object) -> None:
    """Add a destination that is tried twice."""
    installation.destinations.append(
        {
            "name": name,
            "host": "127.0.0.1",
            "port": port,
            "ae_title": "PACS",
            "documents": ["sr"],
            "attempts": 2,
            "backoff_s": 0.2,
            "timeout_s": 8,
            **options,
        }
    )


def of_kind(outcome: StudyOutcome, kind: DocumentKind) -> tuple[str, str]:
    """File name and UID of a document."""
    (document,) = (each for each in outcome.documents if each.kind is kind)
    return document.path.name, document.sop_instance_uid


def test_the_fault_table(installation: Installation, tmp_path: Path, root: Path) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(listening(installation))
        stored: dict[str, Stored] = {}
        for case in CASES:
            port, stored[case.name] = start(stack, case, tmp_path, listener)
            add(installation, case.name, port, **case.options)
        send_to_spool(installation.spool(), ct_slices())
        with installation.worker():
            (outcome,) = installation.wait_final()
        at_peers = {name: uids() for name, uids in stored.items()}
    sr, uid = of_kind(outcome, DocumentKind.SR)
    _, picture = of_kind(outcome, DocumentKind.KEY_IMAGE)
    receipts = {each.destination: each for each in outcome.receipts if each.document == sr}
    letters = {each.destination: each for each in undelivered(installation.settings)}
    for case in CASES:
        receipt = receipts[case.name]
        seen = (receipt.delivered, receipt.attempts, at_peers[case.name].count(uid))
        assert seen == (case.delivered, case.sent, case.stored), (case.name, receipt.detail)
        # Nothing else is there, and nothing is there under another name: what was sent twice is one object.
        assert set(at_peers[case.name]) <= {uid, picture}
        # Nothing is lost: what is not there is a dead letter with its reason and what to do.
        assert (case.name in letters) is not case.delivered
        assert receipt.committed is (case.delivered if "commitment" in case.options else None)
    assert at_peers["one-class"] == [picture]
    assert all(each.standing is Standing.DEAD_LETTER and "replay" in each.advice for each in letters.values())
    assert outcome.state is State.UNDELIVERED
    _check_table(root / "docs" / "faults.md", [_row(case, receipts[case.name]) for case in CASES])


def _row(case: Case, receipt: Receipt) -> str:
    there = "nothing" if not case.stored else "the document" + (", stored twice as one" if case.stored > 1 else "")
    words = re.sub(r" at 127\.0\.0\.1:\d+", "", receipt.detail).replace(receipt.document, "the document")
    words = re.sub(r"after \d+\.\d s", "after the time-out", words)
    shown = "delivered" if receipt.delivered else "**dead letter**"
    return f"| {case.fault} | {there} | {receipt.attempts} | {shown}: {words.replace(f'{case.name}: ', '')} |"


def _check_table(path: Path, rows: list[str]) -> None:
    head = ["| The destination | has in the end | sent | the operator sees |", "|---|---|---|---|"]
    table = "\n".join([START, *head, *rows]) + "\n"
    before = path.read_text() if path.exists() else ""
    if os.environ.get("REGEN_GOLDEN"):
        path.write_text(before.partition(START)[0] + table)
    assert path.read_text().partition(START)[1:] == (START, table.removeprefix(START))


def test_an_awaited_commitment_outlives_the_worker(installation: Installation) -> None:
    """It is killed; the answer comes while none runs; the next one finds it, and does not send the document again."""
    with listening(installation) as port, CommittingPacs(Habits(call_back=port, delay_s=3)) as pacs:
        add(installation, "pacs", pacs.port, commitment={"wait_s": 0, "within_s": 60})
        send_to_spool(installation.spool(), ct_slices())
        with process(installation.start_process()) as worker:
            installation.wait(lambda found: bool(found and found[0].waiting))
            os.kill(worker.pid, signal.SIGKILL)
        (row,) = undelivered(installation.settings)
        assert (row.standing, row.attempts) == (Standing.AWAITING_COMMITMENT, 1)
        deadline = time.monotonic() + 30
        while not pacs.statuses:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with installation.worker():
            (outcome,) = installation.wait_final()
    (receipt,) = outcome.receipts
    assert (outcome.state, receipt.delivered, receipt.committed, receipt.attempts) == (State.DELIVERED, True, True, 1)
    assert (len(pacs.stored), pacs.statuses, outcome.waiting) == (1, [0], ())


def test_a_commitment_that_comes_after_the_question_was_repeated_counts(installation: Installation) -> None:
    """The first question is answered once the second was asked, which is not; nothing is sent a third time."""
    with listening(installation) as port, CommittingPacs(Habits(call_back=port, questions=2)) as pacs:
        add(installation, "pacs", pacs.port, attempts=3, commitment={"wait_s": 0, "within_s": 5})
        send_to_spool(installation.spool(), ct_slices())
        with installation.worker():
            (outcome,) = installation.wait_final()
    (receipt,) = outcome.receipts
    assert (receipt.delivered, receipt.committed, receipt.attempts) == (True, True, 2)
    assert (len(pacs.stored), len(set(pacs.stored)), pacs.statuses) == (2, 1, [0])


def test_a_replay_waits_for_the_commitment(installation: Installation) -> None:
    port = free_port()
    add(installation, "pacs", port, attempts=1, commitment={"wait_s": 1, "within_s": 5})
    send_to_spool(installation.spool(), ct_slices())
    with installation.worker():
        (outcome,) = installation.wait_final()
    assert outcome.state is State.UNDELIVERED
    with CommittingPacs(Habits(failing=1), port=port):
        (refused,) = replay(installation.settings, outcome.key)
        (taken,) = replay(installation.settings, outcome.key)
    assert (refused.delivered, refused.committed) == (False, False)
    assert "0x0112 No such object instance" in refused.detail
    assert (taken.delivered, taken.committed) == (True, True)
    assert undelivered(installation.settings) == ()


def test_a_destination_that_keeps_failing_is_left_alone_and_costs_no_attempts(
    installation: Installation, tmp_path: Path
) -> None:
    """Of three studies one at least waits without having been tried, and one at a time asks for the peer."""
    port, gauge = free_port(), ("vigil_destination_left_alone", {"destination": "pacs"})
    add(installation, "pacs", port, breaker_after=2, backoff_s=2, attempts=3)
    for _ in range(3):
        send_to_spool(installation.spool(), ct_slices())

    def held() -> list[Delivery]:
        return [each for each in undelivered(installation.settings) if each.reason == HELD_BACK]

    with installation.worker():
        installation.wait(lambda found: len(found) == 3 and all(each.waiting for each in found) and bool(held()))
        ((name, failures),) = [(each.destination, each.failures) for each in left_alone(installation.settings.run)]
        assert (name, failures >= 2) == ("pacs", True)
        assert "left alone: pacs" in destinations(installation.settings).detail
        assert REGISTRY.get_sample_value(*gauge) == 1
        assert all(each.standing is Standing.WAITING for each in undelivered(installation.settings))
        with Pacs(tmp_path / "pacs", port=port) as pacs:
            found = installation.wait_final(3)
    assert [each.state for each in found] == [State.DELIVERED] * 3
    assert max(each.receipts[0].attempts for each in found) <= 3
    assert len({each.sop_instance_uid for each in pacs.arrived}) == len(pacs.arrived) == 3
    assert "none is left alone" in destinations(installation.settings).detail
    assert REGISTRY.get_sample_value(*gauge) == 0
