"""Storage commitments asked for and answered (PS3.4 Annex J): small files that worker and listener share.

The worker begins a transaction before it asks, and looks for the answer later. The answer may come on the association
of the question, or on one that the peer opens to our listener, in another process; either writes it here.
"""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import structlog
from pydicom import Dataset
from pydicom.uid import generate_uid

from app.study import uid_hash

PUSH_MODEL: Final = "1.2.840.10008.1.20.1"
PUSH_MODEL_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
# Statuses of N-EVENT-REPORT and N-ACTION (PS3.7 sections 10.1.1.1.8 and 10.1.4.1.10, and Annex C).
SUCCESS, PROCESSING_FAILURE, NO_SUCH_EVENT, INVALID_ARGUMENT = 0x0000, 0x0110, 0x0113, 0x0115
UNRECOGNISED_OPERATION = 0x0211
ALL_COMMITTED, SOME_FAILED = 1, 2
"""Event types (PS3.4 section J.3.3.1)."""
UNKNOWN_REASON: Final = 0x0110
FOLDER: Final = ".commitments"
KEPT_S: Final = 30 * 86400.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a peer said of one transaction.

    Attributes:
        committed: SOP Instance UIDs that it takes responsibility for.
        failed: SOP Instance UIDs that it does not, each with its failure reason (0008,1197).
    """

    committed: tuple[str, ...]
    failed: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Ledger:
    """The transactions of one installation.

    Files are named by a hash of the transaction UID, which is random: who was not asked cannot answer.

    Attributes:
        results: Folder of results, which all workers and the listener of an installation share.
    """

    results: Path

    def begin(self, study: str = "") -> str:
        """Open a transaction durably, before anybody is asked; returns its UID.

        Args:
            study: Short form of the study's key, for the log of whoever takes the answer.

        Raises:
            OSError: The folder of results cannot be written.
        """
        transaction = str(generate_uid(prefix=None))
        self._folder.mkdir(parents=True, exist_ok=True)
        _write(self._asked(transaction), {"asked_at": time.time(), "study": study})
        return transaction

    def note(self, transaction: str, answer: Answer) -> bool:
        """Keep an answer durably; the first one stands. False where nobody asked in that transaction.

        Raises:
            OSError: The folder of results cannot be written.
        """
        if not self._asked(transaction).is_file():
            return False
        before = self.look(transaction)
        if before is None:
            _write(self._answered(transaction), {"committed": answer.committed, "failed": answer.failed})
        elif before != answer:
            log.warning("commitment_contradicted", transaction=uid_hash(transaction)[:12])
        return True

    def look(self, transaction: str) -> Answer | None:
        """The answer, where one has come."""
        try:
            content = json.loads(self._answered(transaction).read_bytes())
        except FileNotFoundError:
            return None
        return Answer(tuple(content["committed"]), tuple((uid, reason) for uid, reason in content["failed"]))

    def study_of(self, transaction: str) -> str:
        """Short form of the key of the study that a transaction is about; "" where that was not noted."""
        try:
            return str(json.loads(self._asked(transaction).read_bytes()).get("study", ""))
        except (OSError, ValueError):
            return ""

    def prune(self, kept_s: float = KEPT_S) -> int:
        """Remove transactions that began long ago; returns how many. Until then a repeated answer is recognised."""
        old = [file for file in self._folder.glob("*.asked") if time.time() - file.stat().st_mtime > kept_s]
        for file in old:
            file.with_suffix(".answer").unlink(missing_ok=True)
            file.unlink(missing_ok=True)
        return len(old)

    @property
    def _folder(self) -> Path:
        return self.results / FOLDER

    def _asked(self, transaction: str) -> Path:
        return self._folder / f"{uid_hash(transaction)}.asked"

    def _answered(self, transaction: str) -> Path:
        return self._folder / f"{uid_hash(transaction)}.answer"


def take_report(event: Any, ledger: Ledger) -> tuple[int, None]:
    """Answer an N-EVENT-REPORT (PS3.4 section J.3.3), whichever association brought it.

    Args:
        event: pynetdicom's `EVT_N_EVENT_REPORT`.
        ledger: Where the answer goes.

    Returns:
        The status: success only once the answer is durable, and only where we had asked.
    """
    if event.event_type not in {ALL_COMMITTED, SOME_FAILED}:
        return NO_SUCH_EVENT, None
    calling_ae = str(event.assoc.requestor.ae_title).strip()
    try:
        transaction, answer = parse(event.event_information)
        known = ledger.note(transaction, answer)
    except OSError as error:
        log.error("commitment_not_kept", errno=error.errno, problem=error.strerror)  # noqa: TRY400  says it all
        return PROCESSING_FAILURE, None
    except Exception as error:  # noqa: BLE001  whatever a strange data set breaks; its words may quote it
        log.warning("commitment_unreadable", error=type(error).__name__, calling_ae=calling_ae)
        return INVALID_ARGUMENT, None
    if not known:
        log.warning("commitment_not_asked", transaction=uid_hash(transaction)[:12], calling_ae=calling_ae)
        return INVALID_ARGUMENT, None
    log.info(
        "commitment_answered",
        study=ledger.study_of(transaction),
        transaction=uid_hash(transaction)[:12],
        committed=len(answer.committed),
        failed=len(answer.failed),
    )
    return SUCCESS, None


def refuse_request(event: Any) -> tuple[int, None]:
    """Answer an N-ACTION: we ask for commitment, and promise none ourselves."""
    log.warning("commitment_not_offered", calling_ae=str(event.assoc.requestor.ae_title).strip())
    return UNRECOGNISED_OPERATION, None


def parse(information: Dataset) -> tuple[str, Answer]:
    """Read event information (PS3.4 table J.3-2): transaction UID and answer.

    Raises:
        AttributeError: An element is missing that must be there.
    """
    committed = tuple(str(item.ReferencedSOPInstanceUID) for item in information.get("ReferencedSOPSequence") or ())
    failed = tuple(
        (str(item.ReferencedSOPInstanceUID), int(item.get("FailureReason") or UNKNOWN_REASON))
        for item in information.get("FailedSOPSequence") or ()
    )
    refused = {uid for uid, _ in failed}
    return str(information.TransactionUID), Answer(tuple(uid for uid in committed if uid not in refused), failed)


def _write(path: Path, content: object) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="ascii") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
