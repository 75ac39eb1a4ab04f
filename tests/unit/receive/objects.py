"""DICOM objects made in code, encoded in any transfer syntax."""

from io import BytesIO

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, generate_uid


def make_object(study: str | None = None, sop: str | None = None, **elements: object) -> Dataset:
    """Make a small CT object; further elements by keyword."""
    made = Dataset()
    made.SOPClassUID = CTImageStorage
    made.SOPInstanceUID = sop or generate_uid()
    made.StudyInstanceUID = study or generate_uid()
    made.SeriesInstanceUID = generate_uid()
    made.Modality = "CT"
    made.PatientName, made.PatientID = "Test^Case", "1"
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def encode(made: Dataset, transfer_syntax_uid: str = ExplicitVRLittleEndian) -> bytes:
    """Encode a data set alone, as C-STORE carries it."""
    file = to_file(made, transfer_syntax_uid)
    length = int.from_bytes(file[140:144], "little")
    return file[144 + length :]


def to_file(made: Dataset, transfer_syntax_uid: str = ExplicitVRLittleEndian) -> bytes:
    """Encode a whole file."""
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = transfer_syntax_uid
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.get("SOPInstanceUID") or "1.2"
    buffer = BytesIO()
    dcmwrite(buffer, made, enforce_file_format=True)
    return buffer.getvalue()


DEFLATED = DeflatedExplicitVRLittleEndian
