"""What became of a study: derived, durable, and the same however often a stage says it."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from app import outcomes
from app.assignment import Assignment, Decision, Declined
from app.documents import Document, DocumentKind, Receipt, Waiting
from app.errors import Rejected
from app.findings import Algorithm, Finding, Outcome, Presence, Report, SliceScore
from app.outcomes import Shipment, State, StudyOutcome, Timing
from app.settings import Settings
from app.study import uid_hash

UID = "1.2.3"
KEY = f"{uid_hash(UID)}-{'0' * 16}"
ALGORITHM = Algorithm("bleeds", "1", "00", "phantom", "research")
REPORT = Report(
    UID,
    "0" * 16,
    "1.2.3.4",
    0,
    ALGORITHM,
    Outcome.SUCCEEDED,
    (Finding("intracranial_hemorrhage", Presence.PRESENT, 0.75, 0.5, slices=(SliceScore("1.2.3.4.5", 0, 0.75),)),),
)
DECISION = Decision(
    (Assignment("bleeds", "bleeds", "1.2.3.4", 0, 1, evidence=("Modality is CT",)),),
    (Declined("chest", "chest", "1.2.3.4", 0, ("Modality is CT, wanted CR",)),),
)
SR = Document(DocumentKind.SR, "bleeds", Path("bleeds-0.sr.dcm"), "2.25.1")
TO_PACS = Shipment("bleeds-0.sr.dcm", "pacs")
DELIVERED = Receipt("pacs", "bleeds-0.sr.dcm", delivered=True, attempts=1, detail="0x0000 Success")
REFUSED = Receipt("pacs", "bleeds-0.sr.dcm", delivered=False, attempts=5, detail="given up")
WITHHELD = replace(REFUSED, attempts=0, detail="not sent", superseded_by=f"{uid_hash(UID)}-{'1' * 16}")

RECEIVED = StudyOutcome(KEY, received_at=10.0, files=("a.dcm",))
ROUTED = replace(RECEIVED, study_uid=UID, decision=DECISION, notes=("läuft", "頭部"))
PUBLISHED = outcomes.with_report(ROUTED, REPORT, [SR], [TO_PACS])


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (RECEIVED, State.RECEIVED),
        (replace(RECEIVED, problem="no images"), State.FAILED),
        (replace(RECEIVED, decision=Decision((), ())), State.UNWANTED),
        (ROUTED, State.PROCESSING),
        (PUBLISHED, State.PROCESSING),
        (outcomes.with_receipt(PUBLISHED, DELIVERED), State.DELIVERED),
        (outcomes.with_receipt(PUBLISHED, REFUSED), State.UNDELIVERED),
        (outcomes.with_receipt(PUBLISHED, WITHHELD), State.SUPERSEDED),
        (outcomes.with_receipt(outcomes.with_receipt(PUBLISHED, WITHHELD), DELIVERED), State.DELIVERED),
        (replace(PUBLISHED, receipts=(WITHHELD, replace(REFUSED, destination="other"))), State.UNDELIVERED),
        (replace(PUBLISHED, receipts=(WITHHELD, replace(DELIVERED, destination="other"))), State.SUPERSEDED),
        (outcomes.with_report(ROUTED, REPORT, [SR], []), State.DELIVERED),
        (outcomes.with_report(ROUTED, REPORT, [replace(SR, problem="strange tag")], []), State.UNDELIVERED),
    ],
)
def test_the_state_follows_from_what_is_known(outcome: StudyOutcome, state: State) -> None:
    assert outcome.state is state


def test_an_outcome_survives_the_disk_unchanged(tmp_path: Path) -> None:
    full = outcomes.with_timing(outcomes.with_receipt(PUBLISHED, DELIVERED), Timing("infer", "bleeds", 1.5))
    assert outcomes.begin(tmp_path, full) == full
    assert outcomes.read(tmp_path / KEY) == full


def test_a_file_of_an_older_version_is_read(tmp_path: Path) -> None:
    """Written before deliveries could wait with a reason, be committed to, or replace each other."""
    full = outcomes.with_receipt(PUBLISHED, DELIVERED)
    outcomes.begin(tmp_path, full)
    file = tmp_path / KEY / outcomes.OUTCOME
    content = json.loads(file.read_text())
    del content["waiting"], content["receipts"][0]["committed"], content["reports"][0]["replaces"]
    del content["documents"][0]["urgent"]
    file.write_text(json.dumps(content))
    assert outcomes.read(tmp_path / KEY) == full


def test_what_waits_is_noted_until_it_ends(tmp_path: Path) -> None:
    waiting = Waiting("pacs", SR.path.name, 1, "no connection", until=20.0)
    noted = outcomes.with_waiting(PUBLISHED, waiting)
    assert (outcomes.waiting_of(noted, TO_PACS), noted.state) == (waiting, State.PROCESSING)
    asked = replace(waiting, attempts=2, transactions=("2.25.7",), asked_at=15.0)
    again = outcomes.with_waiting(outcomes.with_waiting(noted, replace(waiting, destination="other")), asked)
    assert {each.destination: each.attempts for each in again.waiting} == {"pacs": 2, "other": 1}
    outcomes.begin(tmp_path, again)
    assert outcomes.read(tmp_path / KEY) == again
    ended = outcomes.with_receipt(again, DELIVERED)
    assert [each.destination for each in ended.waiting] == ["other"]


def test_saying_something_again_changes_nothing() -> None:
    again = outcomes.with_report(PUBLISHED, REPORT, [SR], [TO_PACS])
    assert again == PUBLISHED
    timed = outcomes.with_timing(PUBLISHED, Timing("infer", "bleeds", 1.5))
    assert outcomes.with_timing(timed, Timing("infer", "bleeds", 2.5)).timings == (Timing("infer", "bleeds", 2.5),)


def test_what_was_delivered_stays_delivered() -> None:
    delivered = outcomes.with_receipt(outcomes.with_receipt(PUBLISHED, REFUSED), DELIVERED)
    assert delivered.receipts == (DELIVERED,)
    assert outcomes.with_receipt(delivered, REFUSED) == delivered


def test_beginning_again_keeps_what_is_there(tmp_path: Path) -> None:
    outcomes.begin(tmp_path, ROUTED)
    assert outcomes.begin(tmp_path, RECEIVED) == ROUTED


def test_the_end_is_noted_once(tmp_path: Path) -> None:
    outcomes.begin(tmp_path, PUBLISHED)
    first = outcomes.record(tmp_path / KEY, lambda known: outcomes.with_receipt(known, REFUSED))
    assert first.finished_at is not None
    assert outcomes.record(tmp_path / KEY, lambda known: outcomes.with_receipt(known, DELIVERED)) == replace(
        first, receipts=(DELIVERED,)
    )


def test_writers_do_not_lose_each_other(tmp_path: Path) -> None:
    outcomes.begin(tmp_path, RECEIVED)

    def note(number: int) -> None:
        outcomes.record(tmp_path / KEY, lambda known: replace(known, notes=(*known.notes, str(number))))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(note, range(40)))
    found = outcomes.read(tmp_path / KEY)
    assert found is not None
    assert sorted(found.notes, key=int) == [str(number) for number in range(40)]


def test_a_study_is_found_by_key_uid_and_hash(tmp_path: Path) -> None:
    settings = Settings(results=tmp_path)
    later = replace(RECEIVED, key=f"{uid_hash(UID)}-{'1' * 16}", received_at=20.0)
    for outcome in (RECEIVED, later):
        outcomes.begin(tmp_path, outcome)
    assert outcomes.study(settings, KEY) == RECEIVED
    assert outcomes.study(settings, UID) == later
    assert outcomes.study(settings, uid_hash(UID)) == later
    assert [each.key for each in outcomes.studies(settings, limit=1)] == [later.key]


def test_studies_are_listed_by_their_last_image_whatever_was_written_last(tmp_path: Path) -> None:
    settings = Settings(results=tmp_path)
    now = time.time()
    kept = [replace(RECEIVED, key=f"{number:032x}-{'0' * 16}", received_at=now - 60 * number) for number in range(6)]
    for outcome in (kept[2], kept[0], kept[5], kept[1], kept[4], kept[3]):
        outcomes.begin(tmp_path, outcome)
    outcomes.record(tmp_path / kept[4].key, lambda known: replace(known, notes=("late",)))
    changed_long_ago = tmp_path / kept[2].key / outcomes.OUTCOME
    os.utime(changed_long_ago, (kept[2].received_at + 1,) * 2)
    assert [each.key for each in outcomes.studies(settings)] == [each.key for each in kept]
    assert [each.key for each in outcomes.studies(settings, limit=3)] == [each.key for each in kept[:3]]


@pytest.mark.parametrize("name", ["", "..", "../x", "*", "1.2.9", "0" * 32, f"{'0' * 32}-{'0' * 16}"])
def test_an_unknown_study_is_none(tmp_path: Path, name: str) -> None:
    assert outcomes.study(Settings(results=tmp_path), name) is None


def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    outcomes.begin(tmp_path, RECEIVED)
    (tmp_path / KEY / outcomes.OUTCOME).write_text("{")
    with pytest.raises(Rejected, match="remove the folder"):
        outcomes.read(tmp_path / KEY)
