"""Whose study it is, for the audit trail: PatientID as our own documents carry it on."""

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from app.documents import DICOM_KINDS
from app.outcomes import StudyOutcome


def patient_id_of(outcome: StudyOutcome) -> str:
    """PatientID of a study; "" where no document of it can be read."""
    for document in outcome.documents:
        if document.kind in DICOM_KINDS and not document.problem and document.path.is_file():
            try:
                return str(dcmread(document.path, specific_tags=["PatientID"], stop_before_pixels=True).PatientID)
            except (InvalidDicomError, AttributeError, OSError, ValueError):
                continue
    return ""
