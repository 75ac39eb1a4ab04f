"""Headers as they come: whoever the images belong to, the result must join them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataelem import DataElement

from app.report import encode
from app.study import Study
from tests.unit.report.factory import MADE_AT, make_report, make_study

IDENTITY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "StudyID",
    "ReferringPhysicianName",
)


def documents(study: Study, folder: Path) -> list[Dataset]:
    """The SR and the key image."""
    encoded = encode(make_report(), study, folder, made_at=MADE_AT)
    assert [document.problem for document in encoded] == ["", "", ""]
    return [dcmread(document.path) for document in encoded[:2]]


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        ("ISO_IR 144", "Люкceмбург^Роза"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小东"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        ("GBK", "Wang^XiaoDong=王^小东"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        ("ISO_IR 100", "Müller^Jürgen"),
        (None, "Doe^Jane"),
    ],
)
def test_names_keep_their_character_set_and_bytes(character_set: Any, name: str, tmp_path: Path) -> None:
    headers = {"SpecificCharacterSet": character_set, "PatientName": name, "StudyDescription": "CT"}
    if character_set is None:
        del headers["SpecificCharacterSet"]
    study = make_study(tmp_path / "study", headers=headers)
    source = dcmread(study.series[0].instances[0].path)
    sent = source.get_item("PatientName").value
    for document in documents(study, tmp_path / "out"):
        assert document.get_item("PatientName").value == sent
        assert document.get("SpecificCharacterSet") == source.get("SpecificCharacterSet")
        assert str(document.PatientName) == str(source.PatientName) == name


def test_bytes_that_their_character_set_does_not_know_stay_as_they_are(tmp_path: Path) -> None:
    """A Cyrillic name without a character set, as old scanners send it."""
    study = make_study(tmp_path / "study")
    name = "Иванова^Анна".encode("cp1251")
    for instance in study.series[0].instances:
        content = instance.path.read_bytes()
        old = b"\x10\x00\x10\x00PN\x08\x00Doe^Jane"
        assert old in content
        instance.path.write_bytes(content.replace(old, b"\x10\x00\x10\x00PN" + bytes([len(name), 0]) + name))
    for document in documents(study, tmp_path / "out"):
        assert document.get_item("PatientName").value == name


@pytest.mark.parametrize("missing", IDENTITY)
def test_a_missing_element_is_there_and_empty(missing: str, tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", drop=(missing,))
    for document in documents(study, tmp_path / "out"):
        assert (missing in document, str(document[missing].value or "")) == (True, "")


def test_nothing_about_the_patient_at_all(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", drop=(*IDENTITY, "StudyDescription"))
    for document in documents(study, tmp_path / "out"):
        assert [str(document[keyword].value or "") for keyword in IDENTITY] == [""] * len(IDENTITY)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientBirthDate", "00000000"),
        ("PatientBirthDate", "unknown"),
        ("StudyDate", "2026.13.45"),
        ("StudyTime", "25:61"),
        ("PatientSex", "X"),
        ("PatientSex", "female"),
    ],
)
def test_a_malformed_value_is_left_empty(keyword: str, value: str, tmp_path: Path) -> None:
    study = make_study(tmp_path / "study")
    for instance in study.series[0].instances:
        image = dcmread(instance.path)
        image[keyword] = DataElement(image[keyword].tag, image[keyword].VR, value, validation_mode=0)
        image.save_as(instance.path)
    for document in documents(study, tmp_path / "out"):
        assert str(document[keyword].value or "") == ""


@pytest.mark.parametrize(
    ("keyword", "value"), [("PatientID", "X" * 70), ("PatientID", "A\\B"), ("AccessionNumber", "9" * 20)]
)
def test_what_the_archive_files_by_is_kept_even_where_it_breaks_a_rule(
    keyword: str, value: str, tmp_path: Path
) -> None:
    study = make_study(tmp_path / "study")
    for instance in study.series[0].instances:
        image = dcmread(instance.path)
        image[keyword] = DataElement(image[keyword].tag, image[keyword].VR, value, validation_mode=0)
        image.save_as(instance.path)
    source = dcmread(study.series[0].instances[0].path)
    for document in documents(study, tmp_path / "out"):
        assert document.get_item(keyword).value == source.get_item(keyword).value


def test_private_and_odd_tags_do_not_matter(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study")
    for instance in study.series[0].instances:
        image = dcmread(instance.path)
        image.private_block(0x0019, "ODD VENDOR", create=True).add_new(1, "UN", b"\x00\xff\xfe\xdd")
        image.add_new((0x0018, 0x0050), "LO", "not a number")
        image.save_as(instance.path)
    assert [document.PatientID for document in documents(study, tmp_path / "out")] == ["P-1", "P-1"]


def test_reads_on_where_the_first_files_broke_since(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study")
    first, second, *_ = study.series[0].instances
    first.path.write_bytes(b"no DICOM")
    second.path.unlink()
    report = make_report()
    document = encode(report, study, tmp_path / "out", made_at=MADE_AT)[0]
    assert (document.problem, dcmread(document.path).PatientID) == ("", "P-1")


def test_no_file_left_takes_what_the_study_remembers(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study")
    for instance in study.series[0].instances:
        instance.path.unlink()
    sr, key, json = encode(make_report(), study, tmp_path / "out", made_at=MADE_AT)
    assert (sr.problem, json.problem, key.path.exists(), bool(key.problem)) == ("", "", False, True)
    assert (str(dcmread(sr.path).PatientName), dcmread(sr.path).PatientID) == ("Doe^Jane", "P-1")


def test_remembered_headers_may_lack_everything(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", drop=("PatientID",))
    bare = replace(study, series=(replace(study.series[0], headers={}),))
    for instance in bare.series[0].instances:
        instance.path.unlink()
    assert encode(make_report(), bare, tmp_path / "out")[0].problem == ""
