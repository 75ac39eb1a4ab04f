"""Mask objects as files: whole or refused."""

from collections.abc import Iterator
from pathlib import Path

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset

from bundles.common.elements import PARSE_ERRORS, value_of
from bundles.common.headers import UNDEFINED_LENGTH, UnreadableImage
from bundles.common.pixels import open_image


def open_mask(path: Path) -> Dataset:
    """Read a DICOM file with every element of every sequence.

    pydicom reads sequences only when asked, and takes an element that is cut off for a shorter one; either would turn a
    damaged mask into an empty one.

    Raises:
        UnreadableImage: It is no DICOM file, or something in it cannot be read.
    """
    dataset = open_image(path)
    if any(_is_cut_off(element) for element in dataset.values()):
        raise UnreadableImage(f"{path.name}: the DICOM data set is cut off")
    try:
        for _element in dataset.iterall():
            pass
    except (*PARSE_ERRORS, OSError) as error:
        raise UnreadableImage(f"{path.name}: the DICOM data set is cut off or corrupt") from error
    return dataset


def _is_cut_off(element: DataElement | RawDataElement) -> bool:
    """Tell of an element as read whether it has fewer bytes than it claims."""
    return (
        isinstance(element, RawDataElement)
        and element.length != UNDEFINED_LENGTH
        and len(element.value or b"") < element.length
    )


def items(dataset: Dataset, keyword: str) -> Iterator[Dataset]:
    """Give the items of a sequence; none where it is absent."""
    value = value_of(dataset, keyword)
    if hasattr(value, "__iter__"):
        yield from (one for one in value if isinstance(one, Dataset))
