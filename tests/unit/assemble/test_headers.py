"""Headers for routing: plain values, no patient."""

import json

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from app.assemble.headers import plain_headers


def test_kinds_of_values() -> None:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 144"
    dataset.Modality = "CT "
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.KVP, dataset.SliceThickness = "120", "4.5"
    dataset.SeriesDescription = "Голова"
    dataset.Rows, dataset.PixelSpacing = 512, [0.5, 0.25]
    dataset.SeriesNumber = None
    code = Dataset()
    code.CodeMeaning = "Head"
    dataset.AnatomicRegionSequence = Sequence([code])
    dataset.DerivationCodeSequence = Sequence([])
    dataset.add_new((0x0009, 0x0010), "LO", "PRIVATE")
    dataset.add_new("SmallestImagePixelValue", "US", 3)
    assert plain_headers(dataset) == {
        "SpecificCharacterSet": "ISO_IR 144",
        "Modality": "CT",
        "ImageType": ("ORIGINAL", "PRIMARY"),
        "KVP": 120.0,
        "SliceThickness": 4.5,
        "SeriesDescription": "Голова",
        "Rows": 512,
        "PixelSpacing": (0.5, 0.25),
        "SeriesNumber": "",
        "AnatomicRegionSequence": "Head",
        "SmallestImagePixelValue": 3,
    }


IDENTITY = {
    "PatientName": "SECRET^NAME",
    "PatientID": "SECRET",
    "PatientBirthDate": "19500101",
    "PatientAddress": "SECRET",
    "OtherPatientIDs": "SECRET",
    "PatientTelephoneNumbers": "SECRET",
    "PatientComments": "SECRET",
    "AccessionNumber": "SECRET",
    "StudyID": "SECRET",
    "ReferringPhysicianName": "SECRET^DOCTOR",
    "OperatorsName": "SECRET",
    "InstitutionAddress": "SECRET",
    "ImageComments": "SECRET",
    "AdmittingDiagnosesDescription": "SECRET",
    "RequestingService": "SECRET",
    "AdmissionID": "SECRET",
    "CurrentPatientLocation": "SECRET",
    "ScheduledPerformingPhysicianName": "SECRET",
    "StudyDate": "20200101",
    "EthnicGroup": "SECRET",
}


@pytest.mark.parametrize("keyword", IDENTITY)
def test_identity_is_left_out(keyword: str) -> None:
    dataset = Dataset()
    setattr(dataset, keyword, IDENTITY[keyword])
    dataset.PatientSex, dataset.PatientAge, dataset.RequestedProcedureDescription = "F", "060Y", "CT head"
    headers = plain_headers(dataset)
    assert headers == {"PatientSex": "F", "PatientAge": "060Y", "RequestedProcedureDescription": "CT head"}
    assert "SECRET" not in json.dumps(headers)


def test_malformed_values_are_left_out() -> None:
    dataset = Dataset()
    dataset.Modality = "CT"
    dataset._dict[BaseTag(0x00200013)] = _raw(0x00200013, "IS", b"x1")
    dataset._dict[BaseTag(0x00180050)] = _raw(0x00180050, "DS", b"thick")
    dataset._dict[BaseTag(0x00280010)] = _raw(0x00280010, "US", b"\1")
    assert plain_headers(dataset) == {"Modality": "CT"}


def _raw(tag: int, vr: str, value: bytes) -> object:

    return RawDataElement(BaseTag(tag), vr, len(value), value, 0, False, True)
