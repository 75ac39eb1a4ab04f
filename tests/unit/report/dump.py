"""A content tree of a structured report as text, one content item a line."""

from collections.abc import Iterator

from pydicom import Dataset


def dump(document: Dataset) -> str:
    """What a reader of the report sees: header, then the tree."""
    header = [
        f"{keyword}: {document.get(keyword, '(absent)')}"
        for keyword in (
            "SOPClassUID",
            "SOPInstanceUID",
            "SeriesInstanceUID",
            "Modality",
            "SeriesDescription",
            "SeriesNumber",
            "Manufacturer",
            "ManufacturerModelName",
            "SoftwareVersions",
            "ContentDate",
            "ContentTime",
            "CompletionFlag",
            "VerificationFlag",
            "PreliminaryFlag",
        )
    ]
    return "\n".join([*header, "", *_lines(document, 0)]) + "\n"


def _lines(item: Dataset, depth: int) -> Iterator[str]:
    relationship = item.get("RelationshipType", "ROOT")
    yield f"{'  ' * depth}{relationship} {item.ValueType} {_name(item)} {_value(item)}".rstrip()
    for child in item.get("ContentSequence", ()):
        yield from _lines(child, depth + 1)


def _name(item: Dataset) -> str:
    return _code(item.ConceptNameCodeSequence[0])


def _code(code: Dataset) -> str:
    return f'({code.CodeValue}, {code.CodingSchemeDesignator}, "{code.CodeMeaning}")'


def _value(item: Dataset) -> str:
    match item.ValueType:
        case "CODE":
            return f"= {_code(item.ConceptCodeSequence[0])}"
        case "TEXT":
            return f"= {item.TextValue!r}"
        case "UIDREF":
            return f"= {item.UID}"
        case "NUM":
            measured = item.MeasuredValueSequence[0]
            return f"= {measured.NumericValue} {measured.MeasurementUnitsCodeSequence[0].CodeValue}"
        case "IMAGE" | "SCOORD":
            return f"= {_place(item)}"
        case _:
            return ""


def _place(item: Dataset) -> str:
    if item.ValueType == "SCOORD":
        return f"{item.GraphicType} {' '.join(f'{value:g}' for value in item.GraphicData)}"
    reference = item.ReferencedSOPSequence[0]
    frame = f", frame {reference.ReferencedFrameNumber}" if "ReferencedFrameNumber" in reference else ""
    segment = f", segment {reference.ReferencedSegmentNumber}" if "ReferencedSegmentNumber" in reference else ""
    return f"{reference.ReferencedSOPInstanceUID}{frame}{segment}"
