"""What the listener tells the audit trail: whose images came from whom."""

from collections.abc import Iterable

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from app.audit.messages import StudyObject
from app.audit.trail import Trail
from app.receive.storage import Brought


def tell_received(trail: Trail, calling_ae: str, address: str, brought: Iterable[Brought], *, whole: bool) -> None:
    """Tell of each study that an association has brought images of.

    Args:
        trail: Where to.
        calling_ae: Who brought them.
        address: From where.
        brought: What of each study.
        whole: Whether the sender released the association.
    """
    if not trail.options.is_on:
        return
    for each in brought:
        trail.received(calling_ae, address, _object(each), whole=whole)


def _object(brought: Brought) -> StudyObject:
    try:
        header = dcmread(brought.example, specific_tags=["StudyInstanceUID", "PatientID"], stop_before_pixels=True)
        study_uid, patient_id = str(header.get("StudyInstanceUID", "")), str(header.get("PatientID", "") or "")
    except (InvalidDicomError, OSError, ValueError, AttributeError):
        study_uid = patient_id = ""
    return StudyObject(study_uid, patient_id, dict(brought.sop_classes))
