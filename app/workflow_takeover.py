"""Work that others left behind: of workers that died, and of versions of this program that are gone."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog
from dbos import DBOS, SetWorkflowID

from app import outcomes, workflow
from app.breakers import file_of
from app.errors import AppError
from app.locks import alone
from app.outcomes import FINAL, StudyOutcome
from app.settings import Settings
from app.workflow_database import VERSION, Heartbeat, resume_work_of

log = structlog.get_logger()

UNFINISHED = ["PENDING", "ENQUEUED", "DELAYED"]
JOURNAL = "renewing"
LOCK = "renewing.lock"


@dataclass
class Takeover:
    """What a worker does for those that are gone.

    Attributes:
        settings: Of the installation.
        heartbeat: Ours.
    """

    settings: Settings
    heartbeat: Heartbeat
    _look_at: float = field(default=0.0, init=False)
    _complained: set[str] = field(default_factory=set, init=False)

    def tend(self) -> None:
        """Beat, and take over from those that do not; once in `worker.takeover_s` look for what nobody answers for."""
        self.heartbeat.beat()
        for worker in self.heartbeat.claim_dead():
            log.warning("worker_died", worker=worker, resumed=resume_work_of(worker))
            self.heartbeat.bury([worker])
            file_of(self.settings.run, worker).unlink(missing_ok=True)
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + self.settings.worker.takeover_s
        self.renew_older()
        pending = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
        self.heartbeat.watch_over(str(each.executor_id) for each in pending if each.executor_id)

    def renew_older(self) -> None:
        """Begin anew what older versions left unfinished, once no worker of another version lives that may go on.

        The results of their steps may mean something else to this version, so that nothing of them is read: what counts
        is the outcome on disk. Reports that are there stay, and what was delivered stays delivered.
        """
        with alone(self.settings.run / LOCK) as ours:
            if not ours:
                return
            journal = self.settings.run / JOURNAL
            journal.mkdir(parents=True, exist_ok=True)
            for entry in sorted(journal.iterdir()):
                self._renew(entry.name, entry)
            if self.heartbeat.versions_of_others() - {self.heartbeat.version}:
                return
            for key in self._unfinished():
                entry = journal / key
                entry.touch()
                self._renew(key, entry)

    def _unfinished(self) -> Sequence[str]:
        others = [each["version_name"] for each in DBOS.list_application_versions()]
        versions = [each for each in others if each != self.heartbeat.version]
        if not versions:
            return ()
        found: dict[str, set[str]] = defaultdict(set)
        for each in DBOS.list_workflows(app_version=versions, status=UNFINISHED, load_input=False, load_output=False):
            found[str(each.app_version)].add(each.workflow_id.partition("/")[0])
        for version in sorted(found):
            if _is_older(version, self.heartbeat.version):
                continue
            if version not in self._complained:
                self._complained.add(version)
                log.error("newer_work_left", version=version, studies=len(found[version]), advice="upgrade this worker")
            del found[version]
        return sorted({key for keys in found.values() for key in keys})

    def _renew(self, key: str, entry: Path) -> None:
        """Drop the workflows of a study and start those that it still needs.

        The journal's entry outlives a kill in between: then all of it is done again, which does no harm.
        """
        try:
            known = outcomes.read(self.settings.results / key)
        except AppError as error:
            log.error("not_renewed", study=key[:12], reason=str(error))  # noqa: TRY400  the reason says it all
            return
        dropped = DBOS.list_workflows(workflow_id_prefix=key, load_input=False, load_output=False)
        DBOS.delete_workflows([each.workflow_id for each in dropped])
        if known is not None and known.state not in FINAL:
            # What an older version began says nothing of how this one fares.
            known = outcomes.record(self.settings.results / key, lambda found: replace(found, begun=()))
            _restart(known)
        log.warning("study_begun_anew", study=key[:12], dropped=len(dropped), known=known is not None)
        entry.unlink(missing_ok=True)


def _restart(known: StudyOutcome) -> None:
    for shipment in known.pending:
        name = f"{known.key}/renewed-{VERSION}/{shipment.document}/{shipment.destination}/1"
        with SetWorkflowID(name):
            DBOS.start_workflow(workflow.deliver_document, known.key, shipment, 1)
    unanswered = known.decision is None or len(known.reports) < len(known.decision.assignments)
    if unanswered and not known.problem:
        workflow.begin_study(known.key)


def _is_older(one: str, other: str) -> bool:
    """Versions are whole numbers; what is none comes from before there were any."""
    return not one.isdecimal() or int(one) < int(other)
