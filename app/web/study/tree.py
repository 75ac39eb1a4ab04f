"""A structured report as a tree of words (PS3.3 C.17.3), and any data set as lines; both bounded."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydicom import Dataset
from pydicom.dataelem import DataElement

from bundles.common.elements import PARSE_ERRORS, text
from bundles.common.masks.files import items

DEEPEST: Final = 32
MOST_NODES: Final = 20_000
LONGEST: Final = 500
BULK: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})


@dataclass(frozen=True, slots=True)
class Node:
    """One content item.

    Attributes:
        name: Of its concept; "" where it has none.
        value: For people; "" of a mere container.
        kind: Its value type, "CODE", "NUM", "IMAGE", …
        children: In their order.
    """

    name: str
    value: str
    kind: str
    children: tuple["Node", ...] = ()


def tree_of(report: Dataset) -> Node:
    """The content of a structured report; what lies deeper or beyond the bounds is left out, and said."""
    return _node(report, 0, [MOST_NODES])


def lines_of(dataset: Dataset, depth: int = 0) -> Iterator[tuple[int, str, str]]:
    """Every element as (depth, name, value), pixels and other bulk left out; sequences four deep."""
    for element in dataset:
        if element.VR == "SQ":
            yield depth, element.name, f"{len(element.value)} items"
            for item in element.value if depth < 4 else ():
                yield from lines_of(item, depth + 1)
        elif element.VR in BULK:
            yield depth, element.name, "bulk data"
        else:
            yield depth, element.name, _shown(element)


def _node(item: Dataset, depth: int, left: list[int]) -> Node:
    left[0] -= 1
    children: list[Node] = []
    for child in items(item, "ContentSequence"):
        if depth >= DEEPEST or left[0] <= 0:
            children.append(Node("", "more lies here; download the document to see it", ""))
            break
        children.append(_node(child, depth + 1, left))
    kind = text(item, "ValueType")
    return Node(_meaning(item, "ConceptNameCodeSequence"), _value(item, kind), kind, tuple(children))


def _value(item: Dataset, kind: str) -> str:
    if kind == "CODE":
        return _code(item, "ConceptCodeSequence")
    if kind == "NUM":
        return " ".join(
            f"{text(each, 'NumericValue')} {_meaning(each, 'MeasurementUnitsCodeSequence')}".strip()
            for each in items(item, "MeasuredValueSequence")
        )
    if kind in {"IMAGE", "COMPOSITE", "WAVEFORM"}:
        return ", ".join(_reference(each) for each in items(item, "ReferencedSOPSequence"))
    if kind in {"SCOORD", "SCOORD3D"}:
        return text(item, "GraphicType").lower()
    keyword = {"TEXT": "TextValue", "DATETIME": "DateTime", "DATE": "Date", "TIME": "Time", "UIDREF": "UID"}.get(kind)
    keyword = "PersonName" if kind == "PNAME" else keyword
    return text(item, keyword)[:LONGEST] if keyword else ""


def _reference(item: Dataset) -> str:
    frames = text(item, "ReferencedFrameNumber")
    return f"image …{text(item, 'ReferencedSOPInstanceUID')[-12:]}" + (f", frame {frames}" if frames else "")


def _meaning(item: Dataset, keyword: str) -> str:
    return next((text(each, "CodeMeaning") for each in items(item, keyword)), "")


def _code(item: Dataset, keyword: str) -> str:
    for each in items(item, keyword):
        return f"{text(each, 'CodeMeaning')} ({text(each, 'CodeValue')}, {text(each, 'CodingSchemeDesignator')})"
    return ""


def _shown(element: DataElement) -> str:
    try:
        value = element.value
        words = "\\".join(str(part) for part in value) if isinstance(value, list) else str(value)
    except PARSE_ERRORS:
        return "cannot be read"
    return words[:LONGEST]
