"""The worker process: networks warm, DBOS launched, the spool watched, heartbeats beaten, until it is told to stop."""

import fcntl
import gc
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event

import structlog
from dbos import DBOS
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from app import outcomes, workflow, workflow_metrics
from app.errors import AppError, Failed, Retryable
from app.infer import metrics as infer_metrics
from app.infer.catalogue import Catalogue
from app.outcomes import FINAL
from app.ready import tell_ready
from app.receive.spool import Spool
from app.report import warm_up
from app.retention import Hourly
from app.route.router import Router
from app.settings import Settings
from app.switches import switched_off
from app.warmth import Teller
from app.wellness import leave_sign, remove_sign
from app.workflow_database import Heartbeat, configuration, open_engine
from app.workflow_migration import launch, migrate, require_current
from app.workflow_steps import Steps
from app.workflow_takeover import Takeover
from app.workflow_watcher import Watcher

log = structlog.get_logger()

GRACE_S = 20.0
"""How long running studies may go on after a stop; what is unfinished then is left to recovery."""
GLANCE_S = 0.1
TROUBLE_PAUSE_S = 2.0


def run(settings: Settings, stop: Event) -> None:
    """Work until `stop` is set.

    Raises:
        Failed: Another worker of the same id runs, the device is not there, or the database has another version.
        Rejected: A routing rule cannot work.
    """
    from app.infer.edges import reuse_memory
    from app.infer.enhancement import ContrastViewer
    from app.infer.runner import Runner  # torch stays out of every other process
    from app.infer.views import Viewer

    reuse_memory()
    with _alone(settings):
        catalogue = Catalogue.load(settings.bundles)
        _announce(settings, catalogue)
        router = Router.load(catalogue.services, settings.routes)
        runner = Runner(catalogue, settings.inference)
        runner.warm()
        viewer = None if catalogue.views is None else Viewer(catalogue.views, settings.inference, runner.device)
        if viewer is not None:
            viewer.warm()
        warm_up()
        # What the libraries loaded stays for good: looking through it for garbage takes 0.3 s of some study.
        gc.collect()
        gc.freeze()
        spool = Spool(settings.spool.folder, settings.spool.min_free_mb)
        contrast = ContrastViewer(settings.inference)
        _work(Steps(settings, spool, catalogue, router, runner, viewer, contrast), stop)


def _announce(settings: Settings, catalogue: Catalogue) -> None:
    """Tell log and figures what is served, and what is not."""
    for refusal in catalogue.refused:
        log.error("bundle_refused", bundle=refusal.name, reason=refusal.reason)
    workflow_metrics.announce([each.name for each in settings.destinations], catalogue.bundles)
    infer_metrics.announce(catalogue.bundles.values(), len(catalogue.refused))


def _work(steps: Steps, stop: Event) -> None:
    settings = steps.settings
    settings.results.mkdir(parents=True, exist_ok=True)
    steps.shipping.ledger.prune()
    engine = open_engine(settings.database)
    if not _ready(engine, settings, stop):
        engine.dispose()
        return
    steps.switched_off = lambda: {name: each.words for name, each in switched_off(engine).items()}
    teller = Teller(engine, settings.worker.id)
    workflow.use(steps)
    DBOS(config=configuration(settings, engine))
    try:
        heartbeat = Heartbeat(engine, settings.worker.id, settings.worker.takeover_s)
        # Before the first study is taken: whoever dies with one is missed.
        heartbeat.beat()
        teller.tell(steps.runner.states())
        leave_sign(settings)
        launch()
        workflow.register_queues(settings.inference.concurrency, settings.database.poll_s)
        log.info("worker_ready", worker=settings.worker.id, bundles=list(steps.catalogue.bundles))
        tell_ready()
        _watch(steps, heartbeat, teller, stop)
        _finish(steps)
        if not DBOS.list_workflows(executor_id=settings.worker.id, status="PENDING", limit=1, load_input=False):
            heartbeat.retire()
            teller.retire()
    finally:
        steps.stopping.set()
        remove_sign(settings)
        DBOS.destroy()
        workflow.use(None)
        engine.dispose()
        log.info("worker_stopped", worker=settings.worker.id)


def _ready(engine: Engine, settings: Settings, stop: Event) -> bool:
    """Wait until the database answers and has our version; False where the worker is to stop first.

    Raises:
        Failed: It has another version.
    """
    while not stop.is_set():
        try:
            if engine.dialect.name == "sqlite":
                migrate(settings.database)
            require_current(engine)
        except Retryable as error:
            log.warning("worker_waits", reason=str(error))
            stop.wait(TROUBLE_PAUSE_S)
        else:
            return True
    return False


def _watch(steps: Steps, heartbeat: Heartbeat, teller: Teller, stop: Event) -> None:
    watcher = Watcher(steps, workflow.begin_study, lambda key: _is_begun(steps, key))
    hourly = Hourly(steps.settings)
    takeover = Takeover(steps.settings, heartbeat)
    due = 0.0
    while not stop.is_set():
        try:
            watcher.look()
            if time.monotonic() >= due:
                due = time.monotonic() + steps.settings.worker.heartbeat_s
                _tend(takeover, steps.runner.show_accelerator)
                teller.tell(steps.runner.states())
                leave_sign(steps.settings)
                hourly.look()
        except (AppError, OperationalError) as error:
            log.warning("worker_waits", reason=str(error) if isinstance(error, AppError) else "no database")
            stop.wait(TROUBLE_PAUSE_S)
        stop.wait(steps.settings.assembly.poll_s)


def _is_begun(steps: Steps, key: str) -> bool:
    """The outcome outlives the workflow, which retention removes."""
    if DBOS.get_workflow_status(key) is not None:
        return True
    known = outcomes.read(steps.folder(key))
    return known is not None and known.state in FINAL


def _tend(takeover: Takeover, show: Callable[[], None]) -> None:
    takeover.tend()
    show()
    for queue in (workflow.INFERENCE, workflow.REDELIVERY):
        waiting = DBOS.list_queued_workflows(queue_name=queue, load_input=False)
        workflow_metrics.show_queue(queue, (each.created_at for each in waiting))


def _finish(steps: Steps) -> None:
    """Let running workflows come to their end, for a while, and begin no further analysis."""
    steps.draining.set()
    deadline = time.monotonic() + GRACE_S
    while steps.running() and time.monotonic() < deadline:
        time.sleep(GLANCE_S)
    if steps.running():
        log.warning("left_to_recovery", workflows=steps.running())


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Hold the worker's id: two workers of one id would each run the other's studies after a restart."""
    settings.run.mkdir(parents=True, exist_ok=True)
    path = settings.run / f"{settings.worker.id}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Failed(
                f"a worker '{settings.worker.id}' runs already ({path}); give each its own worker.id"
            ) from error
        yield
    finally:
        os.close(descriptor)
