"""The index: what is in it, who is in which split, what is reported."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pretraining.data.errors import ArchiveError
from pretraining.data.index import Settings, Summary, build_index, report_path
from pretraining.data.patients import Patients, Shares, hashed, read_table
from tests.unit.bundles.common.dicom import save
from tests.unit.pretraining.data.archive import ct_series, mixed, radiograph, ramp, save_picture


def _rows(index: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(index).to_pylist()
    return rows


def test_every_format_is_described(tmp_path: Path) -> None:
    summary = build_index(mixed(tmp_path / "in"), tmp_path / "index.parquet")
    assert summary == Summary(images=10, unreadable=0, others=0, without_patient=3)
    rows = {row["path"].split("/")[0]: row for row in _rows(tmp_path / "index.parquet")}
    sizes = {
        name: (row["format"], row["slices"], row["rows"], row["columns"], row["dtype"]) for name, row in rows.items()
    }
    assert sizes == {
        "ct": ("dicom", 1, 6, 8, "int16"),
        "dx": ("dicom", 1, 12, 16, "uint16"),
        "nifti": ("nifti", 3, 5, 6, "int16"),
        "png": ("picture", 1, 12, 16, "uint16"),
    }
    assert (rows["dx"]["modality"], rows["dx"]["body_part"], rows["png"]["modality"]) == ("DX", "CHEST", "unknown")


def test_slices_of_a_series_share_its_hash_and_nothing_names_the_patient(tmp_path: Path) -> None:
    save(tmp_path / "in" / "a", ct_series("Mustermann^Erika"))
    build_index(tmp_path / "in", tmp_path / "index.parquet")
    rows = _rows(tmp_path / "index.parquet")
    assert (len(rows), len({row["series"] for row in rows}), len({row["key"] for row in rows})) == (4, 1, 4)
    assert "Mustermann" not in json.dumps(rows)
    assert {row["patient"] for row in rows} == {hashed("vigil", "patient", "Mustermann^Erika")}


def test_corrupt_files_are_named_with_a_reason_and_counted(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (whole,) = save(folder, [radiograph("A")])
    (folder / "cut.dcm").write_bytes(whole.read_bytes()[:-100])
    (folder / "no.png").write_bytes(b"not a picture")
    (folder / "no.nii.gz").write_bytes(b"not a volume")
    (folder / "table.csv").write_text("a,b\n")
    summary = build_index(folder, tmp_path / "index.parquet")
    assert summary == Summary(images=1, unreadable=3, others=1, without_patient=0)
    lines = [json.loads(line) for line in report_path(tmp_path / "index.parquet").read_text().splitlines()]
    assert [line["path"] for line in lines] == ["cut.dcm", "no.nii.gz", "no.png"]
    assert "truncated" in lines[0]["reason"]
    assert all(line["path"] in line["reason"] for line in lines)


@pytest.mark.parametrize("others", [[], ["notes.txt"]])
def test_a_folder_without_images_says_so_and_leaves_no_index(tmp_path: Path, others: list[str]) -> None:
    (tmp_path / "in").mkdir()
    for name in others:
        (tmp_path / "in" / name).write_text("hello")
    with pytest.raises(ArchiveError, match=rf"no image in this folder \({len(others)} other files\)"):
        build_index(tmp_path / "in", tmp_path / "index.parquet")
    assert not (tmp_path / "index.parquet").exists()


def test_a_folder_of_unreadable_files_gives_the_first_reason(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "no.png").write_bytes(b"no")
    with pytest.raises(ArchiveError, match=r"all 1 image files are unreadable; the first: no\.png"):
        build_index(tmp_path / "in", tmp_path / "index.parquet")
    assert report_path(tmp_path / "index.parquet").exists()


def test_a_missing_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="no such folder"):
        build_index(tmp_path / "in", tmp_path / "index.parquet")


def test_several_processes_give_the_same_index(tmp_path: Path) -> None:
    folder = mixed(tmp_path / "in")
    for number in range(70):
        save_picture(folder / "more" / f"{number:03d}.png", ramp(4, 4, number))
    build_index(folder, tmp_path / "one.parquet")
    build_index(folder, tmp_path / "two.parquet", workers=2)
    assert _rows(tmp_path / "one.parquet") == _rows(tmp_path / "two.parquet")


def test_the_patient_comes_from_the_file_name_or_a_table(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for name in ("p1_1.png", "p1_2.png", "p2_1.png"):
        save_picture(folder / name, ramp())
    by_name = Settings(patients=Patients(pattern=r"(p\d+)_"))
    assert build_index(folder, tmp_path / "a.parquet", by_name).without_patient == 0
    first, second, third = (row["patient"] for row in _rows(tmp_path / "a.parquet"))
    assert first == second != third
    (tmp_path / "who.csv").write_text("\ufefffile,who\np1_1.png,x\np1_2,y\np2_1.png,x\n", encoding="utf-8")
    table = {key: values[0] for key, values in read_table(tmp_path / "who.csv", "file", ("who",)).items()}
    build_index(folder, tmp_path / "b.parquet", Settings(patients=Patients(table=table)))
    first, second, third = (row["patient"] for row in _rows(tmp_path / "b.parquet"))
    assert first == third != second


def test_a_pattern_without_a_group_and_a_wrong_column_say_so(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="needs a group"):
        Patients(pattern=r"p\d+")
    (tmp_path / "who.csv").write_text("file,who\n")
    with pytest.raises(ArchiveError, match="no column 'patient'; it has file, who"):
        read_table(tmp_path / "who.csv", "file", ("patient",))


@given(st.lists(st.text(min_size=1), min_size=1), st.floats(0, 1), st.floats(0, 1))
def test_a_patient_is_in_one_split_however_the_archive_grows(ids: list[str], a: float, b: float) -> None:
    low, high = sorted((a, b))
    shares = Shares(low, high - low, 1 - high)
    once = {name: shares.split_of(hashed("s", "patient", name)) for name in ids}
    assert once == {name: shares.split_of(hashed("s", "patient", name)) for name in reversed(ids)}


def test_shares_are_kept_and_must_sum_to_one() -> None:
    splits = [Shares(0.7, 0.2, 0.1).split_of(hashed("s", str(number))) for number in range(10_000)]
    assert [round(splits.count(name) / 10_000, 1) for name in ("train", "validate", "test")] == [0.7, 0.2, 0.1]
    with pytest.raises(ArchiveError, match="must sum to 1"):
        Shares(0.9, 0.2, 0.1)


def test_all_images_of_a_patient_are_in_one_split(tmp_path: Path) -> None:
    for patient in "ABCDEFGH":
        save(tmp_path / "in" / patient, [radiograph(patient, number) for number in range(1, 4)])
    build_index(tmp_path / "in", tmp_path / "index.parquet", Settings(shares=Shares(0.4, 0.3, 0.3)))
    rows = _rows(tmp_path / "index.parquet")
    pairs = {(row["patient"], row["split"]) for row in rows}
    assert len(pairs) == 8
    assert len({split for _, split in pairs}) > 1
