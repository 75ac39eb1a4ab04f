"""A stand-in PACS that does storage commitment as SCP, in the ways that peers do it and some that they must not."""

import socket
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, _config, build_context, build_role, evt
from pynetdicom.sop_class import ModalityPerformedProcedureStep, Verification

from app.commitments import ALL_COMMITTED, PUSH_MODEL, PUSH_MODEL_INSTANCE, SOME_FAILED


@dataclass(frozen=True)
class Habits:
    """How it behaves.

    Attributes:
        answers: Whether it ever sends an N-EVENT-REPORT.
        call_back: Port of our listener: the answer comes on an association that the peer opens there; 0 answers on the
            association of the question.
        roles: Whether it proposes itself as SCP when it calls back (PS3.7 D.3.3.4); some forget.
        delay_s: Between question and answer.
        failing: So many questions, the first ones, are answered by a failure.
        repeated: How often each answer is sent.
        wrong: Whether the answer names a transaction that nobody began.
        action_status: Answer to N-ACTION.
        store_status: Answer to C-STORE; anything but success is a warning, and the object is stored.
        questions: Where it is more than one: only the first question is answered, once so many were asked.
        commits: Whether it does storage commitment at all.
        unwanted: A SOP class that it does not accept.
    """

    answers: bool = True
    call_back: int = 0
    roles: bool = True
    delay_s: float = 0.0
    failing: int = 0
    repeated: int = 1
    wrong: bool = False
    action_status: int = 0
    store_status: int = 0
    questions: int = 1
    commits: bool = True
    unwanted: str = ""


@dataclass
class CommittingPacs:
    """Runs while its context is open.

    Attributes:
        habits: How it behaves.
        stored: SOP Instance UIDs of every C-STORE, in order.
        asked: Transaction UIDs of every N-ACTION, in order.
        statuses: What our side answered to its N-EVENT-REPORTs.
    """

    habits: Habits = Habits()
    ae_title: str = "PACS"
    stored: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    statuses: list[int | None] = field(default_factory=list)
    port: int = 0
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        entity = AE(self.ae_title)
        entity.maximum_associations = 100
        entity.add_supported_context(Verification)
        if self.habits.commits:
            entity.add_supported_context(PUSH_MODEL)
        _config.UNRESTRICTED_STORAGE_SERVICE = True
        handlers = [
            (evt.EVT_REQUESTED, self._on_request),
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_N_ACTION, self._on_action),
        ]
        self._server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        self.port = self._server.socket.getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for thread in self._threads:
            thread.join()
        self._server.shutdown()
        self._server.server_close()

    def _on_request(self, event: evt.Event) -> None:
        """Make a class that is not wanted one that nobody knows, before pynetdicom accepts everything."""
        for context in event.assoc.requestor.primitive.presentation_context_definition_list:
            if context.abstract_syntax == self.habits.unwanted:
                context.abstract_syntax = ModalityPerformedProcedureStep

    def _on_store(self, event: evt.Event) -> int:
        self.stored.append(str(event.request.AffectedSOPInstanceUID))
        return self.habits.store_status

    def _on_action(self, event: evt.Event) -> tuple[int, None]:
        if self.habits.action_status:
            return self.habits.action_status, None
        information = event.action_information
        self.asked.append(str(information.TransactionUID))
        fails = len(self.asked) <= self.habits.failing
        if self.habits.answers and (self.habits.questions == 1 or len(self.asked) == 1):
            answer = (event.assoc, *self._answer(information, fails=fails))
            thread = threading.Thread(target=self._report, args=answer, daemon=True)
            self._threads.append(thread)
            thread.start()
        return 0x0000, None

    def _answer(self, asked: Dataset, *, fails: bool) -> tuple[Dataset, int]:
        answer = Dataset()
        answer.TransactionUID = generate_uid() if self.habits.wrong else asked.TransactionUID
        if not fails:
            answer.ReferencedSOPSequence = asked.ReferencedSOPSequence
            return answer, ALL_COMMITTED
        items = []
        for each in asked.ReferencedSOPSequence:
            item = Dataset()
            item.ReferencedSOPClassUID = each.ReferencedSOPClassUID
            item.ReferencedSOPInstanceUID = each.ReferencedSOPInstanceUID
            item.FailureReason = 0x0112
            items.append(item)
        answer.FailedSOPSequence = items
        return answer, SOME_FAILED

    def _report(self, association: Any, answer: Dataset, kind: int) -> None:
        time.sleep(max(self.habits.delay_s, 0.05))  # after the response to N-ACTION
        deadline = time.monotonic() + 60
        while len(self.asked) < self.habits.questions and time.monotonic() < deadline:
            time.sleep(0.02)
        for _ in range(self.habits.repeated):
            if self.habits.call_back:
                self.call_back(answer, kind)
            elif association.is_established:
                self._say(association, answer, kind)

    def hang_up(self) -> None:
        """Break the connections that others have opened here."""
        for each in self._server.active_associations:
            each.dul.socket.socket.shutdown(socket.SHUT_RDWR)

    def call_back(self, answer: Dataset, kind: int) -> None:
        """Open an association to our listener and report there."""
        entity = AE(self.ae_title)
        roles = [build_role(PUSH_MODEL, scp_role=True)] if self.habits.roles else []
        association = entity.associate(
            "127.0.0.1", self.habits.call_back, [build_context(PUSH_MODEL)], ae_title="VIGIL", ext_neg=roles
        )
        assert association.is_established
        self._say(association, answer, kind)
        association.release()

    def _say(self, association: Any, answer: Dataset, kind: int) -> None:
        status, _ = association.send_n_event_report(answer, kind, PUSH_MODEL, PUSH_MODEL_INSTANCE)
        self.statuses.append(status.get("Status"))
