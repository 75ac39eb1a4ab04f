"""Documents are on disk when the shelf is left, or somebody is told."""

from pathlib import Path

import pytest

from app.errors import Retryable
from app.report.files import Shelf


def test_all_that_was_put_is_there(tmp_path: Path) -> None:
    with Shelf() as shelf:
        for number in range(20):
            shelf.put(tmp_path / "study" / f"{number}.dcm", bytes([number]))
    assert {path.name: path.read_bytes() for path in (tmp_path / "study").iterdir()} == {
        f"{number}.dcm": bytes([number]) for number in range(20)
    }


def test_what_is_settled_can_be_read(tmp_path: Path) -> None:
    with Shelf() as shelf:
        shelf.put(tmp_path / "one", b"1")
        shelf.settle()
        assert (tmp_path / "one").read_bytes() == b"1"


def broken(folder: Path, error: Exception | None = None) -> None:
    """Put two documents on a shelf, the first of them where there can be no folder; then raise, if told to."""
    (folder / "file").write_bytes(b"")
    with Shelf() as shelf:
        shelf.put(folder / "file" / "one.dcm", b"1")
        shelf.put(folder / "two.dcm", b"2")
        if error is not None:
            raise error


def test_a_disk_that_takes_nothing_is_told_at_the_end(tmp_path: Path) -> None:
    with pytest.raises(Retryable, match=r"one\.dcm.*make room"):
        broken(tmp_path)
    assert (tmp_path / "two.dcm").read_bytes() == b"2"


def test_an_error_of_the_caller_is_the_one_that_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        broken(tmp_path, KeyError())
    assert (tmp_path / "two.dcm").read_bytes() == b"2"
