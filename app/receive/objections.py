"""What can be said against an instance before its data set is read, the same by C-STORE and by upload."""

from dataclasses import dataclass
from typing import Final

from app.commitments import PUSH_MODEL
from app.receive.dataset import is_uid
from app.receive.spool import Spool

SOP_CLASS_NOT_SUPPORTED: Final = 0x0122
NOT_AUTHORIZED: Final = 0x0124
OUT_OF_RESOURCES: Final = 0xA700
CANNOT_UNDERSTAND: Final = 0xC000

VERIFICATION: Final = "1.2.840.10008.1.1"
MEDIA_DIRECTORY: Final = "1.2.840.10008.1.3.10"
NO_STORAGE: Final = frozenset({VERIFICATION, PUSH_MODEL, MEDIA_DIRECTORY})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an instance is not stored. `reason` labels the metric, `comment` tells the sender (≤ 64 characters)."""

    status: int
    reason: str
    comment: str


NO_SPACE: Final = Refusal(OUT_OF_RESOURCES, "disk_full", "Not enough disk space, send again later")
NO_SENDER: Final = Refusal(NOT_AUTHORIZED, "not_authorized", "This AE title may verify, and store nothing")
BROKEN_DISK: Final = Refusal(OUT_OF_RESOURCES, "disk_error", "Could not be stored durably, send again later")


def objection(spool: Spool, service: str, sop_class_uid: str, sop_instance_uid: str) -> Refusal | None:
    """Say what speaks against storing an instance; None where nothing does so far.

    Args:
        spool: Where it would go.
        service: SOP class that the sender offered it under.
        sop_class_uid: As the command, or the file meta information, names it.
        sop_instance_uid: Likewise.
    """
    if service in NO_STORAGE:
        return Refusal(SOP_CLASS_NOT_SUPPORTED, "sop_class", "This SOP class is another service, and no image")
    if not is_uid(sop_class_uid):
        return Refusal(CANNOT_UNDERSTAND, "sop_class_uid", "AffectedSOPClassUID is missing or invalid")
    if not is_uid(sop_instance_uid):
        return Refusal(CANNOT_UNDERSTAND, "sop_instance_uid", "AffectedSOPInstanceUID is missing or invalid")
    return None if spool.has_room() else NO_SPACE
