"""The images a report is about, as TID 1600 Image Library (PS3.16).

highdicom's own `ImageLibrary` repeats every descriptor for every image and stops at the first absent tag; here each
analysed stack is a group, and what the whole stack shares stands once, at the group: for slices taken from the geometry
that the service checked (TID 1602, 1604), for a radiograph from its header (TID 1602, 1603).
"""

from collections.abc import Iterable

from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    NumContentItem,
    RelationshipTypeValues,
    UIDRefContentItem,
)
from pydicom import DataElement, Dataset
from pydicom.sr.codedict import codes
from pydicom.tag import Tag

from app.radiographs import is_radiograph
from app.report.projection import PIXELS, place, projection
from app.report.source import Source, SourceStack
from app.study import Instance
from bundles.common.geometry import StackGeometry

SOURCE = CodedConcept(value="260753009", scheme_designator="SCT", meaning="Source")
COSINE = CodedConcept(value="{-1:1}", scheme_designator="UCUM", meaning="{-1:1}")
MODALITIES = {
    "CT": "Computed Tomography",
    "MR": "Magnetic Resonance",
    "CR": "Computed Radiography",
    "DX": "Digital Radiography",
    "RG": "Radiographic imaging",
    "PT": "Positron emission tomography",
    "OT": "Other",
}
CONTEXT = RelationshipTypeValues.HAS_ACQ_CONTEXT
CONTENT, REFERENCED = Tag("ContentSequence"), Tag("ReferencedSOPSequence")


def image_library(source: Source) -> ContainerContentItem:
    """List every image of every analysed stack, in its order."""
    library = ContainerContentItem(name=codes.DCM.ImageLibrary, relationship_type=RelationshipTypeValues.CONTAINS)
    library.ContentSequence = ContentSequence([_group(stack) for stack in source.stacks])
    return library


def _group(stack: SourceStack) -> ContainerContentItem:
    group = ContainerContentItem(name=codes.DCM.ImageLibraryGroup, relationship_type=RelationshipTypeValues.CONTAINS)
    # Not by attribute: highdicom then makes a table of all items by name, twice over.
    group[CONTENT] = DataElement(CONTENT, "SQ", [*_shared(stack), *_images(stack)])
    return group


def _images(stack: SourceStack) -> list[Dataset]:
    """An item for each image, as highdicom makes the first one; making 300 takes it as long as all the rest."""
    instances = stack.series.instances
    first = ImageContentItem(
        name=SOURCE,
        referenced_sop_class_uid=instances[0].sop_class_uid,
        referenced_sop_instance_uid=instances[0].sop_instance_uid,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )
    alike = [element for element in first if element.tag != REFERENCED]
    return [_image(instance, alike) for instance in instances]


def _image(instance: Instance, alike: Iterable[DataElement]) -> Dataset:
    item, referenced = Dataset(), Dataset()
    for element in alike:
        item[element.tag] = element
    referenced.ReferencedSOPClassUID, referenced.ReferencedSOPInstanceUID = (
        instance.sop_class_uid,
        instance.sop_instance_uid,
    )
    item[REFERENCED] = DataElement(REFERENCED, "SQ", [referenced])
    return item


def _shared(stack: SourceStack) -> list[ContentItem]:
    items: list[ContentItem] = []
    series = stack.series
    if series.modality in MODALITIES:
        value = CodedConcept(value=series.modality, scheme_designator="DCM", meaning=MODALITIES[series.modality])
        items.append(CodeContentItem(name=codes.DCM.Modality, value=value, relationship_type=CONTEXT))
    # The header is that of one image: it speaks for the group where that image is the group.
    alone = is_radiograph(series) and len(series.instances) == 1
    if alone:
        items += place(stack.header)
    if stack.frame_of_reference_uid:
        items.append(
            UIDRefContentItem(
                name=codes.DCM.FrameOfReferenceUID, value=stack.frame_of_reference_uid, relationship_type=CONTEXT
            )
        )
    if alone:
        items += projection(stack.header)
    elif series.geometry is not None:
        items += _geometry(series.geometry)
    return items


def _geometry(geometry: StackGeometry) -> list[ContentItem]:
    row, column = geometry.row_direction, geometry.column_direction
    between_rows, between_columns = geometry.pixel_spacing_mm
    millimetre = codes.UCUM.Millimeter
    values = [
        (codes.DCM.PixelDataRows, geometry.rows, PIXELS),
        (codes.DCM.PixelDataColumns, geometry.columns, PIXELS),
        (codes.DCM.HorizontalPixelSpacing, between_columns, millimetre),
        (codes.DCM.VerticalPixelSpacing, between_rows, millimetre),
        (codes.DCM.ImageOrientationPatientRowX, row[0], COSINE),
        (codes.DCM.ImageOrientationPatientRowY, row[1], COSINE),
        (codes.DCM.ImageOrientationPatientRowZ, row[2], COSINE),
        (codes.DCM.ImageOrientationPatientColumnX, column[0], COSINE),
        (codes.DCM.ImageOrientationPatientColumnY, column[1], COSINE),
        (codes.DCM.ImageOrientationPatientColumnZ, column[2], COSINE),
    ]
    return [
        NumContentItem(name=name, value=value, unit=unit, relationship_type=CONTEXT) for name, value, unit in values
    ]
