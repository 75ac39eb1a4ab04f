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


def dump_presentation(document: Dataset) -> str:
    """What a viewer makes of a presentation state: how the images are shown, then each line and text by image."""
    keywords = (
        "SOPClassUID",
        "SOPInstanceUID",
        "SeriesInstanceUID",
        "SeriesDescription",
        "SeriesNumber",
        "ContentLabel",
        "ContentDescription",
        "PresentationCreationDate",
        "PresentationCreationTime",
        "RescaleSlope",
        "RescaleIntercept",
        "RescaleType",
        "PresentationLUTShape",
    )
    lines = [f"{keyword}: {document.get(keyword, '(absent)')}" for keyword in keywords]
    lines += [f"window {voi.WindowCenter} {voi.WindowWidth}" for voi in document.get("SoftcopyVOILUTSequence", ())]
    for area in document.DisplayedAreaSelectionSequence:
        corner, aspect = area.DisplayedAreaBottomRightHandCorner, area.PresentationPixelAspectRatio
        lines.append(f"area to {corner[0]} {corner[1]}, pixels {aspect[0]}:{aspect[1]}, {area.PresentationSizeMode}")
    lines += [
        f"layer {layer.GraphicLayerOrder} {layer.GraphicLayer}: {layer.GraphicLayerDescription}"
        for layer in document.GraphicLayerSequence
    ]
    for annotation in document.GraphicAnnotationSequence:
        (image,) = annotation.ReferencedImageSequence
        lines += ["", f"{annotation.GraphicLayer} on {image.ReferencedSOPInstanceUID}"]
        for graphic in annotation.get("GraphicObjectSequence", ()):
            data = " ".join(f"{value:g}" for value in graphic.GraphicData)
            lines.append(f"  {graphic.GraphicType} {graphic.GraphicAnnotationUnits} {data}")
        for text in annotation.get("TextObjectSequence", ()):
            place = text.get("AnchorPoint") or text.BoundingBoxTopLeftHandCorner
            lines.append(f"  TEXT at {place[0]:g} {place[1]:g}")
            lines += [f"    {line}" for line in text.UnformattedTextValue.splitlines()]
    return "\n".join(lines) + "\n"
