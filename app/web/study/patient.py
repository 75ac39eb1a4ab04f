"""Who a study is about, for its page: from the first image that is still there, else from one of its documents."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from app.documents import DICOM_KINDS
from app.identity import Identity, decoded
from app.outcomes import StudyOutcome
from app.reassembly import files_of
from bundles.common.elements import PARSE_ERRORS

ELEMENTS: Final = (
    "SpecificCharacterSet",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "ReferringPhysicianName",
)
MOST_TRIED: Final = 4


def patient_of(spool: Path, outcome: StudyOutcome) -> Identity:
    """Patient and study of a revision; empty where no file tells."""
    for tried, path in enumerate(_sources(spool, outcome)):
        if tried >= MOST_TRIED:
            break
        try:
            return decoded(dcmread(path, specific_tags=list(ELEMENTS), stop_before_pixels=True))
        except (InvalidDicomError, OSError, *PARSE_ERRORS):
            continue
    return decoded(Dataset())


def _sources(spool: Path, outcome: StudyOutcome) -> Iterator[Path]:
    yield from (path for path in files_of(spool, outcome)[: MOST_TRIED - 1] if path.is_file())
    yield from (each.path for each in outcome.documents if each.kind in DICOM_KINDS and each.path.is_file())
