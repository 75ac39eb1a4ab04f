"""When a study is begun, and which revisions of it. A real spool and real rules; the clock is an argument."""

import copy
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid
from structlog.testing import capture_logs

from app import outcomes
from app.infer.catalogue import Catalogue
from app.receive.spool import Spool
from app.route.router import Router
from app.settings import Settings
from app.study import BROKEN_OFF, revision_of, uid_hash
from app.workflow_steps import Steps
from app.workflow_watcher import BEGUN_AT_ONCE, Watcher
from tests.integration.workflow.tiny import ct_slices, send_to_spool, write_bundle

IDLE_S = 10.0
INTERRUPTED_S = 40.0


class Worker:
    """A watcher whose workflows are a list."""

    def __init__(self, folder: Path, idle_of_bundle: str = "") -> None:
        root = write_bundle(folder / "bundles") if not (folder / "bundles").exists() else folder / "bundles/brightness"
        if idle_of_bundle:
            service = root / "configs" / "service.yaml"
            service.write_text(f"idle_s: {idle_of_bundle}\n{service.read_text()}")
        settings = Settings.model_validate(
            {
                "spool": {"folder": folder / "spool"},
                "assembly": {"idle_s": IDLE_S, "interrupted_s": INTERRUPTED_S, "cap_s": 100},
                "bundles": {"folder": folder / "bundles"},
                "results": folder / "results",
            }
        )
        catalogue = Catalogue.load(settings.bundles)
        self.spool = Spool(settings.spool.folder, 0)
        self.begun: list[str] = []
        runner = None
        self.steps = Steps(settings, self.spool, catalogue, Router.load(catalogue.services, ()), runner)  # type: ignore[arg-type]
        self.watcher = Watcher(self.steps, self.begun.append, lambda key: key in self.begun)

    def key(self, study_uid: str, *, interrupted: bool = False) -> str:
        files = self.spool.files(uid_hash(study_uid))
        return f"{uid_hash(study_uid)}-{revision_of(files, interrupted=interrupted)}"


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(tmp_path)


@pytest.fixture
def uid() -> str:
    return str(generate_uid())


def test_a_quiet_study_is_begun_once_and_its_files_are_written_down(worker: Worker, uid: str) -> None:
    send_to_spool(worker.spool, ct_slices(uid))
    now = time.time()
    worker.watcher.look(now + IDLE_S - 1)
    assert worker.begun == []
    worker.watcher.look(now + IDLE_S + 1)
    worker.watcher.look(now + IDLE_S + 2)
    assert worker.begun == [worker.key(uid)]
    found = outcomes.read(worker.steps.folder(worker.key(uid)))
    assert found is not None
    assert found.files == tuple(path.name for path in worker.spool.files(uid_hash(uid)))
    assert worker.spool.arrivals() == ()


def test_an_open_association_holds_a_study_until_the_cap(worker: Worker, uid: str) -> None:
    data: list[Dataset] = ct_slices(uid)
    with worker.spool.attend() as presence:
        hold(worker.spool, presence, data[0])
        worker.watcher.look(time.time() + 50)
        assert worker.begun == []
        worker.watcher.look(time.time() + 101)
        assert worker.begun == [worker.key(uid, interrupted=True)]


def test_images_that_come_between_begin_and_settle_make_a_revision(worker: Worker, uid: str) -> None:
    first, *late = ct_slices(uid)
    send_to_spool(worker.spool, [first])
    begin: Callable[[str], None] = worker.watcher.begin

    def begin_and_receive(key: str) -> None:
        begin(key)
        if late:
            send_to_spool(worker.spool, [late.pop(0)])
            late.clear()

    worker.watcher.begin = begin_and_receive
    worker.watcher.look(time.time() + IDLE_S + 1)
    worker.watcher.look(time.time() + IDLE_S + 2)
    assert len(set(worker.begun)) == 2
    assert worker.begun[-1] == worker.key(uid)


@pytest.mark.parametrize(("of_bundle", "wait_s"), [("1", 1.0), ("30", 30.0)])
def test_the_idle_time_is_that_of_the_rules_that_match(tmp_path: Path, uid: str, of_bundle: str, wait_s: float) -> None:
    worker = Worker(tmp_path, of_bundle)
    other = str(generate_uid())
    send_to_spool(worker.spool, ct_slices(uid))
    send_to_spool(worker.spool, ct_slices(other, modality="MR"))
    now = time.time()
    begun_at: dict[str, float] = {}
    for waited in (0.5, 1.5, 9, 11, 29, 31):
        worker.watcher.look(now + waited)
        for key in worker.begun:
            begun_at.setdefault(key.partition("-")[0], waited)
    assert begun_at[uid_hash(uid)] == pytest.approx(wait_s, abs=1)
    assert begun_at[uid_hash(other)] == pytest.approx(IDLE_S, abs=1)


def test_a_worker_that_died_between_begin_and_settle_begins_the_same_revision_again(
    worker: Worker, uid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    send_to_spool(worker.spool, ct_slices(uid))
    monkeypatch.setattr(worker.spool, "settle", lambda _: False)
    worker.watcher.look(time.time() + IDLE_S + 1)
    worker.watcher.look(time.time() + IDLE_S + 2)
    assert set(worker.begun) == {worker.key(uid)}


def test_what_lay_in_the_spool_at_start_is_begun_unless_it_was(tmp_path: Path, uid: str) -> None:
    worker = Worker(tmp_path)
    send_to_spool(worker.spool, ct_slices(uid))
    for arrival in worker.spool.arrivals():
        assert worker.spool.settle(arrival)
    restarted = Worker(tmp_path)
    restarted.watcher.look()
    assert restarted.begun == [worker.key(uid)]
    again = Worker(tmp_path)
    again.begun.append(worker.key(uid))
    again.watcher.look()
    assert again.begun == [worker.key(uid)]


def test_a_sender_that_broke_off_is_waited_for_and_what_came_is_a_revision_of_its_own(worker: Worker, uid: str) -> None:
    send_to_spool(worker.spool, ct_slices(uid), released=False)
    now = time.time()
    worker.watcher.look(now + INTERRUPTED_S - 1)
    assert worker.begun == []
    worker.watcher.look(now + INTERRUPTED_S + 1)
    part = worker.key(uid, interrupted=True)
    assert worker.begun == [part]
    found = outcomes.read(worker.steps.folder(part))
    assert found is not None
    assert found.interrupted
    study = worker.steps.study(part)
    assert (study.key, study.interrupted, study.notes) == (part, True, (BROKEN_OFF,))


def test_no_sender_is_waited_for_beyond_the_cap(worker: Worker, uid: str) -> None:
    send_to_spool(worker.spool, ct_slices(uid), released=False)
    with worker.spool.attend() as presence:
        hold(worker.spool, presence, ct_slices(uid)[0])
        worker.watcher.look(time.time() + 99)
        assert worker.begun == []
        worker.watcher.look(time.time() + 101)
        assert worker.begun == [worker.key(uid, interrupted=True)]


def test_a_study_whose_sender_is_still_sending_at_the_cap_is_unfinished(worker: Worker, uid: str) -> None:
    slices = ct_slices(uid)
    with worker.spool.attend() as presence:
        for image in slices[:-1]:
            hold(worker.spool, presence, image)
        worker.watcher.look(time.time() + 101)
        assert worker.begun == [worker.key(uid, interrupted=True)]
        hold(worker.spool, presence, slices[-1])
    worker.watcher.look(time.time() + IDLE_S + 1)
    assert worker.begun[1:] == [worker.key(uid)]


def test_a_sender_that_comes_back_in_time_leaves_one_whole_revision(worker: Worker, uid: str) -> None:
    slices = ct_slices(uid)
    send_to_spool(worker.spool, slices[:2], released=False)
    send_to_spool(worker.spool, slices)
    worker.watcher.look(time.time() + IDLE_S + 1)
    assert worker.begun == [worker.key(uid)]


def test_the_same_images_again_and_a_release_are_analysed_as_a_whole(worker: Worker, uid: str) -> None:
    slices = ct_slices(uid)
    send_to_spool(worker.spool, slices, released=False)
    worker.watcher.look(time.time() + INTERRUPTED_S + 1)
    send_to_spool(worker.spool, slices)
    worker.watcher.look(time.time() + IDLE_S + 1)
    assert worker.begun == [worker.key(uid, interrupted=True), worker.key(uid)]
    assert not worker.steps.study(worker.key(uid)).interrupted


def test_a_whole_study_stays_whole_when_its_repetition_breaks_off(tmp_path: Path, uid: str) -> None:
    worker, slices = Worker(tmp_path), ct_slices(uid)
    send_to_spool(worker.spool, slices)
    worker.watcher.look(time.time() + IDLE_S + 1)
    send_to_spool(worker.spool, slices[:2], released=False)
    worker.watcher.look(time.time() + INTERRUPTED_S + 1)
    assert worker.begun == [worker.key(uid)]
    restarted = Worker(tmp_path)
    restarted.begun = worker.begun
    restarted.watcher.begin = worker.begun.append
    restarted.watcher.look()
    assert worker.begun == [worker.key(uid)]


def test_a_restart_begins_a_part_neither_again_nor_as_a_whole(tmp_path: Path, uid: str) -> None:
    worker = Worker(tmp_path)
    send_to_spool(worker.spool, ct_slices(uid), released=False)
    worker.watcher.look(time.time() + INTERRUPTED_S + 1)
    restarted = Worker(tmp_path)
    restarted.begun.extend(worker.begun)
    restarted.watcher.look()
    assert restarted.begun == [worker.key(uid, interrupted=True)]


def test_images_sent_again_are_no_new_beginning(worker: Worker, uid: str) -> None:
    slices = ct_slices(uid)
    with capture_logs() as logs:
        for _ in range(3):
            send_to_spool(worker.spool, slices)
            worker.watcher.look(time.time() + IDLE_S + 1)
    assert worker.begun == [worker.key(uid)]
    assert [each["event"] for each in logs if each["event"].startswith("study_")].count("study_begun") == 1
    assert worker.spool.arrivals() == ()


def test_a_damaged_copy_does_not_displace_a_whole_one(worker: Worker, uid: str) -> None:
    slices = ct_slices(uid)
    send_to_spool(worker.spool, slices)
    whole = worker.key(uid)
    cut_off = copy.deepcopy(slices[2])
    cut_off.PixelData = cut_off.PixelData[:100]
    send_to_spool(worker.spool, [cut_off])
    assert worker.key(uid) != whole
    worker.watcher.look(time.time() + IDLE_S + 1)
    assert worker.begun == [whole]
    assert worker.steps.study(whole).notes == (
        "a damaged copy of instance number 3 was left out, a whole one is there",
    )
    send_to_spool(worker.spool, [cut_off])
    worker.watcher.look(time.time() + IDLE_S + 1)
    assert worker.begun == [whole]


def test_no_more_studies_are_begun_at_once_than_can_be_held(worker: Worker) -> None:
    send_to_spool(worker.spool, ct_slices())
    with worker.steps.active("process_study"):
        for _ in range(BEGUN_AT_ONCE - 1):
            worker.steps._active.append("process_study")
        worker.watcher.look(time.time() + IDLE_S + 1)
        assert worker.begun == []
    worker.watcher.look(time.time() + IDLE_S + 1)
    assert len(worker.begun) == 1


def hold(spool: Spool, presence: object, data: Dataset) -> None:
    from tests.integration.workflow.tiny import encoded

    incoming = spool.open(
        presence,  # type: ignore[arg-type]
        sop_class_uid=data.SOPClassUID,
        sop_instance_uid=data.SOPInstanceUID,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        calling_ae="TEST",
    )
    incoming.write(encoded(data))
    incoming.commit()


def test_late_images_of_a_pruned_study_do_not_pass_for_the_whole(worker: Worker, uid: str) -> None:
    slices = ct_slices(uid)
    send_to_spool(worker.spool, slices[:4])
    later = time.time() + IDLE_S
    worker.watcher.look(later)
    files = frozenset(file.name for file in worker.spool.files(uid_hash(uid)))
    assert worker.spool.remove(uid_hash(uid), files)
    send_to_spool(worker.spool, slices[4:])
    worker.watcher.look(later + IDLE_S)
    known = outcomes.read(worker.steps.settings.results / worker.begun[-1])
    assert known is not None
    (sign,) = known.arrival_signs
    assert sign.startswith("4 earlier images of this study were removed from this service after delivery")
    assert worker.steps.study(worker.begun[-1]).missing == (sign,)
    send_to_spool(worker.spool, slices)
    worker.watcher.look(later + 2 * IDLE_S)
    known = outcomes.read(worker.steps.settings.results / worker.begun[-1])
    assert known is not None
    assert (len(known.files), known.arrival_signs) == (5, ())
