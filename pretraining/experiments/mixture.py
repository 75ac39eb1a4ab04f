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
from bundles.common.metrics.cases import patient_id
from bundles.common.reader import read_stack
from pretraining.data.errors import ArchiveError
from pretraining.data.files import whole_file
from pretraining.experiments.layout import SHARES
from pretraining.experiments.leaks import signature

HEAD_CT, HEAD_SINGLE, HEAD_MR = "ct_hemorrhage_slices", "ct_hemorrhage_200", "dicom/mr_t1c_mprage"
# The prefix of a slice's name is the nearest that this set has to a patient.
PREFIX = re.compile(r"^(\d+)")
EXPORT = re.compile(r"\.rf\.[0-9a-f]+$")
MARGIN = 8
# Correlation of shrunk slices from which two are of one head; experiments refuse such pairs across a split.
NEAR = 0.995
# A prefix with more than this share of the slices is learnt from: tested on, it would be nearly the whole test.
LARGE = 0.3
NAMES = 1000


def mixture_rows(data: Path, slices: Path, radiographs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with `path`, `patient`, `kind`, `set`, `view`, `width`; labels `finding` (XR) and `hemorrhage` (CT).

    Args:
        data: Folder of the real images.
        slices: Where slices of the MR volume are written.
        radiographs: Rows of `nih_rows`.

    Raises:
        ArchiveError: A set is missing.
    """
    rows = [
        {
            "path": row["path"],
            "patient": row["patient"],
            "kind": "XR",
            "set": "cxr_nih64" if row["small"] else "cxr_nih",
            "view": row["view"],
            "finding": row["finding"],
        }
        for row in radiographs
    ]
    rows += [*ct_slices(data / HEAD_CT), *ct_single(data / HEAD_SINGLE), *_mr_slices(data / HEAD_MR, slices)]
    for row in rows:
        with Image.open(row["path"]) as image:
            row["width"] = image.width
    return [{"finding": "", "hemorrhage": "", "view": "", **row} for row in rows]


def ct_slices(folder: Path) -> list[dict[str, Any]]:
    """Each picture once: the set has most of them several times, across its own splits; prefixes as `balanced`.

    Raises:
        ArchiveError: No images, or one whose name begins with no number.
    """
    found: dict[str, list[dict[str, Any]]] = {}
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
            row = {"path": path, "kind": "CT", "set": HEAD_CT, "hemorrhage": int(bool(boxes))}
            found.setdefault(f"slices{number[1]}", []).append(row)
        seen |= keys
    splits = balanced({name: [row["hemorrhage"] for row in rows] for name, rows in found.items()})
    return [{**row, "patient": _named(name, splits[name])} for name, rows in found.items() for row in rows]


def balanced(labels: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """Splits of groups of very different sizes: each class near `SHARES`, large groups to learn from.

    Args:
        labels: Name of a group to the 0 or 1 of each of its images. A group is of the class that most of them have.

    Returns:
        Name to "train", "validate" or "test"; the same whatever the order of the groups.
    """
    total = sum(len(flags) for flags in labels.values())
    splits = {name: "train" for name, flags in labels.items() if len(flags) > LARGE * total}
    shares = {"train": SHARES.train, "validate": SHARES.validate, "test": SHARES.test}
    for shown in (False, True):
        group = {
            name: len(flags)
            for name, flags in labels.items()
            if name not in splits and (2 * sum(flags) > len(flags)) == shown
        }
        open_ = {split: share * sum(group.values()) for split, share in shares.items()}
        for name in sorted(group, key=lambda one: (-group[one], one)):
            splits[name] = max(open_, key=lambda split: open_[split])
            open_[splits[name]] -= group[name]
    return splits


def _named(name: str, split: str) -> str:
    """The name with the first number behind it by whose hash the store, and so the datalist, takes it into a split."""
    names = (f"{name}_{number}" for number in range(NAMES))
    return next(each for each in names if SHARES.split_of(patient_id(each)) == split)


def ct_single(folder: Path) -> list[dict[str, Any]]:
    """One slice a head, each picture once; slices that are nearly equal are of one head.

    Raises:
        ArchiveError: No table or no image, or equal pictures with different labels.
    """
    table = folder / "labels.csv"
    try:
        with table.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file, skipinitialspace=True))
        pictures = [np.asarray(Image.open(folder / "images" / f"{int(line['id']):03d}.png")) for line in lines]
    except OSError as error:
        raise ArchiveError(f"{error.filename or table}: {error.strerror or error}") from error
    rows: dict[str, dict[str, Any]] = {}
    shrunk: list[np.ndarray] = []
    for line, picture in zip(lines, pictures, strict=True):
        # Colours stand last, and `signature` takes the last two axes for the plane.
        plane = picture if picture.ndim == 2 else np.ascontiguousarray(picture[..., :3].mean(axis=-1))
        pixels, small = signature(plane)
        shown = int(line["hemorrhage"])
        path = folder / "images" / f"{int(line['id']):03d}.png"
        if pixels in rows:
            if rows[pixels]["hemorrhage"] != shown:
                raise ArchiveError(f"{path} is equal to {rows[pixels]['path'].name} and has another label: correct one")
            continue
        of = [row["patient"] for row, other in zip(rows.values(), shrunk, strict=True) if float(other @ small) >= NEAR]
        patient = of[0] if of else f"head{line['id']}"
        rows[pixels] = {"path": path, "patient": patient, "kind": "CT", "set": HEAD_SINGLE, "hemorrhage": shown}
        shrunk.append(small)
    return list(rows.values())


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
        yield {"path": path, "patient": "mr0", "kind": "MR", "set": HEAD_MR}


def _images(folder: Path, pattern: str) -> Iterable[Path]:
    found = sorted(folder.glob(pattern))
    if not found:
        raise ArchiveError(f"{folder}: no images ({pattern}); the folder of real images must hold it")
    return found
