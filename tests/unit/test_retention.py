"""Images go after delivery and so many days: never before, never while something is on its way, and not unnoticed."""

import os
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from pydantic import ValidationError
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from app import outcomes
from app.heat import heat_file, heat_name, keep_heat
from app.outcomes import CHANGED, OUTCOME
from app.receive.presence import Presence
from app.receive.spool import Spool
from app.retention import DAY_S, Hourly, Pruned, alone, prune
from app.settings import Database, Retention, Settings
from app.study import revision_of, uid_hash
from app.workflow_migration import migrate
from tests.unit.receive.objects import encode, make_object
from tests.unit.test_outcomes import DELIVERED, PUBLISHED, REFUSED, ROUTED

STUDY_UID = "1.2.826.0.1.3680043.8.498.7"
STUDY = uid_hash(STUDY_UID)
IMAGES = 4
SPOOL_DAYS, RESULTS_DAYS = 7, 30
UNWANTED = replace(ROUTED, decision=replace(ROUTED.decision, assignments=()))
ENDS = {
    "delivered": outcomes.with_receipt(PUBLISHED, DELIVERED),
    "unwanted": UNWANTED,
    "dead letter": outcomes.with_receipt(PUBLISHED, REFUSED),
    "pending": PUBLISHED,
    "routed": ROUTED,
    "failed": replace(ROUTED, problem="broke"),
}
GOOD = {"delivered", "unwanted"}


class House:
    """One study in a spool and a folder of results, at a time of our own."""

    def __init__(self, folder: Path) -> None:
        self.now = time.time()
        self.settings = Settings.model_validate(
            {
                "spool": {"folder": folder / "spool", "min_free_mb": 0},
                "results": folder / "results",
                "run": folder / "run",
                "database": {"url": f"sqlite:///{folder}/workflow.sqlite"},
                "retention": {"spool_days": SPOOL_DAYS, "results_days": RESULTS_DAYS},
            }
        )
        migrate(Database(url=self.settings.database.url))
        self.settings.results.mkdir()
        self.spool = Spool(self.settings.spool.folder, 0)

    def send(self, number: int, presence: Presence | None = None) -> None:
        uid = f"{STUDY_UID}.{number}"
        made = make_object(STUDY_UID, uid, SeriesInstanceUID=f"{STUDY_UID}.0")
        names = {"sop_class_uid": CTImageStorage, "sop_instance_uid": uid}
        wire = {"transfer_syntax_uid": ExplicitVRLittleEndian, "calling_ae": "TEST"}
        if presence is None:
            stored = self.spool.store(encode(made), **names, **wire)
        else:
            incoming = self.spool.open(presence, **names, **wire)
            incoming.write(encode(made))
            stored = incoming.commit()
        os.utime(stored.path, (self.now, self.now))

    def settle(self) -> None:
        for arrival in self.spool.arrivals():
            assert self.spool.settle(arrival)

    def here(self) -> frozenset[str]:
        return frozenset(file.name for file in self.spool.files(STUDY))

    def end(self, how: str) -> Path:
        """Write down how what lies in the spool now ended."""
        files = tuple(sorted(self.here()))
        key = f"{STUDY}-{revision_of(Path(name) for name in files)}"
        final = how in {"delivered", "unwanted", "dead letter", "failed"}
        outcome = replace(ENDS[how], key=key, files=files, finished_at=self.now if final else None)
        folder = self.settings.results / key
        shutil.rmtree(folder, ignore_errors=True)
        outcomes.begin(self.settings.results, outcome)
        os.utime(folder / OUTCOME, (self.now, self.now))
        return folder

    def prune(self, *, dry_run: bool = False) -> tuple[Pruned, ...]:
        return prune(self.settings, dry_run=dry_run, now=self.now)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_what_was_delivered_goes_after_its_days_and_leaves_a_tombstone(house: House) -> None:
    house.send(1)
    house.send(2)
    house.settle()
    house.end("delivered")
    house.now += (SPOOL_DAYS - 0.1) * DAY_S
    assert house.prune() == ()
    house.now += 0.2 * DAY_S
    before = house.here()
    (planned,) = house.prune(dry_run=True)
    assert (planned.images, planned.kept, house.here()) == (2, "", before)
    assert house.prune() == (planned,)
    assert (house.here(), house.spool.study_keys()) == (frozenset(), ())
    assert house.spool.removed(STUDY, []) == 2
    assert house.prune() == ()


@pytest.mark.parametrize("how", sorted(set(ENDS) - GOOD))
def test_what_is_not_done_with_stays_and_says_why(house: House, how: str) -> None:
    house.send(1)
    house.settle()
    house.end(how)
    house.now += 1000 * DAY_S
    found = house.prune()
    assert [bool(each.kept) for each in found] == ([True] if how in {"dead letter", "failed"} else [])
    assert house.here()


def test_what_went_nowhere_stays(house: House) -> None:
    """Without a destination the results folder is all there is."""
    house.send(1)
    house.settle()
    folder = house.end("delivered")
    outcomes.record(folder, lambda known: replace(known, receipts=(), shipments=()))
    house.now += 1000 * DAY_S
    (kept,) = house.prune()
    assert kept.kept == "its documents went nowhere: no destination wants them"


def test_results_go_after_the_images_and_a_study_that_comes_again_is_new(house: House) -> None:
    house.send(1)
    house.settle()
    folder = house.end("delivered")
    heat = heat_file(folder, heat_name("wrist_fracture", "wrist_fracture", f"{STUDY_UID}.1"))
    keep_heat(heat, np.full((4, 4), 9, np.uint8))
    house.now += (SPOOL_DAYS + 1) * DAY_S
    assert (house.prune(dry_run=True)[0].results, heat.is_file()) == ((), True)
    house.now += (RESULTS_DAYS - SPOOL_DAYS) * DAY_S
    images, results = house.prune()
    assert (images.images, results.results) == (1, (folder.name,))
    assert [folder.name for folder in house.settings.results.iterdir()] == [CHANGED]
    house.send(1)
    assert house.spool.removed(STUDY, house.spool.files(STUDY)) == 0


def test_the_days_count_from_the_last_receipt_and_from_the_last_image(house: House) -> None:
    house.send(1)
    house.settle()
    house.now += (SPOOL_DAYS + 1) * DAY_S
    house.end("delivered")
    assert house.prune() == ()
    house.now += (SPOOL_DAYS - 1) * DAY_S
    house.send(1)
    house.settle()
    house.now += 2 * DAY_S
    assert house.prune() == ()
    house.now += SPOOL_DAYS * DAY_S
    (gone,) = house.prune()
    assert (gone.images, gone.kept) == (1, "")


def test_an_image_that_nobody_has_looked_at_yet_keeps_the_study(house: House) -> None:
    house.send(1)
    house.settle()
    house.end("delivered")
    house.send(2)
    house.settle()
    house.now += 1000 * DAY_S
    (kept,) = house.prune()
    assert kept.kept == "what lies in the spool was not analysed yet"


def test_an_image_on_its_way_keeps_the_study(house: House) -> None:
    house.send(1)
    house.settle()
    house.end("delivered")
    house.now += (SPOOL_DAYS + 1) * DAY_S
    with house.spool.attend() as presence:
        presence.announce(STUDY)
        (kept,) = house.prune()
        assert kept.kept == "images of it are arriving"
    assert house.here()


def test_one_who_prunes_keeps_the_others_away(house: House) -> None:
    with alone(house.settings.run) as ours, alone(house.settings.run) as theirs:
        assert (ours, theirs) == (True, False)


def test_a_round_beside_the_work_does_it(house: House) -> None:
    house.now = time.time() - (SPOOL_DAYS + 1) * DAY_S
    house.send(1)
    house.settle()
    house.end("unwanted")
    hourly = Hourly(house.settings)
    hourly.look()
    hourly.look()
    deadline = time.monotonic() + 60
    while house.here():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_results_cannot_go_before_their_images() -> None:
    for wrong in ({"results_days": 3}, {"results_days": 3, "spool_days": 4}):
        with pytest.raises(ValidationError, match="results outlive their images"):
            Retention.model_validate(wrong)


class NeverBefore(RuleBasedStateMachine):
    """Whatever comes in whatever order: no image goes that was not answered for, and delivered, so many days ago."""

    @initialize()
    def build(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="vigil-retention-"))
        self.house = House(self.folder)
        self.sent_at: dict[str, float] = {}
        self.ended: dict[frozenset[str], tuple[str, float]] = {}
        self.every: set[str] = set()
        self.presence: Presence | None = None

    @rule(number=st.integers(1, IMAGES), settled=st.sampled_from([True, True, True, False]))
    def send(self, number: int, settled: bool) -> None:
        before = self.house.here()
        self.house.send(number, self.presence)
        for name in self.house.here() - before:
            self.every.add(name)
        uid = uid_hash(f"{STUDY_UID}.{number}")
        self.sent_at.update({name: self.house.now for name in self.house.here() if name.startswith(uid)})
        if settled:
            self.house.settle()

    @rule(how=st.sampled_from([*sorted(ENDS), *sorted(GOOD) * 3]))
    def end(self, how: str) -> None:
        if self.house.here():
            self.house.end(how)
            self.ended[self.house.here()] = (how, self.house.now)

    @rule()
    def settle(self) -> None:
        self.house.settle()

    @rule(begin=st.sampled_from([True, False, False]))
    def associate(self, begin: bool) -> None:
        if begin and self.presence is None:
            self.presence = self.house.spool.attend()
            self.presence.announce(STUDY)
        elif not begin and self.presence is not None:
            self.house.spool.leave(self.presence, released=True)
            self.presence = None

    @rule(days=st.sampled_from([1, SPOOL_DAYS]))
    def wait(self, days: int) -> None:
        self.house.now += days * DAY_S + 1

    @rule(days=st.sampled_from([0, 1, SPOOL_DAYS, SPOOL_DAYS, RESULTS_DAYS]))
    def prune(self, days: int) -> None:
        self.house.now += days * DAY_S + 1
        before, marked = self.house.here(), bool(self.house.spool.arrivals())
        results = {folder.name for folder in self.house.settings.results.iterdir()} - {CHANGED}
        self.house.prune()
        gone, late = before - self.house.here(), self.house.now - SPOOL_DAYS * DAY_S
        if gone:
            assert gone == before
            assert self.presence is None
            assert not marked
            assert all(self.sent_at[name] <= late for name in gone)
            assert before in self.ended
            assert all(how in GOOD and at <= late for how, at in self.ended.values())
        if results - {folder.name for folder in self.house.settings.results.iterdir()} - {CHANGED}:
            assert self.house.here() == frozenset()
            assert all(how in GOOD and at <= self.house.now - RESULTS_DAYS * DAY_S for how, at in self.ended.values())
            self.ended.clear()

    @invariant()
    def what_is_missing_is_known(self) -> None:
        if hasattr(self, "house"):
            instances = {name.partition(".")[0] for name in self.every}
            here = {name.partition(".")[0] for name in self.house.here()}
            assert self.house.spool.removed(STUDY, self.house.spool.files(STUDY)) == len(instances - here)

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)


TestNeverBefore = NeverBefore.TestCase
# Shrinking a failure takes minutes: the steps are shown as they were found.
TestNeverBefore.settings = hypothesis_settings(
    max_examples=60, stateful_step_count=20, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate)
)
