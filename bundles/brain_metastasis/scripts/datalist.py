"""Heads of a datalist, checked before training begins: everything wrong is named at once.

A datalist is JSON with the sections `training`, `validation` and `test`, each a list of
`{"image": path of a NIfTI file or of a folder of DICOM files, "mask": path or null, "patient": name, "label": 0 | 1 |
null, …}`. A mask lies on the grid of its image and is not 0 in metastases. Readers of public sets write such a file
(`scripts/datasets`), and so do the phantoms.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from bundles.brain_metastasis.scripts.preprocess import SAME_PLACE_MM, largest_shift_mm
from bundles.common.headers import UnreadableImage
from bundles.common.plain import is_nifti, read_nifti_grid
from bundles.common.radiograph.datalist import Item, Row, checked_items, read_datalist

log = structlog.get_logger()

BUNDLE = "brain_metastasis"


def load_heads(datalist: str, section: str, image_dir: str = "", limit: int = 0) -> list[Item]:
    """Items of one section, with absolute paths.

    A head with metastases that nobody drew, or of unknown label, teaches nothing here; such are left out and counted in
    the log.

    Args:
        datalist: The file.
        section: `training`, `validation` or `test`.
        image_dir: Folder that paths are relative to; empty takes the datalist's own.
        limit: Take only so many; 0 takes all.

    Returns:
        `{"image", "mask" (absent where there is none), "name": path as written, "patient", "label": 0 or 1}`.

    Raises:
        ValueError: The file or the section is missing or empty, or nothing is left; or, all named together: files that
            are missing, patients in two sections, labels that are none, masks on another grid than their image.
    """
    items = checked_items(read_datalist(datalist, BUNDLE), section, datalist, _item, image_dir=image_dir, limit=limit)
    known = [item for item in items if "mask" in item or item["label"] == 0]
    if len(known) < len(items):
        log.warning("undrawn_left_out", section=section, heads=len(items) - len(known), of=len(items))
    if not known:
        raise ValueError(f"{datalist}: of no head in '{section}' it is known where metastases are, or that none are")
    return known


def _item(row: Row, folder: Path) -> Item:
    name, image = str(row["image"]), _there(row, "image", folder)
    label = row.get("label")
    if label is not None and label not in (0, 1):
        raise ValueError(f"{name}: label is {label!r}, expected 0, 1 or null")
    item: Item = {"image": str(image), "name": name, "patient": str(row["patient"])}
    if row.get("mask") is None:
        return {**item, "label": label}
    mask = _there(row, "mask", folder)
    _expect_same_grid(name, image, mask)
    return {**item, "mask": str(mask), "label": label}


def _there(row: Mapping[str, Any], key: str, folder: Path) -> Path:
    path = (folder / str(row[key])).resolve()
    if not path.exists():
        raise ValueError(f"{row['image']}: its {key} {row[key]} is not below {folder}")
    return path


def _expect_same_grid(name: str, image: Path, mask: Path) -> None:
    """By the headers of NIfTI files; what is DICOM is compared when it is read (`preprocess.AxialHeadd`)."""
    if not (image.is_file() and is_nifti(image) and is_nifti(mask)):
        return
    (shape, affine), (mask_shape, mask_affine) = read_nifti_grid(image), read_nifti_grid(mask)
    if shape != mask_shape:
        raise UnreadableImage(f"{name}: its mask has shape {mask_shape}, the image {shape}; write masks on its grid")
    if (apart := largest_shift_mm(affine, mask_affine, shape)) > SAME_PLACE_MM:
        raise UnreadableImage(f"{name}: its mask lies up to {apart:.1f} mm beside the image; write masks on its grid")
