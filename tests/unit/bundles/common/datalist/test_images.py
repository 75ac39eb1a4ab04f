"""Images below a folder."""

from pathlib import Path

import pytest
from PIL import Image

from bundles.common.datalist.images import Header, ImageFolder
from bundles.common.datalist.problems import Damaged, DatalistError, Kind
from tests.unit.bundles.common.datalist.sets import radiograph


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
    elements = {"SOPInstanceUID": "1.2.3", "SeriesInstanceUID": "1.9", "PatientID": "P1", "Modality": "DX"}
    radiograph(tmp_path / "b.dcm", 7, 5, ViewPosition="pa ", **elements)
    radiograph(tmp_path / "c.dcm", 0, 5, **elements)
    (tmp_path / "e.dcm").write_bytes((tmp_path / "b.dcm").read_bytes()[:-9])
    for name in ("d.png", "d.dcm"):
        (tmp_path / name).write_bytes(b"nothing")
    images = ImageFolder(tmp_path)
    assert images.header("a.png") == Header((7, 5))
    assert images.header("b.dcm") == Header((7, 5), "1.2.3", "1.9", "P1", "PA", "DX")
    for name, words in (
        ("c.dcm", "without Rows"),
        ("e.dcm", "truncated, 27 of 36 bytes"),
        ("d.png", "readable picture"),
        ("d.dcm", "readable DICOM"),
    ):
        with pytest.raises(Damaged, match=words):
            images.header(name)
