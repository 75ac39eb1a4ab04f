"""Images below a folder."""

from pathlib import Path

import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from bundles.common.datalist.images import Header, ImageFolder
from bundles.common.datalist.problems import Damaged, DatalistError, Kind


def dicom(path: Path, **elements: object) -> None:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3"
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)


def test_found_by_path_name_and_stem(tmp_path: Path) -> None:
    for name in ("a/one.png", "a/two.dicom", "b/two.png", "b/note.txt", ".hidden/three.png", "b/._one.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    images = ImageFolder(tmp_path)
    assert images.files == ["a/one.png", "a/two.dicom", "b/two.png"]
    assert {images.find(name) for name in ("one", "one.png", "a/one.png")} == {"a/one.png"}
    assert images.find_path("set/a/one.png") == images.find_path("a/one.png") == "a/one.png"
    with pytest.raises(Damaged, match=r"'two' is there 2 times: a/two\.dicom, b/two\.png"):
        images.find("two")
    for wanted in (images.find, images.find_path):
        with pytest.raises(Damaged, match=r"'three\.png' is not below") as caught:
            wanted("three.png")
        assert caught.value.kind is Kind.MISSING
    with pytest.raises(DatalistError, match="no such folder"):
        ImageFolder(tmp_path / "c")


def test_headers(tmp_path: Path) -> None:
    Image.new("I;16", (7, 5)).save(tmp_path / "a.png")
    dicom(
        tmp_path / "b.dcm", Rows=5, Columns=7, PatientID="P1", ViewPosition="PA", Modality="DX", SeriesInstanceUID="1.9"
    )
    dicom(tmp_path / "c.dcm", PatientID="P1")
    for name in ("d.png", "d.dcm"):
        (tmp_path / name).write_bytes(b"nothing")
    images = ImageFolder(tmp_path)
    assert images.header("a.png") == Header((7, 5))
    assert images.header("b.dcm") == Header((7, 5), "1.2.3", "1.9", "P1", "PA", "DX")
    for name, words in (("c.dcm", "without Rows"), ("d.png", "readable picture"), ("d.dcm", "readable DICOM")):
        with pytest.raises(Damaged, match=words):
            images.header(name)
