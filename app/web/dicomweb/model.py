"""Data sets in the DICOM JSON model (PS3.18 annex F). What is malformed is given as its bytes, and not left out."""

import base64
import json
from typing import Any, Final

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset

from app.web.dicomweb.attributes import vr_of
from bundles.common.elements import PARSE_ERRORS

BULKY: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
LONGEST_INLINE: Final = 1024
"""Longer binary values are given by address."""
INLINE_ALWAYS: Final = 1 << 40
PIXEL_DATA: Final = 0x7FE00010
UTF8: Final = {"vr": "CS", "Value": ["ISO_IR 192"]}
"""JSON is UTF-8, whatever the character set of the file."""

Json = dict[str, Any]


def to_json(dataset: Dataset, bulk: str) -> Json:
    """A data set up to its pixels; long binary values of its top level by address.

    Args:
        dataset: Without pixels.
        bulk: Address under which binary values are found by their tags.
    """
    found: Json = {}
    for tag in sorted(dataset.keys()):
        name = f"{int(tag):08X}"
        if tag.group in {0x0000, 0x0002} or tag.element == 0:
            continue
        length = _length(dataset.get_item(tag, keep_deferred=True))
        if length > LONGEST_INLINE and (vr := _vr(dataset, name)) in BULKY:
            found[name] = {"vr": vr, "BulkDataURI": f"{bulk}/{name}"}
            continue
        found[name] = element_json(dataset, int(tag))
    if "00080005" in found:
        found["00080005"] = UTF8
    return found


def element_json(dataset: Dataset, tag: int) -> Json:
    """One element; with no value where it is absent."""
    name = f"{tag:08X}"
    raw: object = dataset.get_item(tag, keep_deferred=True)
    if raw is None:
        return {"vr": "UN"}
    try:
        made: Json = dataset[tag].to_json_dict(None, INLINE_ALWAYS)
        json.dumps(made, allow_nan=False)
    except PARSE_ERRORS:
        return _as_bytes(raw, name)
    return made


def attribute_json(dataset: Dataset, keyword: str) -> Json:
    """One attribute by its keyword; with no value, but its value representation, where it is absent."""
    return element_json(dataset, tag_of(keyword)) if keyword in dataset else {"vr": vr_of(keyword)}


def value_json(keyword: str, *values: object) -> Json:
    """An attribute that we have counted or put together, under its tag."""
    return {f"{tag_of(keyword):08X}": {"vr": vr_of(keyword), "Value": list(values)}}


def tag_of(keyword: str) -> int:
    """Tag of an attribute that is in the dictionary."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"{keyword} is no DICOM attribute")
    return int(tag)


def _as_bytes(raw: object, name: str) -> Json:
    value = raw.value if isinstance(raw, RawDataElement) else None
    if isinstance(value, bytes) and value:
        return {"vr": "UN", "InlineBinary": base64.b64encode(value).decode()}
    vr = raw.VR if isinstance(raw, RawDataElement | DataElement) and raw.VR else "UN"
    return {"vr": str(vr)} if name else {}


def _length(raw: object) -> int:
    if isinstance(raw, RawDataElement):
        return raw.length if raw.length != 0xFFFFFFFF else 0
    value = getattr(raw, "value", None)
    return len(value) if isinstance(value, bytes) else 0


def _vr(dataset: Dataset, name: str) -> str:
    try:
        vr = str(dataset[int(name, 16)].VR)
    except PARSE_ERRORS:
        return "UN"
    return "OW" if vr == "OB or OW" else vr
