"""The audit trail of this process: what happened goes to the file and the syslog server of the settings."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import structlog
from prometheus_client import Counter

from app.audit.alerts import Alerts
from app.audit.file import append
from app.audit.messages import Event, Message, Outcome, Participant, RoleId, StudyObject, Type, to_xml
from app.audit.settings import Audit
from app.audit.syslog import Sender
from app.errors import Failed

MESSAGES: Final = Counter("vigil_audit_messages", "Audit messages written", ["event"])
FAILURES: Final = Counter("vigil_audit_failures", "Audit messages that could not be written", ["sink"])
OURSELVES: Final = "vigil"
_NOT_WRITTEN: Final = "the audit trail cannot be written, and nothing is shown without it; see the log, audit.file"

for _sink in ("file", "syslog"):
    FAILURES.labels(_sink)  # a series that is first seen at 1 has no increase

_log = structlog.get_logger()


@dataclass(frozen=True)
class Trail:
    """Writes audit messages. A failure is logged and counted, and raised only where the settings ask for it.

    Attributes:
        options: Where they go.
        clock: Unix time, seconds.
    """

    options: Audit
    clock: Callable[[], float] = time.time
    _alerts: Alerts = field(default_factory=Alerts, init=False, compare=False)

    def application(self, role: str, *, starts: bool) -> None:
        """A process of ours starts or stops; `role` is "listener", "worker" or "web"."""
        kind = Type.START if starts else Type.STOP
        ours = Participant(f"{OURSELVES} {role}", is_requestor=False, role=RoleId.APPLICATION)
        self._write(Message(Event.APPLICATION, "E", self.clock(), (ours,), type=kind))

    def login(self, user: str, address: str, *, logout: bool = False) -> None:
        """Somebody has logged in, or out, by browser."""
        kind = Type.LOGOUT if logout else Type.LOGIN
        who = Participant(user, is_requestor=True, address=address)
        self._write(Message(Event.AUTHENTICATION, "E", self.clock(), (who,), type=kind))

    def refused(self, reason: str, user: str, address: str) -> None:
        """A connection, an association, a log-in or a request was refused; `user` as it named itself, "" unnamed.

        Of what comes for the same reason from the same address the first is told at once and the others, by their
        number, with the next one after a minute: who knocks without end shall not fill the disk.
        """
        before = self._alerts.passes((reason, address))
        if before is None:
            return
        who = Participant(user, is_requestor=True, address=address)
        words = f"refused: {reason}" + (f", after {before} times more that were not told singly" if before else "")
        kind, outcome = Type.NODE_AUTHENTICATION, Outcome.SERIOUS_FAILURE
        self._write(Message(Event.SECURITY_ALERT, "E", self.clock(), (who,), outcome, words, kind, alert=words))

    def accessed(self, user: str, address: str, study: StudyObject) -> None:
        """Somebody has looked at the page of a study.

        Raises:
            Failed: The message could not be written, and the settings want no page shown then.
        """
        who = Participant(user, is_requestor=True, address=address)
        told = self._write(Message(Event.ACCESSED, "R", self.clock(), (who,), study=study))
        if not told and self.options.required:
            raise Failed(_NOT_WRITTEN)

    def queried(self, user: str, address: str, query: str) -> None:
        """Somebody was shown a list of studies: `query` is its address with what was looked for.

        Raises:
            Failed: See `accessed`.
        """
        who = Participant(user, is_requestor=True, address=address, role=RoleId.SOURCE)
        ours = Participant(OURSELVES, is_requestor=False, role=RoleId.DESTINATION)
        told = self._write(Message(Event.QUERY, "E", self.clock(), (who, ours), query=query))
        if not told and self.options.required:
            raise Failed(_NOT_WRITTEN)

    def analysed_again(self, user: str, address: str, study: StudyObject) -> None:
        """Somebody has asked for another analysis of a study, whose documents will be new ones."""
        who = Participant(user, is_requestor=True, address=address)
        words = "another analysis was asked for"
        self._write(Message(Event.ACCESSED, "C", self.clock(), (who,), description=words, study=study))

    def received(self, ae_title: str, address: str, study: StudyObject, *, whole: bool) -> None:
        """An association has brought images of a study; `whole` where its sender has released it."""
        source = Participant(ae_title, is_requestor=True, address=address, role=RoleId.SOURCE)
        ours = Participant(OURSELVES, is_requestor=False, role=RoleId.DESTINATION)
        outcome, words = (Outcome.SUCCESS, "") if whole else (Outcome.MINOR_FAILURE, "the sender broke off")
        self._write(Message(Event.TRANSFERRED, "C", self.clock(), (source, ours), outcome, words, study=study))

    def sent(
        self, destination: str, study: StudyObject, *, problem: str = "", user: str = "", address: str = ""
    ) -> None:
        """Documents of a study have gone to a destination, or have not for a reason; `user` sent them by hand."""
        ours = Participant(OURSELVES, is_requestor=not user, role=RoleId.SOURCE)
        theirs = Participant(destination, is_requestor=False, role=RoleId.DESTINATION)
        by_hand = (Participant(user, is_requestor=True, address=address),) if user else ()
        outcome = Outcome.MINOR_FAILURE if problem else Outcome.SUCCESS
        parts = (ours, theirs, *by_hand)
        self._write(Message(Event.TRANSFERRED, "R", self.clock(), parts, outcome, problem, study=study))

    def answered(self, user: str, address: str, study: StudyObject) -> None:
        """Somebody has said what they think of a finding, having looked at the study."""
        who = Participant(user, is_requestor=True, address=address)
        words = "feedback on a finding was given"
        self._write(Message(Event.ACCESSED, "R", self.clock(), (who,), description=words, study=study))

    def exported(self, user: str, address: str, study: StudyObject) -> None:
        """Copies of images of a study, without what identifies the patient, have left for training (A.5.3.4)."""
        who = Participant(user, is_requestor=True, address=address, role=RoleId.SOURCE)
        where = Participant("feedback export", is_requestor=False, role=RoleId.DESTINATION_MEDIA)
        self._write(Message(Event.EXPORTED, "R", self.clock(), (who, where), study=study))

    def configured(self, user: str, address: str, words: str) -> None:
        """Somebody has changed what the installation does: told as a security alert, which A.5.3.11 has it be."""
        who = Participant(user, is_requestor=True, address=address)
        kind = Type.SOFTWARE_CONFIGURATION
        self._write(Message(Event.SECURITY_ALERT, "E", self.clock(), (who,), description=words, type=kind, alert=words))

    def _write(self, message: Message) -> bool:
        """Write a message to every place; whether all took it."""
        if not self.options.is_on:
            return True
        xml = to_xml(message, self.options.source, self.options.site)
        sinks: Mapping[str, Callable[[], None]] = {
            **({"file": lambda: self._to_file(xml)} if self.options.file else {}),
            **({"syslog": lambda: self._to_syslog(xml, message.at)} if self.options.syslog else {}),
        }
        written = [self._attempt(name, sink) for name, sink in sinks.items()]
        MESSAGES.labels(message.event.name.lower()).inc()
        return all(written)

    def _attempt(self, name: str, sink: Callable[[], None]) -> bool:
        try:
            sink()
        except (OSError, UnicodeError) as error:
            FAILURES.labels(name).inc()
            problem = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
            _log.error("audit_not_written", sink=name, problem=problem, hint="what happened is missing in the trail")
            return False
        return True

    def _to_file(self, xml: str) -> None:
        if self.options.file is not None:
            append(self.options.file, xml, self.options.max_mb)

    def _to_syslog(self, xml: str, at: float) -> None:
        if self.options.syslog is not None:
            with _LOCK:
                sender = _sender(self.options)
            sender.send(xml, at)


_LOCK: Final = threading.Lock()


@lru_cache(maxsize=8)
def _sender(options: Audit) -> Sender:
    if options.syslog is None:
        raise ValueError("no syslog server")
    return Sender(options.syslog, options.source)
