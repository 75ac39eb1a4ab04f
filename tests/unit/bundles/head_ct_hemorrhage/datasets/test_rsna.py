"""RSNA: six rows an image, single slices of many series in one folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bundles.common.datalist.images import ImageFolder
from bundles.common.datalist.problems import Problems
from bundles.common.datalist.records import Reading, VolumeRecord
from bundles.common.reader import read_stack
from bundles.head_ct_hemorrhage.scripts.datasets.bleeds import TYPES
from bundles.head_ct_hemorrhage.scripts.datasets.rsna import read
from bundles.head_ct_hemorrhage.scripts.network import TYPES as OF_THE_NETWORK
from tests.unit.bundles.common.datalist.sets import damaged, datalist, records, refusal
from tests.unit.bundles.common.datalist.volumes_in import stack

FIRST = ["ID_00000000c", "ID_00000000a", "ID_00000000b"]
SECOND = ["ID_00000000d", "ID_00000000e"]
BLEEDS = {"ID_00000000a": ("subdural",), "ID_00000000b": ("subdural", "epidural")}
NAMES = ("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural", "any")


def rows(image: str) -> str:
    bleeds = BLEEDS.get(image, ())
    flags = {name: int(name in bleeds or (name == "any" and bool(bleeds))) for name in NAMES}
    return "".join(f"{image}_{name},{flag}\n" for name, flag in flags.items())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    stack(tmp_path / "images", [f"{name}.dcm" for name in FIRST], "1.7.1", PatientID="ID_aaaaaaaa")
    stack(tmp_path / "images", [f"{name}.dcm" for name in SECOND], "1.7.2", PatientID="ID_bbbbbbbb")
    text = "ID,Label\n" + "".join(rows(image) for image in sorted([*FIRST, *SECOND]))
    (tmp_path / "stage_2_train.csv").write_text(text, encoding="utf-8")
    return tmp_path


def reader(folder: Path, table: Path | None = None) -> Callable[[Problems], Reading]:
    return lambda problems: read(table or folder / "stage_2_train.csv", ImageFolder(folder / "images"), problems)


def test_types_are_those_of_the_network() -> None:
    assert TYPES == OF_THE_NETWORK


def test_slices_become_series_in_the_order_of_the_reader(folder: Path) -> None:
    found = records(reader(folder))
    first, second = found["1.7.1"], found["1.7.2"]
    assert isinstance(first, VolumeRecord)
    assert first.item() == {
        "image": [f"{name}.dcm" for name in FIRST],
        "mask": None,
        "patient": "ID_aaaaaaaa",
        "label": 1,
        "types": [0, 1, 1, 0, 0],
        "slices": [0, 1, 1],
        "series": "1.7.1",
        "slice_spacing_mm": 5.0,
    }
    assert (second.item()["label"], second.item()["types"], second.item()["slices"]) == (0, [0] * 5, [0, 0])
    paths = [folder / "images" / name for name in first.files]
    uids = [read_stack([path]).source_uids[0] for path in paths]
    assert list(read_stack(paths[::-1]).source_uids) == uids


def test_headers_as_sparse_as_those_of_the_set(folder: Path) -> None:
    """By descriptions they have pseudonyms for UIDs, and neither SOP Class UID, Instance Number nor Slice Thickness."""
    names = [f"{name}.dcm" for name in FIRST]
    absent = dict.fromkeys(("SOPClassUID", "InstanceNumber", "SliceThickness", "ImageType"))
    stack(
        folder / "images", names, "ID_f79e569bfa", PatientID="ID_0219ef88", StudyInstanceUID="ID_e5c1a31210", **absent
    )
    found = records(reader(folder))["ID_f79e569bfa"]
    assert (found.patient, list(found.files)) == ("ID_0219ef88", names)
    assert read_stack([folder / "images" / name for name in names]).array.shape == (3, 6, 8)


def test_a_repeated_position_has_no_label_of_its_own(folder: Path) -> None:
    extra = "ID_0000000ff"
    stack(folder / "images", [f"{extra}.dcm"], "1.7.2", PatientID="ID_bbbbbbbb", InstanceNumber=9)
    table = folder / "stage_2_train.csv"
    table.write_text(table.read_text() + rows(extra), encoding="utf-8")
    assert len(records(reader(folder))["1.7.2"].item()["slices"]) == 2


def test_files_without_labels_are_counted(folder: Path) -> None:
    stack(folder / "images", ["ID_999999999.dcm"], "1.7.9")
    notes = datalist(reader(folder)).notes
    assert notes == ("5 labelled slices make 2 series", "1 files of the folder have no label and were passed over")


def test_known_duplicates_can_be_left_out(folder: Path) -> None:
    table = folder / "stage_2_train.csv"
    table.write_text(table.read_text() + rows(FIRST[1]), encoding="utf-8")
    message = refusal(reader(folder))
    assert "6 rows are there twice:" in message
    assert f"{table}:32: 'epidural' of the image again, the same as in {table}:2" in message
    assert len(records(reader(folder), leave_out=True)) == 2


@pytest.mark.parametrize(
    ("line", "change", "words"),
    [
        (1, lambda text: text.replace("Label", "Lable"), "csv:1: no column 'Label'"),
        (2, lambda text: text.replace("_epidural", "_epidual"), "csv:2: ID 'ID_00000000a_epidual', expected such as"),
        (2, lambda text: text.replace(",0", ",2"), "csv:2: 'Label' is '2', expected one of"),
        (2, lambda text: text.replace(",0", ",0,0"), "csv:2: 3 fields, expected 2"),
        (7, lambda text: text.replace(",1", ",0"), "csv:2: 'any' is 0, and the types say 1"),
        (3, lambda text: text.replace("intraparenchymal", "epidural"), "csv:2: the image has no row for intraparenchy"),
        (3, lambda _: "ID_00000000a_epidural,1", "csv:3: 'epidural' is 1, and 0 in"),
    ],
)
def test_damaged_tables_are_refused_with_their_line(
    folder: Path, line: int, change: Callable[[str], str], words: str
) -> None:
    table = damaged(folder / "stage_2_train.csv", folder / "damaged.csv", line, change)
    assert words in refusal(reader(folder, table))


def test_labels_that_cannot_be_used_spoil_their_series(folder: Path) -> None:
    table = damaged(folder / "stage_2_train.csv", folder / "damaged.csv", 2, lambda text: text.replace(",0", ",x"))
    assert "the series holds the image ID_00000000a, whose labels cannot be used" in refusal(reader(folder, table))
    assert list(records(reader(folder, table), leave_out=True)) == ["1.7.2"]


def test_missing_images_are_named_all_at_once(folder: Path) -> None:
    for name in FIRST[:2]:
        (folder / "images" / f"{name}.dcm").unlink()
    message = refusal(reader(folder))
    assert "2 images are listed but missing:" in message
    assert all(f"image '{name}' is not below {folder / 'images'}" in message for name in FIRST[:2])


def test_cut_off_or_foreign_files_spoil_their_series(folder: Path) -> None:
    cut = folder / "images" / f"{FIRST[0]}.dcm"
    cut.write_bytes(cut.read_bytes()[:-10])
    message = refusal(reader(folder))
    assert "truncated, 86 of 96 bytes of pixel data" in message
    assert list(records(reader(folder), leave_out=True)) == ["1.7.2"]
    cut.write_bytes(b"no DICOM")
    assert f"{cut}: not a DICOM file" in refusal(reader(folder))


def test_series_of_two_patients_or_of_nobody_are_refused(folder: Path) -> None:
    stack(folder / "images", [f"{FIRST[0]}.dcm"], "1.7.1", PatientID="ID_cccccccc")
    assert "has 2 different patients" in refusal(reader(folder))
    stack(folder / "images", [f"{name}.dcm" for name in FIRST], "1.7.1")
    assert "tells no PatientID, and splits go by patient" in refusal(reader(folder))


def test_a_patient_is_in_one_split(folder: Path) -> None:
    stack(folder / "images", [f"{name}.dcm" for name in SECOND], "1.7.2", PatientID="ID_aaaaaaaa")
    splits = datalist(reader(folder)).splits
    assert sorted(len(found) for found in splits.values()) == [0, 0, 2]
