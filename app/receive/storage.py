"""The storage service of one association (PS3.4 Annex B): fragments in, a durable file and a status out.

Data set fragments go to disk as they arrive, so that memory does not grow with the size of an object. A refused object
is read to its end and thrown away, because the response follows the whole request.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from app.receive import metrics
from app.receive.command import C_STORE_REQUEST, Command, ProtocolError, decode, store_response
from app.receive.dataset import Buffer, UnintelligibleError
from app.receive.incoming import Incoming, Stored
from app.receive.objections import BROKEN_DISK, CANNOT_UNDERSTAND, NO_SENDER, NO_SPACE, Refusal, objection
from app.receive.presence import Presence
from app.receive.spool import Spool
from app.study import uid_hash

SUCCESS: Final = 0x0000

_MAX_COMMAND: Final = 1 << 16
_MAX_OTHER_DATA: Final = 1 << 20
"""Data sets of anything but C-STORE: C-ECHO has none, an N-EVENT-REPORT names instances."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Context:
    """An accepted presentation context."""

    abstract_syntax_uid: str
    transfer_syntax_uid: str


@dataclass(slots=True)
class Tally:
    """What one association has brought: C-STORE requests, what became of them, and images of each study by the short
    form of its key.
    """

    requests: int = 0
    images: int = 0
    bytes: int = 0
    refused: int = 0
    studies: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Brought:
    """What one association has brought of a study: one of its files, and the number of instances of each SOP class."""

    example: Path
    sop_classes: Counter[str] = field(default_factory=Counter)


class StorageService:
    """Assembles the messages of one association and stores what C-STORE brings. Used by one thread.

    Args:
        spool: Where to.
        calling_ae: Who sends.
        contexts: Looks up the accepted presentation contexts by ID.
        respond: Sends a response's command set in a presentation context.
        forward: Takes every other message: context ID, command set, data set (b"" where there is none).
        may_store: False refuses every image: this caller may only ask whether we are there.
    """

    def __init__(
        self,
        spool: Spool,
        calling_ae: str,
        contexts: Mapping[int, Context],
        respond: Callable[[int, bytes], None],
        forward: Callable[[int, bytes, bytes], None],
        *,
        may_store: bool = True,
    ) -> None:
        self._spool = spool
        self._calling_ae = calling_ae
        self._contexts = contexts
        self._respond = respond
        self._forward = forward
        self._may_store = may_store
        self._presence: Presence | None = None
        self._encoded = bytearray()
        self._other = bytearray()
        self._command: Command | None = None
        self._incoming: Incoming | None = None
        self._refusal: Refusal | None = None
        self.tally = Tally()
        self.brought: dict[str, Brought] = {}

    def fragment(self, control: int, chunk: Buffer) -> None:
        """Take some bytes of a presentation data value.

        Args:
            control: Message control header (PS3.8 Annex E.2): bit 0 command, bit 1 last fragment.
            chunk: Part of its payload; only read during the call.

        Raises:
            ProtocolError: The message is longer than its kind can be, or begins with a data set.
        """
        if control & 1:
            self._encoded += chunk
            if self._command is not None or len(self._encoded) > _MAX_COMMAND:
                raise ProtocolError("unexpected command set")
        elif self._command is None:
            raise ProtocolError("data set without a command")
        elif self._incoming is not None:
            try:
                self._incoming.write(chunk)
            except OSError as error:
                self._drop(error)
        elif self._refusal is None:
            self._other += chunk
            if len(self._other) > _MAX_OTHER_DATA:
                raise ProtocolError("oversized data set")

    def end_of_fragment(self, context_id: int, control: int) -> None:
        """Close a presentation data value; the last one of a message has it answered.

        Raises:
            ProtocolError: The message is malformed or belongs to no accepted presentation context.
        """
        if not control & 2:
            return
        if context_id not in self._contexts:
            raise ProtocolError("presentation context was not accepted")
        if control & 1:
            self._command = decode(self._encoded)
            if self._command.field == C_STORE_REQUEST:
                self._begin(self._command, self._contexts[context_id])
            if self._command.has_data_set:
                return
        if self._command is None:
            raise ProtocolError("data set without a command")
        if self._command.field == C_STORE_REQUEST:
            self._finish(self._command, context_id)
        else:
            self._forward(context_id, bytes(self._encoded), bytes(self._other))
        self._reset()

    def close(self, *, released: bool) -> None:
        """End the association: nothing half received stays, and its studies may be complete.

        Args:
            released: Whether the sender said that it had finished; else its studies are marked as interrupted.
        """
        try:
            if not released:
                self._name_half_received()
        except OSError as error:
            _log.error("half_image_not_named", errno=error.errno, problem=error.strerror)
        self._reset()
        presence, self._presence = self._presence, None
        try:
            if presence is not None:
                self._spool.leave(presence, released=released)
        except OSError as error:
            _log.error("association_not_left", errno=error.errno, problem=error.strerror)

    @property
    def studies(self) -> int:
        """How many studies the association has sent images of."""
        return self._presence.studies if self._presence else 0

    def _name_half_received(self) -> None:
        """Name the image that was cut off."""
        if self._incoming is not None and self._presence is not None:
            self._spool.cut_off(self._presence, self._incoming)

    def _begin(self, command: Command, context: Context) -> None:
        self.tally.requests += 1
        metrics.REQUESTS.inc()
        try:
            self._refusal = self._objection(command, context) if self._may_store else NO_SENDER
            if self._refusal is not None:
                return
            if self._presence is None:
                self._presence = self._spool.attend()
            self._incoming = self._spool.open(
                self._presence,
                sop_class_uid=command.sop_class_uid,
                sop_instance_uid=command.sop_instance_uid,
                transfer_syntax_uid=context.transfer_syntax_uid,
                calling_ae=self._calling_ae,
            )
        except OSError as error:
            self._drop(error)

    def _objection(self, command: Command, context: Context) -> Refusal | None:
        """Say what can be said against an instance before its data set is read."""
        found = objection(self._spool, context.abstract_syntax_uid, command.sop_class_uid, command.sop_instance_uid)
        if not command.has_data_set and found in {None, NO_SPACE}:
            return Refusal(CANNOT_UNDERSTAND, "no_data_set", "C-STORE without a data set")
        return found

    def _drop(self, error: OSError) -> None:
        _log.error("store_failed", errno=error.errno, problem=error.strerror)
        self._refusal = BROKEN_DISK
        if self._incoming is not None:
            self._incoming.discard()
            self._incoming = None

    def _finish(self, command: Command, context_id: int) -> None:
        if self._incoming is not None:
            self._commit(self._incoming)
        refusal = self._refusal
        if refusal is None:
            self._respond(context_id, store_response(command, SUCCESS))
            return
        self.tally.refused += 1
        metrics.REFUSED.labels(refusal.reason).inc()
        _log.warning(
            "instance_refused",
            reason=refusal.reason,
            comment=refusal.comment,
            status=f"0x{refusal.status:04X}",
            instance=uid_hash(command.sop_instance_uid)[:12],
        )
        self._respond(context_id, store_response(command, refusal.status, refusal.comment))

    def _commit(self, incoming: Incoming) -> None:
        start = time.perf_counter()
        try:
            stored = incoming.commit()
        except UnintelligibleError as error:
            self._refusal = Refusal(CANNOT_UNDERSTAND, "data_set", str(error))
        except OSError as error:
            self._drop(error)
        else:
            metrics.STORE_SECONDS.observe(time.perf_counter() - start)
            metrics.IMAGES.inc()
            metrics.BYTES.inc(stored.size)
            if not stored.new:
                metrics.REPEATED.inc()
            self.tally.images += 1
            self.tally.bytes += stored.size
            self._note(stored)

    def _note(self, stored: Stored) -> None:
        study = stored.key[:12]
        if study not in self.tally.studies:
            _log.info("study_arriving", study=study)
        self.tally.studies[study] = self.tally.studies.get(study, 0) + 1
        sop_class = self._command.sop_class_uid if self._command is not None else ""
        self.brought.setdefault(stored.key, Brought(stored.path)).sop_classes[sop_class] += 1

    def _reset(self) -> None:
        if self._incoming is not None:
            self._incoming.discard()
        self._incoming = self._command = self._refusal = None
        self._encoded.clear()
        self._other.clear()
