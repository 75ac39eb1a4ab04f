"""From a folder to a store: what it is balanced by, and what happens when the archive has changed since."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from pretraining.archive import INDEX, MADE_WITH, ArchiveSettings, prepare
from pretraining.data.changes import files_path
from pretraining.data.errors import ArchiveError
from pretraining.data.store import ImageStore
from tests.unit.bundles.common.dicom import save
from tests.unit.pretraining.data.archive import ct_series, ramp, save_picture


def _pictures(folder: Path, names: str = "abcd") -> Path:
    for name in names:
        save_picture(folder / f"{name}.png", ramp(start=ord(name)))
    return folder


def _store(folder: Path, **settings: Any) -> ImageStore:
    return ImageStore(prepare(folder, folder.parent / "store", ArchiveSettings(**settings)))


def _groups(store: ImageStore) -> list[str]:
    return [store.group_names[group] for group in store.groups]


def _table(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_groups_come_from_a_column_of_the_labels(tmp_path: Path) -> None:
    labels = _table(tmp_path / "labels.csv", "file,finding,institute", "a.png,1,north", "b,0,south", "c.png,,north")
    store = _store(_pictures(tmp_path / "in"), group_by="institute", labels=labels, label_names=("finding",))
    assert _groups(store) == ["north", "south", "north", "unknown"]
    assert np.array_equal(store.labels["finding"], [1, 0, np.nan, np.nan], equal_nan=True)


def test_groups_come_from_a_column_of_the_patients(tmp_path: Path) -> None:
    labels = _table(tmp_path / "labels.csv", "file,finding", "a.png,1")
    patients = _table(
        tmp_path / "patients.csv", "file,patient,institute", "a,p,north", "b,p,north", "c,q,", "d,q,south"
    )
    store = _store(
        _pictures(tmp_path / "in"),
        group_by="institute",
        labels=labels,
        label_names=["finding"],
        patients=patients,
    )
    assert _groups(store) == ["north", "north", "unknown", "south"]
    assert len(set(store.patients.tolist())) == 2


def test_a_series_has_the_group_of_its_folder(tmp_path: Path) -> None:
    for patient in "AB":
        save(tmp_path / "in" / patient, ct_series(patient))
    labels = _table(tmp_path / "labels.csv", "file,institute", "A,north", "B,south")
    store = _store(tmp_path / "in", group_by="institute", labels=labels, dimensions=3)
    assert sorted(_groups(store)) == ["north", "south"]


def test_the_index_goes_before_the_tables(tmp_path: Path) -> None:
    labels = _table(tmp_path / "labels.csv", "file,modality", "a.png,north")
    store = _store(_pictures(tmp_path / "in"), labels=labels, modality="DX")
    assert store.group_names == ("DX",)


def test_a_group_that_nothing_knows_is_an_error_before_anything_is_read(tmp_path: Path) -> None:
    labels = _table(tmp_path / "labels.csv", "file,finding", "a.png,1")
    with pytest.raises(ArchiveError, match=r"cannot group by 'colour'.*or a column of .*labels\.csv$"):
        _store(_pictures(tmp_path / "in"), group_by="colour", labels=labels)
    with pytest.raises(ArchiveError, match="cannot group by 'file'"):
        _store(tmp_path / "in", group_by="file", labels=labels)
    with pytest.raises(ArchiveError, match="tables of labels or patients add theirs"):
        _store(tmp_path / "in", group_by="colour")
    assert not (tmp_path / "store").exists()


def test_a_store_whose_groups_changed_is_not_taken(tmp_path: Path) -> None:
    folder = _pictures(tmp_path / "in")
    labels = _table(tmp_path / "labels.csv", "file,institute", "a.png,north")
    _store(folder, group_by="institute", labels=labels)
    _table(tmp_path / "labels.csv", "file,institute", "a.png,south")
    with pytest.raises(ArchiveError, match="made with another labels"):
        _store(folder, group_by="institute", labels=labels)


def test_new_files_stop_the_run_and_the_message_tells_the_ways_out(tmp_path: Path) -> None:
    folder = _pictures(tmp_path / "in")
    assert len(_store(folder)) == len(_store(folder)) == 4
    _pictures(folder, "ef")
    with pytest.raises(ArchiveError) as caught:
        _store(folder)
    for words in ("2 files are new", "the first: e.png", "another --store_dir", "delete the store", "store_as_it_is"):
        assert words in str(caught.value)
    assert len(ImageStore(prepare(folder, tmp_path / "other", ArchiveSettings()))) == 6


@pytest.mark.parametrize("said", [True, "true"])
def test_a_store_is_taken_as_it_is_on_demand(tmp_path: Path, said: bool | str) -> None:
    folder = _pictures(tmp_path / "in")
    _store(folder)
    _pictures(folder, "ef")
    assert len(_store(folder, bits=8, store_as_it_is=said)) == 4
    # It is no part of what the store was made with.
    assert "store_as_it_is" not in json.loads((tmp_path / "store" / MADE_WITH).read_text())


def test_what_is_not_there_cannot_be_taken_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="no finished store is here"):
        _store(_pictures(tmp_path / "in"), store_as_it_is=True)


def test_files_that_are_gone_are_a_warning(tmp_path: Path) -> None:
    folder = _pictures(tmp_path / "in")
    _store(folder)
    (folder / "b.png").unlink()
    with capture_logs() as logs:
        assert len(_store(folder)) == 4
    assert [(entry["event"], entry["files"]) for entry in logs] == [("files_gone_since_store_was_made", 1)]
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    with capture_logs() as logs:
        assert len(_store(folder)) == 4
    assert [entry["event"] for entry in logs] == ["archive_not_there"]


def test_a_store_without_a_list_of_files_says_what_it_cannot_tell(tmp_path: Path) -> None:
    folder = _pictures(tmp_path / "in")
    _store(folder)
    files_path(tmp_path / "store" / INDEX).unlink()
    _pictures(folder, "e")
    with capture_logs() as logs:
        assert len(_store(folder)) == 4
    assert [entry["event"] for entry in logs] == ["store_without_list_of_files"]


def test_a_killed_run_finishes_its_store_before_new_files_count(tmp_path: Path) -> None:
    folder = _pictures(tmp_path / "in")
    _store(folder)
    (tmp_path / "store" / "complete.json").unlink()
    _pictures(folder, "e")
    with pytest.raises(ArchiveError, match="1 files are new"):
        _store(folder)
    assert len(_store(folder, store_as_it_is=True)) == 4
