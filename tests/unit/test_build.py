"""The commit: of the image where it was written into it, else of git, else unknown."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import build


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    build.commit.cache_clear()
    yield
    build.commit.cache_clear()


def test_an_image_knows_it_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "FILE", tmp_path / "COMMIT")
    (tmp_path / "COMMIT").write_text("0123456789abcdef0123\n")
    assert build.commit() == "0123456789ab"


@pytest.mark.parametrize("make_git", [True, False])
def test_it_is_unknown_without_file_and_git(make_git: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "FILE", tmp_path / "COMMIT")
    monkeypatch.setattr(build, "ROOT", tmp_path)
    if make_git:
        (tmp_path / ".git").write_text("gitdir: nowhere")
    assert build.commit() == "unknown"


def test_a_checkout_asks_git(root: Path) -> None:
    if not (root / ".git").exists():
        pytest.skip("no checkout")
    assert re.fullmatch(r"[0-9a-f]{12}", build.commit())
