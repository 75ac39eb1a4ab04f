"""The page of a report as a DICOM object: Encapsulated PDF Storage (PS3.3 A.45.1)."""

from datetime import datetime

from pydicom import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from app.codes import Code
from app.findings import Report
from app.report.instance import add_meta, begin, reference
from app.report.source import Source
from app.report.uids import report_uid
from app.report.words import fitted, plain

SERIES_NUMBER = 9005
KIND = "pdf"
TITLE = Code("126000", "DCM", "Imaging Measurement Report")
"""As the root of the structured report (TID 1500): the page says the same."""


def encapsulated_pdf(report: Report, source: Source, content: bytes, made_at: datetime) -> Dataset:
    """Wrap the page of a report.

    Args:
        report: What it is about.
        source: The analysed images.
        content: The PDF file.
        made_at: Local time.

    Returns:
        A data set with file meta information, explicit VR little endian.
    """
    document = begin(report, source, EncapsulatedPDFStorage, KIND, made_at)
    document.SOPInstanceUID = report_uid(report, KIND)
    document.ContentDate, document.ContentTime = document.InstanceCreationDate, document.InstanceCreationTime
    document.Modality = "DOC"
    document.SeriesNumber = SERIES_NUMBER
    document.InstanceNumber = 1
    document.ConversionType = "WSD"
    document.AcquisitionDateTime = ""  # type 2: there are many
    document.BurnedInAnnotation = "YES"  # the page names the patient
    document.SourceInstanceSequence = [
        reference(instance) for stack in source.stacks for instance in stack.series.instances
    ]
    document.DocumentTitle = plain(f"{fitted(report.algorithm.title or report.algorithm.name)}: summary")
    name = Dataset()
    name.CodeValue, name.CodingSchemeDesignator, name.CodeMeaning = TITLE.value, TITLE.scheme, TITLE.meaning
    document.ConceptNameCodeSequence = [name]
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    document["EncapsulatedDocument"].VR = "OB"
    document.EncapsulatedDocumentLength = len(content)
    add_meta(document)
    return document
