"""XML with line numbers, and nothing that expands."""

from pathlib import Path

import pytest

from bundles.common.datalist.marked_up import Element, read_xml
from bundles.common.datalist.problems import Damaged, DatalistError


def tree(path: Path, text: str) -> Element:
    path.write_text(text, encoding="utf-8")
    return read_xml(path)


def test_names_spaces_places_and_text(tmp_path: Path) -> None:
    root = tree(tmp_path / "a.xml", '<a xmlns="urn:x">\n <b>\n  12\n </b>\n <b/>\n</a>')
    assert (root.name, root.space, root.place.line) == ("a", "urn:x", 1)
    first, second = root.all("b")
    assert (first.text.strip(), first.place.line, second.place.line) == ("12", 2, 5)
    with pytest.raises(Damaged, match="<a> has 2 <b>, expected one"):
        root.one("b")


def test_values(tmp_path: Path) -> None:
    root = tree(tmp_path / "a.xml", "<a><n> 3.5 </n><w>x</w><e/></a>")
    assert (root.number("n"), root.word("w")) == (3.5, "x")
    with pytest.raises(Damaged, match="<w> is 'x', expected a number"):
        root.number("w")
    with pytest.raises(Damaged, match="<e> is empty"):
        root.word("e")


def test_refused(tmp_path: Path) -> None:
    with pytest.raises(DatalistError, match=r"a\.xml:2: not well-formed XML"):
        tree(tmp_path / "a.xml", "<a>\n<b></a>")
    with pytest.raises(DatalistError, match=r"a\.xml:2: a document type"):
        tree(tmp_path / "a.xml", '<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY x "y">]>\n<a>&x;</a>')
    for encoding in ("utf-7", "shift_jis"):
        with pytest.raises(DatalistError, match=r"a\.xml:1: (an|not well-formed XML: unknown) encoding"):
            tree(tmp_path / "a.xml", f'<?xml version="1.0" encoding="{encoding}"?>\n<a/>')
    with pytest.raises(DatalistError, match="No such file"):
        read_xml(tmp_path / "none.xml")
