"""The life of a study: assemble → look → route → infer → report → deliver. The only file that knows the order.

One durable workflow (DBOS Transact) for each study revision, under the study's key, so that the same set of images
makes nothing new. No workflow waits for another: each starts the next and ends, so a slow destination holds no thread
and no place in a queue. A destination that does not answer is tried again by a delayed workflow.
"""

from threading import Event

from dbos import DBOS, SetEnqueueOptions, SetWorkflowID, StepOptions
from dbos import error as dbos_error

from app.assignment import Assignment
from app.errors import AppError, Retryable
from app.findings import Outcome, Report
from app.outcomes import Shipment, studies, study
from app.settings import Settings
from app.workflow_delivery import replay
from app.workflow_steps import Steps

__all__ = ["begin_study", "register_queues", "replay", "run_worker", "studies", "study", "use"]

INFERENCE = "inference"
REDELIVERY = "redelivery"
REDELIVERY_POLL_S = 0.5
REDELIVERIES_AT_ONCE = 4
"""For each destination: one that hangs until its time-out keeps so many threads and no more."""

GIVEN_UP = (AppError, dbos_error.DBOSMaxStepRetriesExceeded)

_steps: list[Steps] = []


def run_worker(settings: Settings, stop: Event) -> None:
    """Work until `stop` is set; see `app.workflow_worker.run`. The only way in that loads torch."""
    from app.workflow_worker import run

    run(settings, stop)


def use(steps: Steps | None) -> None:
    """Set what the workflows of this process work on, before DBOS starts."""
    _steps[:] = [] if steps is None else [steps]


def register_queues(concurrency: int, poll_s: float) -> None:
    """Declare the queues, after DBOS was launched.

    Args:
        concurrency: Analyses at once in one worker; the most urgent first.
        poll_s: How often the inference queue is looked at; half of it is added to the time of a study on average.
    """
    DBOS.register_queue(
        INFERENCE, worker_concurrency=concurrency, polling_interval_sec=poll_s, on_conflict="always_update"
    )
    DBOS.register_queue(
        REDELIVERY,
        partition_worker_concurrency=REDELIVERIES_AT_ONCE,
        polling_interval_sec=REDELIVERY_POLL_S,
        on_conflict="always_update",
    )


def begin_study(key: str) -> None:
    """Start the workflow of a study revision, durably; one that is there already stays as it is."""
    with SetWorkflowID(key):
        DBOS.start_workflow(process_study, key)


@DBOS.workflow(name="process_study")
def process_study(key: str) -> None:
    """Assemble a study, look at its pictures and route it, then hand each assignment on."""
    steps = _steps[0]
    with steps.active("process_study", key):
        try:
            DBOS.run_step(_patiently("assemble"), steps.assemble, key)
            DBOS.run_step(_patiently("look"), steps.look, key)
            plans = DBOS.run_step(_patiently("route"), steps.route, key)
        except GIVEN_UP as error:
            _give_up(key, error)
            return
        for number, plan in enumerate(plans):
            assignment = plan.assignment
            if plan.problem:
                _publish_undetermined(key, number, assignment, plan.problem)
                continue
            with SetWorkflowID(f"{key}/infer-{number}"), SetEnqueueOptions(priority=assignment.priority):
                DBOS.enqueue_workflow(INFERENCE, analyse, key, number, assignment)


@DBOS.workflow(name="analyse")
def analyse(key: str, number: int, assignment: Assignment) -> None:
    """Run a bundle on a series; a failure is a report too."""
    steps = _steps[0]
    steps.enter()
    with steps.active("analyse", key):
        try:
            report = DBOS.run_step(_patiently("infer"), steps.infer, key, assignment)
        except GIVEN_UP as error:
            _give_up(key, error)
            return
        _publish(key, number, report)


@DBOS.workflow(name="publish")
def publish(key: str, number: int, report: Report) -> None:
    """Encode a report and send each document to each of its destinations."""
    steps = _steps[0]
    with steps.active("publish", key):
        try:
            shipments = DBOS.run_step(_patiently("report"), steps.publish, key, report)
        except GIVEN_UP as error:
            _give_up(key, error, report)
            return
        for shipment in shipments:
            with SetWorkflowID(f"{key}/deliver-{number}/{shipment.document}/{shipment.destination}/1"):
                DBOS.start_workflow(deliver_document, key, shipment, 1)
        DBOS.run_step(_patiently("tidy"), steps.tidy, key, report)


@DBOS.workflow(name="deliver_document")
def deliver_document(key: str, shipment: Shipment, turn: int) -> None:
    """Deliver one document to one destination; where that must wait, a delayed workflow takes its next turn.

    A turn need not be an attempt: a destination may be left alone for now, or a storage commitment be awaited.
    """
    steps = _steps[0]
    with steps.active("deliver_document", key):
        pause_s = DBOS.run_step(_patiently("deliver"), steps.deliver, key, shipment)
        if pause_s is None:
            return
        name = f"{key}/redeliver/{shipment.document}/{shipment.destination}/{turn + 1}"
        options = SetEnqueueOptions(
            delay_seconds=pause_s,
            queue_partition_key=shipment.destination,
            # Read outside of a step: of two answers either would do, and the queue keeps the one that was given first.
            priority=steps.right_of_way(key, shipment),
        )
        with SetWorkflowID(name), options:
            DBOS.enqueue_workflow(REDELIVERY, deliver_document, key, shipment, turn + 1)


def _patiently(name: str) -> StepOptions:
    """A step that is run again while its trouble may pass, a full disk of results above all: for about an hour."""
    return {
        "name": name,
        "retries_allowed": True,
        "max_attempts": 12,
        "interval_seconds": 1.0,
        "should_retry": lambda error: isinstance(error, Retryable),
    }


def _publish_undetermined(key: str, number: int, assignment: Assignment, reason: str) -> None:
    step = _steps[0].undetermined
    try:
        report = DBOS.run_step(_patiently("undetermined"), step, key, assignment, Outcome.NOT_ATTEMPTED, reason)
    except GIVEN_UP as error:
        _give_up(key, error)
        return
    _publish(key, number, report)


def _publish(key: str, number: int, report: Report) -> None:
    with SetWorkflowID(f"{key}/publish-{number}"):
        DBOS.start_workflow(publish, key, number, report)


def _give_up(key: str, error: Exception, report: Report | None = None) -> None:
    DBOS.run_step(_patiently("fail"), _steps[0].fail, key, str(error), report)
