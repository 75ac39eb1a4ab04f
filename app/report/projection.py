"""What the image library says of a radiograph: TID 1602 and 1603 (PS3.16), from its header.

What the header does not say, or says in a way that has no code, is left out.
"""

from types import MappingProxyType

from highdicom.sr import CodeContentItem, CodedConcept, ContentItem, NumContentItem, TextContentItem
from highdicom.sr import RelationshipTypeValues as Relation
from pydicom import Dataset
from pydicom.sr.codedict import codes

from app.codes import Code
from app.report.words import plain
from bundles.common.elements import integer, item, numbers, text, value_of

CONTEXT = Relation.HAS_ACQ_CONTEXT
PIXELS = CodedConcept(value="{pixels}", scheme_designator="UCUM", meaning="Pixels")
LONGEST_CODE, LONGEST_MEANING = 16, 64

# PS3.16 annex L: Body Part Examined to CID 4031.
REGIONS = MappingProxyType(
    {"CHEST": Code("816094009", "SCT", "Chest"), "WRIST": Code("74670003", "SCT", "Wrist joint")}
)
# View Position (PS3.3 C.8.1.2) to CID 4010; the last two are no defined terms, yet common.
VIEWS = MappingProxyType(
    {
        "AP": Code("399348003", "SCT", "antero-posterior"),
        "PA": Code("272479007", "SCT", "postero-anterior"),
        "LL": Code("399173006", "SCT", "left lateral"),
        "RL": Code("399198007", "SCT", "right lateral"),
        "LAT": Code("399067008", "SCT", "lateral"),
        "LATERAL": Code("399067008", "SCT", "lateral"),
    }
)
# CID 244; U of Image Laterality is an unpaired part and has no side.
SIDES = MappingProxyType(
    {
        "L": Code("7771000", "SCT", "Left"),
        "R": Code("24028007", "SCT", "Right"),
        "B": Code("51440002", "SCT", "Bilateral"),
    }
)


def place(header: Dataset) -> list[ContentItem]:
    """Target region and side."""
    region = _sent(header, "AnatomicRegionSequence") or REGIONS.get(text(header, "BodyPartExamined").upper())
    side = SIDES.get((text(header, "ImageLaterality") or text(header, "Laterality")).upper())
    return [*_code(codes.DCM.TargetRegion, region), *_code(codes.DCM.ImageLaterality, side)]


def projection(header: Dataset) -> list[ContentItem]:
    """Size, view, orientation, and the spacing at the detector, which is no measure of the patient."""
    view = _sent(header, "ViewCodeSequence") or VIEWS.get(text(header, "ViewPosition").upper())
    return [
        *_number(codes.DCM.PixelDataRows, integer(header, "Rows"), PIXELS),
        *_number(codes.DCM.PixelDataColumns, integer(header, "Columns"), PIXELS),
        *_code(codes.DCM.ImageView, view),
        *_orientation(header),
        *_spacing(header),
    ]


def _orientation(header: Dataset) -> list[ContentItem]:
    value = value_of(header, "PatientOrientation")
    parts = [] if value is None or isinstance(value, str) else [plain(str(part)).strip() for part in value]
    if len(parts) != 2 or not all(parts):
        return []
    names = (codes.DCM.PatientOrientationRow, codes.DCM.PatientOrientationColumn)
    return [
        TextContentItem(name=name, value=part, relationship_type=CONTEXT)
        for name, part in zip(names, parts, strict=True)
    ]


def _spacing(header: Dataset) -> list[ContentItem]:
    spacing = numbers(header, "ImagerPixelSpacing")
    if len(spacing) != 2 or min(spacing) <= 0:
        return []
    between_rows, between_columns = spacing
    return [
        *_number(codes.DCM.HorizontalPixelSpacing, between_columns, codes.UCUM.Millimeter),
        *_number(codes.DCM.VerticalPixelSpacing, between_rows, codes.UCUM.Millimeter),
    ]


def _sent(header: Dataset, keyword: str) -> Code | None:
    """The first code of a sequence, as it was sent, where it is whole."""
    first = item(header, keyword, 0)
    if first is None:
        return None
    value, scheme = plain(text(first, "CodeValue")), plain(text(first, "CodingSchemeDesignator"))
    meaning = plain(text(first, "CodeMeaning"))[:LONGEST_MEANING]
    whole = 0 < len(value) <= LONGEST_CODE and 0 < len(scheme) <= LONGEST_CODE and meaning
    return Code(value, scheme, meaning) if whole else None


def _code(name: CodedConcept, code: Code | None) -> list[ContentItem]:
    if code is None:
        return []
    value = CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=code.meaning)
    return [CodeContentItem(name=name, value=value, relationship_type=CONTEXT)]


def _number(name: CodedConcept, value: float | None, unit: CodedConcept) -> list[ContentItem]:
    if value is None:
        return []
    return [NumContentItem(name=name, value=value, unit=unit, relationship_type=CONTEXT)]
