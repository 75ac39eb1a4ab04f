"""A structured report as words: bounded, whatever somebody wrote."""

from pydicom import Dataset

from app.web.study.tree import DEEPEST, MOST_NODES, Node, lines_of, tree_of


def item(kind: str, name: str, **values: object) -> Dataset:
    made, code = Dataset(), Dataset()
    made.ValueType = kind
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99X", name
    made.ConceptNameCodeSequence = [code]
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def depth_of(node: Node) -> int:
    return 1 + max((depth_of(child) for child in node.children), default=0)


def count(node: Node) -> int:
    return 1 + sum(count(child) for child in node.children)


def test_values_are_told_by_their_type() -> None:
    unit, measured, reference = Dataset(), Dataset(), Dataset()
    unit.CodeMeaning = "mm"
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = "12.5", [unit]
    reference.ReferencedSOPInstanceUID, reference.ReferencedFrameNumber = "1.2.3.4.5.6.789012345678", 3
    root = item("CONTAINER", "Report")
    root.ContentSequence = [
        item("TEXT", "Comment", TextValue="<b>odd</b>"),
        item("NUM", "Length", MeasuredValueSequence=[measured]),
        item("IMAGE", "Source", ReferencedSOPSequence=[reference]),
        item("PNAME", "Person", PersonName="Doe^Jane"),
    ]
    found = tree_of(root)
    assert found.name == "Report"
    assert [(child.name, child.value) for child in found.children] == [
        ("Comment", "<b>odd</b>"),
        ("Length", "12.5 mm"),
        ("Source", "image …789012345678, frame 3"),
        ("Person", "Doe^Jane"),
    ]


def test_what_lies_too_deep_is_left_out_and_said() -> None:
    root = item("CONTAINER", "deepest")
    for _ in range(3 * DEEPEST):
        outer = item("CONTAINER", "outer")
        outer.ContentSequence = [root]
        root = outer
    found = tree_of(root)
    assert depth_of(found) == DEEPEST + 2
    last = found
    while last.children:
        last = last.children[0]
    assert "download the document" in last.value


def test_a_report_without_end_is_cut_off() -> None:
    root = item("CONTAINER", "Report")
    root.ContentSequence = [item("TEXT", "Comment", TextValue="x")] * (2 * MOST_NODES)
    assert count(tree_of(root)) <= MOST_NODES + 2


def test_what_has_no_type_or_name_does_no_harm() -> None:
    bare = Dataset()
    bare.ContentSequence = [Dataset()]
    assert tree_of(bare) == Node("", "", "", (Node("", "", ""),))


def test_elements_are_listed_without_their_bulk() -> None:
    data, inner = Dataset(), Dataset()
    inner.CodeMeaning = "inside"
    data.PatientName, data.PixelData = "Doe^Jane", b"\0" * 100
    data["PixelData"].VR = "OW"
    data.ConceptNameCodeSequence = [inner]
    found = list(lines_of(data))
    assert (0, "Patient's Name", "Doe^Jane") in found
    assert (1, "Code Meaning", "inside") in found
    assert (0, "Pixel Data", "bulk data") in found
