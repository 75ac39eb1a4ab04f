"""What each step of a study's life does. The order is `app/workflow.py`'s; here each step leaves what it found out in
the study's outcome, and may be run again after a crash without harm.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from threading import Event, Lock

import structlog
from structlog.contextvars import bound_contextvars

from app import outcomes, revisions, workflow_metrics
from app.assignment import Assignment
from app.documents import Waiting
from app.errors import AppError, Failed, Rejected, Retryable
from app.findings import Outcome, Report
from app.infer.catalogue import Catalogue
from app.infer.results import undetermined
from app.masks import mask_files
from app.outcomes import FINAL, Shipment, StudyOutcome, Timing
from app.reassembly import reassemble
from app.receive.spool import Spool
from app.report import encode
from app.route.router import Router
from app.settings import Settings
from app.study import Look, Study
from app.workflow_analyser import Analyser
from app.workflow_delivery import right_of_way
from app.workflow_edges import Stopped, bounded, edge
from app.workflow_look import Viewer, look_at, look_for_contrast, notes_of, with_looks
from app.workflow_order import delivering
from app.workflow_plan import Plan, plan_of
from app.workflow_shipping import Shipping
from bundles.common.contract import Window

log = structlog.get_logger()

REMEMBERED_STUDIES = 16
MOST_BEGINNINGS = 3
RETRY_PAUSE_S = 1.0
BUSY_PAUSE_S = 5.0
"""Until a document is looked at again that another worker is sending."""


@dataclass
class Steps:
    """The steps with what they work on.

    Attributes:
        settings: Of the installation.
        spool: Where the images lie.
        catalogue: The bundles.
        router: The rules.
        runner: The networks.
        viewer: Tells what pictures show; None where no bundle does.
        contrast: Tells whether heads show contrast agent; None where nothing is to look.
        draining: Set when the worker is to stop: no further analysis begins.
        stopping: Set when the worker gives up waiting for running analyses.
        switched_off: Bundles that get no study now, by name, with the sentence that says so; see `app.switches`.
        shipping: Deliveries, with what is known of the destinations.
    """

    settings: Settings
    spool: Spool
    catalogue: Catalogue
    router: Router
    runner: Analyser
    viewer: Viewer | None = None
    contrast: Viewer | None = None
    draining: Event = field(default_factory=Event)
    stopping: Event = field(default_factory=Event)
    switched_off: Callable[[], Mapping[str, str]] = dict
    shipping: Shipping = field(init=False)
    _studies: OrderedDict[str, Study] = field(default_factory=OrderedDict, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)
    _active: list[str] = field(default_factory=list, init=False)
    _timings: dict[str, list[Timing]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.shipping = Shipping.of(self.settings)

    @contextmanager
    def active(self, workflow: str, key: str = "") -> Iterator[None]:
        """Count a running workflow under its name, and name its study in every log line of it."""
        self._active.append(workflow)
        try:
            with bound_contextvars(**({"study": key[:12]} if key else {})):
                yield
        finally:
            self._active.remove(workflow)

    def running(self, workflow: str = "") -> int:
        """How many workflows of a name, or of all, run in this process."""
        return sum(1 for name in tuple(self._active) if workflow in {"", name})

    def enter(self) -> None:
        """Keep a workflow from beginning while the worker drains.

        Raises:
            Stopped: The worker stopped.
        """
        if self.draining.is_set():
            self.stopping.wait()
            raise Stopped

    def folder(self, key: str) -> Path:
        """Where the results of a study revision lie."""
        return self.settings.results / key

    def remember(self, study: Study) -> None:
        """Keep an assembled study: the next stage, a moment later, need not read its headers again."""
        with self._lock:
            self._studies[study.key] = study
            while len(self._studies) > REMEMBERED_STUDIES:
                self._studies.popitem(last=False)

    def study(self, key: str) -> Study:
        """The assembled study, from memory or from the files of the revision.

        Raises:
            AppError: It cannot be assembled.
        """
        with self._lock:
            if key in self._studies:
                return self._studies[key]
        known = self._outcome(key)
        study = with_looks(reassemble(self.settings.spool.folder, known), known.looks)
        self.remember(study)
        return study

    def assemble(self, key: str) -> None:
        """Read the headers and write down what arrived.

        Raises:
            AppError: Nothing can be made of the files.
        """
        with self._timed(key, "assemble"), edge("assembling"):
            study = self.study(key)
        notes = (
            *study.notes,
            *(note for series in study.series for note in series.notes),
            *(f"left out: {each.reason}" for each in study.unreadable),
        )
        modalities = tuple(sorted({series.modality for series in study.series} - {""}))
        self._record(
            key,
            lambda known: replace(
                known, study_uid=study.uid, notes=notes, modalities=modalities, sources=study.sources
            ),
        )

    def look(self, key: str) -> None:
        """Write down what pictures show, where a rule or a bundle asks for it. Blocks nothing.

        Raises:
            AppError: The study cannot be assembled.
            Stopped: The worker stops first.
        """
        study = self.study(key)
        if not self._asks_for_pictures(study):
            return
        with self._timed(key, "look"):
            looks = self._looks(study)
        if not looks:
            return
        self.remember(with_looks(study, looks))
        self._record(
            key,
            lambda known: replace(known, looks=looks, notes=tuple(dict.fromkeys((*known.notes, *notes_of(looks))))),
        )

    def route(self, key: str) -> tuple[Plan, ...]:
        """Decide who analyses what, and whether the geometry allows it.

        What is reported already is not done again: a study that an older version began and this one begins anew.

        Raises:
            AppError: The study cannot be assembled.
        """
        study, before = self.study(key), self._outcome(key)
        with self._timed(key, "route"), edge("routing"):
            decision = self.router.decide(study, self.switched_off())
            plans = tuple(
                plan_of(study, each, self.catalogue.get(each.bundle).service)
                for each in decision.assignments
                if not outcomes.has_report(before, each)
            )
        for _ in (plan for plan in plans if plan.problem):
            workflow_metrics.FAILURES.labels("route", "geometry").inc()
        self._record(key, lambda known: replace(known, decision=decision))
        told = [each for assignment in decision.assignments for each in assignment.told]
        log.info("study_routed", study=key[:12], assignments=len(plans), declined=len(decision.declined), evidence=told)
        return plans

    def infer(self, key: str, assignment: Assignment) -> Report:
        """Analyse one series; whatever goes wrong becomes an undetermined report with the reason.

        Raises:
            AppError: Not even that can be said, for the bundle or the study is gone.
            Stopped: The worker stops first; the next start begins here.
        """
        name = f"{assignment.bundle}-{assignment.stack}-{assignment.series_uid}"
        known = outcomes.record(self.folder(key), lambda known: replace(known, begun=(*known.begun, name)))
        if known.begun.count(name) > MOST_BEGINNINGS:
            reason = f"the worker died {MOST_BEGINNINGS} times during this analysis"
            workflow_metrics.FAILURES.labels("infer", "worker_died").inc()
            return self.undetermined(key, assignment, Outcome.FAILED, reason)
        study = self.study(key)
        try:
            with self._timed(key, "infer", assignment.bundle), edge("analysing"):
                report = self._analyse(study, assignment)
        except Stopped:
            outcomes.record(self.folder(key), lambda known: replace(known, begun=_without_last(known.begun, name)))
            raise
        except AppError as error:
            log.warning("analysis_failed", study=key[:12], bundle=assignment.bundle, reason=str(error))
            return self.undetermined(key, assignment, Outcome.FAILED, str(error))
        workflow_metrics.REPORTS.labels(assignment.bundle, report.outcome).inc()
        return report

    def undetermined(self, key: str, assignment: Assignment, outcome: Outcome, reason: str) -> Report:
        """The report of an analysis that did not happen.

        Raises:
            AppError: The bundle or the study is gone.
        """
        workflow_metrics.REPORTS.labels(assignment.bundle, outcome).inc()
        return undetermined(self.study(key), assignment, self.catalogue.get(assignment.bundle), outcome, reason)

    def publish(self, key: str, report: Report) -> tuple[Shipment, ...]:
        """Encode a report and write down where its documents go.

        Raises:
            AppError: No document could be made.
        """
        study = self.study(key)
        family = revisions.others(self.settings.results, key)
        report = replace(report, replaces=revisions.replaced_by(report, self._outcome(key), family))
        with self._timed(key, "report", report.algorithm.name), edge("encoding"):
            wanted = {kind for destination in self.settings.destinations for kind in destination.documents}
            documents = encode(report, study, self.folder(key), window=self._window(report), kinds=wanted)
        if all(document.problem for document in documents):
            raise Failed(f"no document could be made: {documents[0].problem if documents else 'no encoder'}")
        shipments = tuple(
            Shipment(document.path.name, destination.name)
            for destination in self.settings.destinations
            for document in documents
            if destination.wants(document)
        )
        self._record(key, lambda known: outcomes.with_report(known, report, documents, shipments))
        if report.urgent:
            workflow_metrics.EARLY_READING.labels(report.algorithm.name).inc()
            log.info("flagged_for_early_reading", study=key[:12], bundle=report.algorithm.name)
        return shipments

    def tidy(self, key: str, report: Report) -> None:
        """Remove the masks of a report: its documents hold what they showed. A step of its own, since a `publish` that
        is run again after a crash needs them.
        """
        for path in mask_files(self.folder(key), report):
            path.unlink(missing_ok=True)

    def right_of_way(self, key: str, shipment: Shipment) -> int:
        """Priority of a delivery that has to wait."""
        return right_of_way(self._outcome(key), shipment)

    def deliver(self, key: str, shipment: Shipment) -> float | None:
        """Do what is next to deliver a document, and write down how it ended, or why it waits.

        Returns:
            Seconds until it is to be looked at again; None where there is nothing more to do.
        """
        with delivering(self.folder(key), shipment.document, shipment.destination) as ours:
            return self._deliver(key, shipment) if ours else BUSY_PAUSE_S

    def fail(self, key: str, problem: str, report: Report | None = None) -> None:
        """Write down that nothing could be made of a study, or of one of its reports."""
        log.error("study_failed", study=key[:12], reason=problem)

        def change(known: StudyOutcome) -> StudyOutcome:
            told = known if report is None else outcomes.with_report(known, report, (), ())
            return replace(told, problem=problem)

        self._record(key, change)

    def _deliver(self, key: str, shipment: Shipment) -> float | None:
        known = self._outcome(key)
        found = outcomes.receipt_of(known, shipment)
        if found is not None and found.delivered:
            return None
        waiting = outcomes.waiting_of(known, shipment)
        only_looks = waiting is not None and waiting.asked_at
        what = f"{shipment.document} to {shipment.destination}"
        with nullcontext() if only_looks else self._timed(key, "deliver", what):
            found_out = self.shipping.advance(known, shipment)
        if isinstance(found_out, Waiting):
            waits = found_out
            self._record(key, lambda known: outcomes.with_waiting(known, waits))
            return max(waits.until - time.time(), 0.0)
        receipt = found_out
        if not receipt.delivered and not receipt.superseded_by:
            log.error("dead_letter", study=key[:12], destination=receipt.destination, reason=receipt.detail)
        self._record(key, lambda known: outcomes.with_receipt(known, receipt))
        return None

    def _analyse(self, study: Study, assignment: Assignment) -> Report:
        def once() -> Report:
            return bounded(
                lambda: self.runner.analyse(study, assignment, self.folder(study.key)),
                self.settings.inference.timeout_s,
                self.stopping,
            )

        try:
            return once()
        except Retryable as error:
            log.warning("analysis_retried", study=study.key[:12], bundle=assignment.bundle, reason=str(error))
            time.sleep(RETRY_PAUSE_S)
            return once()

    def _asks_for_pictures(self, study: Study) -> bool:
        if self.viewer is not None and self._pictures_matter:
            return True
        return self.contrast is not None and any(self.router.asks_for_contrast(each) for each in study.series)

    def _looks(self, study: Study) -> tuple[Look, ...]:
        longest_s = self.settings.inference.timeout_s
        looks: tuple[Look, ...] = ()
        if self.viewer is not None and self._pictures_matter:
            looks = look_at(study, self.viewer, longest_s, self.stopping)
        if self.contrast is not None:
            asked = self.router.asks_for_contrast
            looks += look_for_contrast(study, self.contrast, asked, longest_s, self.stopping)
        return looks

    @property
    def _pictures_matter(self) -> bool:
        return self.router.looks_at_pictures or any(service.view for service in self.catalogue.services.values())

    def _window(self, report: Report) -> Window | None:
        bundle = self.catalogue.bundles.get(report.algorithm.name)
        return None if bundle is None else bundle.service.window

    def _outcome(self, key: str) -> StudyOutcome:
        found = outcomes.read(self.folder(key))
        if found is None:
            raise Rejected(f"results of study {key} are missing; send the study again")
        return found

    def _record(self, key: str, change: Callable[[StudyOutcome], StudyOutcome]) -> None:
        with self._lock:
            timings = self._timings.pop(key, [])
        before = self._outcome(key).state
        after = outcomes.record(self.folder(key), lambda known: reduce(outcomes.with_timing, timings, change(known)))
        if after.state in FINAL and before not in FINAL:
            workflow_metrics.STUDIES.labels(after.state).inc()
            if after.seconds is not None:
                workflow_metrics.TURNAROUND_SECONDS.observe(after.seconds)
            log.info("study_finished", study=key[:12], state=after.state, seconds=round(after.seconds or 0, 2))

    @contextmanager
    def _timed(self, key: str, stage: str, what: str = "") -> Iterator[None]:
        started = time.perf_counter()
        failed: dict[str, str] = {}
        try:
            yield
        except AppError as error:
            failed = {"failed": error.reason}
            workflow_metrics.FAILURES.labels(stage, error.reason).inc()
            raise
        except Stopped:
            failed = {"failed": "stopped"}
            raise
        finally:
            timing = Timing(stage, what, round(time.perf_counter() - started, 3))
            workflow_metrics.STAGE_SECONDS.labels(stage).observe(timing.seconds)
            log.info("stage_ended", study=key[:12], stage=stage, what=what, seconds=timing.seconds, **failed)
            with self._lock:
                self._timings.setdefault(key, []).append(timing)


def _without_last(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    """Leave out one beginning: a stop is no death."""
    last = len(names) - 1 - names[::-1].index(name)
    return (*names[:last], *names[last + 1 :])
