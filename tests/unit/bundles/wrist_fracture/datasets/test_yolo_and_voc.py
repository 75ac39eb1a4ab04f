"""Two ways to write boxes, there and back."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles.common.datalist.boxes import Edges, Size
from bundles.common.datalist.marked_up import read_xml
from bundles.common.datalist.problems import Damaged, Problems
from bundles.wrist_fracture.scripts.datasets import voc, yolo
from bundles.wrist_fracture.scripts.datasets.objects import CLASSES

KINDS = st.integers(0, len(CLASSES) - 1)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[Edges, Size]:
    columns, rows = draw(st.integers(2, 3000)), draw(st.integers(2, 3000))
    x0, y0 = draw(st.integers(0, columns - 1)), draw(st.integers(0, rows - 1))
    x1, y1 = draw(st.integers(x0 + 1, columns)), draw(st.integers(y0 + 1, rows))
    return (x0, y0, x1, y1), (columns, rows)


@given(KINDS, boxes())
def test_yolo_there_and_back(kind: int, box: tuple[Edges, Size]) -> None:
    edges, size = box
    again, back = yolo.decode(yolo.encode(kind, edges, size, digits=12), size)
    assert again == kind
    assert back == pytest.approx(edges, abs=1e-6)


@given(KINDS, boxes())
def test_six_digits_keep_a_box_within_a_hundredth_of_a_pixel(kind: int, box: tuple[Edges, Size]) -> None:
    edges, size = box
    line = yolo.encode(kind, edges, size)
    _, back = yolo.decode(line, size)
    assert back == pytest.approx(edges, abs=0.01)
    assert yolo.encode(kind, back, size) == line


@given(st.lists(st.tuples(KINDS, boxes()), max_size=4))
def test_voc_there_and_back(tmp_path_factory: pytest.TempPathFactory, drawn: list) -> None:
    objects = [(kind, edges) for kind, (edges, _) in drawn]
    path = tmp_path_factory.mktemp("voc") / "a.xml"
    path.write_text(voc.encode("a", objects), encoding="utf-8")
    assert [voc.decode(element) for element in read_xml(path).all("object")] == objects


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("3 0.5 0.5 0.1", "4 values, expected five"),
        ("9 0.5 0.5 0.1 0.1", "class '9', expected 0…8"),
        ("-1 0.5 0.5 0.1 0.1", "class '-1'"),
        ("3.0 0.5 0.5 0.1 0.1", "class '3.0'"),
        ("3 0.5 x 0.1 0.1", "no number"),
        ("3 0.5 0.5 0 0.1", "without area"),
        ("3 0.5 0.5 0.1 -0.1", "without area"),
        ("3 nan 0.5 0.1 0.1", "without area"),
    ],
)
def test_a_damaged_line(line: str, words: str) -> None:
    with pytest.raises(Damaged, match=words):
        yolo.decode(line, (100, 100))


def found(path: Path, text: str) -> tuple[list, list[str]]:
    path.write_text(text, encoding="utf-8")
    problems = Problems()
    read = yolo.read_yolo if path.suffix == ".txt" else voc.read_voc
    marked = read(path, (100, 200), "a", problems)
    return [(one.kind, one.edges, one.place.line) for one in marked], [str(problem) for problem in problems.found]


def test_files_name_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    marked, problems = found(path, "3 0.5 0.5 0.25 0.125\n3 0.9 0.5 0.4 0.1\n3 0.5 0.5 0.25 0.125\n\n")
    assert marked == [(3, (37.5, 87.5, 62.5, 112.5), 1)]
    assert problems == [
        f"{path}:2: box (70, 90, 110, 110) lies outside of its image of 100×200 pixels",
        f"{path}:3: the same as {path}:1",
    ]
    assert found(path, "") == ([], [])
    assert found(path, "8 0.1 0.1 0.1 0.1\n\n8 0.2 0.2 0.1 0.1")[1] == [
        f"{path}:2: 0 values, expected five: class x y width height"
    ]


def test_voc_files_name_their_lines(tmp_path: Path) -> None:
    path, kind = tmp_path / "a.xml", CLASSES.index("fracture")
    text = voc.encode("a", [(kind, (1, 2, 3, 4)), (kind, (1, 2, 101, 4)), (kind, (1, 2, 3, 4))])
    marked, problems = found(path, text)
    assert marked == [(kind, (1, 2, 3, 4), 3)]
    assert problems == [
        f"{path}:4: box (1, 2, 101, 4) lies outside of its image of 100×200 pixels",
        f"{path}:5: the same object as in {path}:3",
    ]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("fracture", "fractur", ":3: unknown object 'fractur', did you mean 'fracture'?"),
        ("<xmin>1</xmin>", "", ":3: <bndbox> has 0 <xmin>, expected one"),
        ("<xmin>1<", "<xmin>x<", ":3: <xmin> is 'x', expected a number"),
        ("a.png", "b.png", ":1: <filename> is 'b.png', expected that of 'a'"),
        ("annotation", "notes", ":1: <notes>, expected <annotation>"),
        ("<object>", "<size><width>9</width><height>8</height></size><object>", ":1: <size> is 9×8"),
    ],
)
def test_damaged_voc(tmp_path: Path, old: str, new: str, words: str) -> None:
    _, problems = found(tmp_path / "a.xml", voc.encode("a", [(3, (1, 2, 3, 4))]).replace(old, new))
    assert words in problems[0]
