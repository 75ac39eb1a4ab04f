"""Pascal VOC's XML: named objects with `xmin`, `ymin`, `xmax`, `ymax` in pixels; the edges are taken as they stand."""

from collections.abc import Iterable
from pathlib import Path
from xml.sax.saxutils import escape

from bundles.common.datalist.boxes import Edges, Size, inside
from bundles.common.datalist.marked_up import Element, read_xml
from bundles.common.datalist.problems import Damaged, Kind, Place, Problems
from bundles.common.strict import nearest
from bundles.wrist_fracture.scripts.datasets.objects import CLASSES, Marked

EDGES = ("xmin", "ymin", "xmax", "ymax")


def read_voc(path: Path, size: Size, image: str, problems: Problems) -> list[Marked]:
    """Read a file.

    Args:
        path: The file.
        size: Columns and rows of its image.
        image: How problems name the image; its stem must be that of `<filename>`.
        problems: Receives what is wrong.

    Raises:
        DatalistError: No well-formed XML.
    """
    root = read_xml(path)
    marked: list[Marked] = []
    seen: dict[tuple[int, Edges], Place] = {}
    with problems.at(root.place, image):
        if root.name != "annotation":
            raise Damaged(f"<{root.name}>, expected <annotation>")
        if Path(root.word("filename")).stem != image:
            raise Damaged(f"<filename> is '{root.word('filename')}', expected that of '{image}'")
        _check_size(root, size)
    for element in root.all("object"):
        with problems.at(element.place, image):
            kind, edges = decode(element)
            first = seen.setdefault((kind, edges), element.place)
            if first is element.place:
                marked.append(Marked(element.place, kind, inside(edges, size)))
            else:
                problems.add(Kind.DUPLICATE, element.place, f"the same object as in {first}", image)
    return marked


def decode(element: Element) -> tuple[int, Edges]:
    """Return the class and the edges of an `<object>`.

    Raises:
        Damaged: An unknown name, or an edge that is missing or no number.
    """
    name = element.word("name")
    if name not in CLASSES:
        raise Damaged(f"unknown object '{name}'{nearest(name, list(CLASSES))}")
    box = element.one("bndbox")
    x0, y0, x1, y1 = (box.number(edge) for edge in EDGES)
    return CLASSES.index(name), (x0, y0, x1, y1)


def encode(image: str, objects: Iterable[tuple[int, Edges]]) -> str:
    """Return the file of an image (its name without ending) and its objects."""
    lines = ["<annotation>", f" <filename>{escape(image)}.png</filename>"]
    for kind, edges in objects:
        corners = "".join(f"<{name}>{edge:g}</{name}>" for name, edge in zip(EDGES, edges, strict=True))
        lines.append(f" <object><name>{CLASSES[kind]}</name><bndbox>{corners}</bndbox></object>")
    return "\n".join([*lines, "</annotation>", ""])


def _check_size(root: Element, size: Size) -> None:
    for element in root.all("size"):
        if element.children and (element.number("width"), element.number("height")) != size:
            said = f"{element.word('width')}×{element.word('height')}"
            raise Damaged(f"<size> is {said}, and the image has {size[0]}×{size[1]} pixels")
