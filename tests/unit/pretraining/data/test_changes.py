"""What is new in an archive: names decide, and what cannot be an image does not count."""

from pathlib import Path

import pytest

from pretraining.data.changes import Changes, changes_since, files_path
from pretraining.data.errors import ArchiveError
from pretraining.data.index import build_index
from tests.unit.bundles.common.dicom import save
from tests.unit.pretraining.data.archive import mixed, radiograph, ramp, save_picture


def _indexed(folder: Path) -> Path:
    mixed(folder)
    (folder / "notes.txt").write_text("no image")
    (folder / "broken.png").write_bytes(b"no")
    index = folder.parent / "index.parquet"
    build_index(folder, index)
    return index


def test_nothing_is_new_right_after_indexing(tmp_path: Path) -> None:
    """Unreadable images and other files were met too."""
    index = _indexed(tmp_path / "in")
    assert changes_since(tmp_path / "in", index) == Changes(0, 0, "")


def test_new_images_of_every_format_are_counted(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    index = _indexed(folder)
    save_picture(folder / "zz" / "b.tif", ramp())
    (folder / "zz" / "c.nii.gz").write_bytes(b"cut off")
    save(folder / "zz" / "d", [radiograph("C")])
    (extra,) = (folder / "zz" / "d").iterdir()
    extra.rename(folder / "zz" / "without_suffix")
    assert changes_since(folder, index) == Changes(3, 0, "zz/b.tif")


def test_tables_and_hidden_files_are_not_new_images(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    index = _indexed(folder)
    (folder / "labels.csv").write_text("file,finding\n")
    save_picture(folder / ".trash" / "a.png", ramp())
    assert changes_since(folder, index) == Changes(0, 0, "")


def test_files_that_went_or_were_renamed_are_gone(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    index = _indexed(folder)
    (folder / "png" / "p7_1.png").unlink()
    (folder / "png" / "p7_2.tif").rename(folder / "png" / "p9_2.tif")
    assert changes_since(folder, index) == Changes(1, 2, "png/p9_2.tif")


def test_no_known_file_is_opened(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    index = _indexed(folder)
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        path.unlink()
        path.symlink_to("nowhere")  # opening it fails, and a new file that cannot be opened would count
    assert changes_since(folder, index) == Changes(0, 0, "")
    (folder / "unknown").symlink_to("nowhere")
    assert changes_since(folder, index) == Changes(1, 0, "unknown")


def test_a_damaged_list_says_so(tmp_path: Path) -> None:
    index = _indexed(tmp_path / "in")
    files_path(index).write_text('"a.png\n')
    with pytest.raises(ArchiveError, match=r"index\.files\.jsonl: damaged"):
        changes_since(tmp_path / "in", index)
