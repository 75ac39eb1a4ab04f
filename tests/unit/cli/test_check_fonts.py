"""`check` names the fonts that pages of paper need, where a destination wants pages."""

from pathlib import Path

import pytest

from app.check import State, check_fonts
from app.report import page
from app.settings import Settings

PACS = {"name": "pacs", "host": "127.0.0.1", "port": 1, "ae_title": "PACS"}


def checked(*documents: str) -> list[tuple[State, str]]:
    settings = Settings.model_validate({"destinations": [{**PACS, "documents": documents}]})
    return [(result.state, result.detail) for result in check_fonts(settings)]


@pytest.mark.debian
def test_are_there() -> None:
    assert [state for state, _ in checked("sr", "pdf")] == [State.OK]


@pytest.mark.parametrize(
    ("lost", "state", "package"),
    [(page.REGULAR, State.ERROR, "fonts-dejavu-core"), (page.EAST_ASIAN, State.WARNING, "fonts-droid-fallback")],
)
@pytest.mark.debian
def test_a_missing_one_is_named_with_its_package(
    lost: str, state: State, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(page.FILES, lost, tmp_path / "none.ttf")
    page.font.cache_clear()
    try:
        ((found, words),) = checked("pdf")
    finally:
        page.font.cache_clear()
    assert found is state
    assert package in words


def test_nobody_asks_for_fonts_without_pages() -> None:
    assert checked("sr") == []
