"""What every DICOM object that is made here by hand has in common: identity, series, equipment, time."""

from datetime import datetime

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from app.findings import Report
from app.report.items import MANUFACTURER
from app.report.source import Source
from app.report.uids import report_uid
from app.report.words import fitted, series_description
from app.study import Instance


def begin(report: Report, source: Source, sop_class: str, kind: str, made_at: datetime) -> Dataset:
    """A data set with patient, study, series and equipment (PS3.3 C.7.1 to C.7.5).

    Args:
        report: What it belongs to.
        source: The analysed images; patient and study elements are taken over as they were sent.
        sop_class: What it is.
        kind: Of document; names its series.
        made_at: Local time.
    """
    document = Dataset()
    for tag in source.identity.keys():  # noqa: SIM118  iterating over the data set would decode its elements
        document[tag] = source.identity.get_item(tag)
    document.SOPClassUID = sop_class
    document.StudyInstanceUID = report.study_uid
    document.SeriesInstanceUID = report_uid(report, kind, "series")
    document.SeriesDescription = series_description(report)
    document.Manufacturer = MANUFACTURER
    document.ManufacturerModelName = fitted(report.algorithm.name)
    document.SoftwareVersions = fitted(report.algorithm.version)
    document.InstanceCreationDate = made_at.strftime("%Y%m%d")
    document.InstanceCreationTime = made_at.strftime("%H%M%S.%f")
    return document


def add_meta(document: Dataset) -> None:
    """File meta information of a data set that has its SOP class and instance UID."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = document.SOPClassUID
    meta.MediaStorageSOPInstanceUID = document.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    document.file_meta = meta


def reference(instance: Instance) -> Dataset:
    """An item that names a source instance."""
    item = Dataset()
    item.ReferencedSOPClassUID = instance.sop_class_uid
    item.ReferencedSOPInstanceUID = instance.sop_instance_uid
    return item
