"""Three kinds of images in one archive: radiographs, slices of head CT, slices of a head MR."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bundles.common.manifest import sha256_of
from bundles.common.reader import read_stack
from pretraining.data.errors import ArchiveError
from pretraining.data.files import whole_file

HEAD_CT, HEAD_SINGLE, HEAD_MR = "ct_hemorrhage_slices", "ct_hemorrhage_200", "dicom/mr_t1c_mprage"
# The prefix of a slice's name is the nearest that this set has to a patient.
PREFIX = re.compile(r"^(\d+)")
EXPORT = re.compile(r"\.rf\.[0-9a-f]+$")
MARGIN = 8


def mixture_rows(data: Path, slices: Path, radiographs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with `path`, `patient`, `kind`, `view`, `width`; labels `finding` (radiographs) and `hemorrhage` (CT).

    Args:
        data: Folder of the real images.
        slices: Where slices of the MR volume are written.
        radiographs: Rows of `nih_rows`.

    Raises:
        ArchiveError: A set is missing.
    """
    rows = [
        {"path": row["path"], "patient": row["patient"], "kind": "XR", "view": row["view"], "finding": row["finding"]}
        for row in radiographs
    ]
    rows += [*_ct_slices(data / HEAD_CT), *_ct_single(data / HEAD_SINGLE), *_mr_slices(data / HEAD_MR, slices)]
    for row in rows:
        with Image.open(row["path"]) as image:
            row["width"] = image.width
    return [{"finding": "", "hemorrhage": "", "view": "", **row} for row in rows]


def _ct_slices(folder: Path) -> Iterator[dict[str, Any]]:
    """Each picture once: the set has most of them several times, across its own splits."""
    seen: set[str] = set()
    for path in _images(folder, "*/images/*.jpg"):
        name = EXPORT.sub("", path.stem)
        number = PREFIX.match(name)
        if number is None:
            raise ArchiveError(f"{path}: the name begins with no number, which tells whose slice it is")
        keys = {name, sha256_of(path)}
        if not keys & seen:
            labels = path.parents[1] / "labels" / f"{path.stem}.txt"
            boxes = labels.read_text(encoding="utf-8").strip() if labels.is_file() else ""
            yield {"path": path, "patient": f"slices{number[1]}", "kind": "CT", "hemorrhage": int(bool(boxes))}
        seen |= keys


def _ct_single(folder: Path) -> Iterator[dict[str, Any]]:
    """One slice a head; nothing tells more of whom they are."""
    table = folder / "labels.csv"
    try:
        with table.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
    except OSError as error:
        raise ArchiveError(f"{table}: {error.strerror}") from error
    for row in rows:
        path = folder / "images" / f"{int(row['id']):03d}.png"
        yield {"path": path, "patient": f"head{row['id']}", "kind": "CT", "hemorrhage": int(row["hemorrhage"])}


def _mr_slices(folder: Path, target: Path) -> Iterator[dict[str, Any]]:
    """Slices of one volume, of one patient, without those at its ends; written as 8-bit PNG."""
    _images(folder, "*.dcm")
    volume = read_stack(folder).array
    low, high = np.percentile(volume, (1, 99))
    grey = (np.clip((volume - low) / max(high - low, 1e-6), 0, 1) * 255).astype(np.uint8)
    target.mkdir(parents=True, exist_ok=True)
    for number in range(MARGIN, len(grey) - MARGIN):
        path = target / f"mr{number:03d}.png"
        if not path.is_file():
            with whole_file(path) as temporary:
                Image.fromarray(grey[number]).save(temporary, format="PNG")
        yield {"path": path, "patient": "mr0", "kind": "MR"}


def _images(folder: Path, pattern: str) -> Iterable[Path]:
    found = sorted(folder.glob(pattern))
    if not found:
        raise ArchiveError(f"{folder}: no images ({pattern}); the folder of real images must hold it")
    return found
