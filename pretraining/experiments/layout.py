"""Datalists of laid-out images, split by patients exactly as a store of pretraining splits them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bundles.common.headers import UnreadableImage
from bundles.common.metrics.cases import case_id, patient_id
from bundles.common.plain import is_nifti, read_nifti_grid
from bundles.common.reader import read_stack
from pretraining.data.errors import ArchiveError
from pretraining.data.files import whole_file
from pretraining.data.patients import Shares
from pretraining.experiments.datalists import SECTIONS, SLICE_LABELS, read

DATALIST = "datalist.json"
SHARES = Shares(0.6, 0.1, 0.3)
SECTION_OF = {"train": "training", "validate": "validation", "test": "test"}


def write_datalist(
    folder: Path,
    rows: Iterable[Mapping[str, Any]],
    *,
    findings: Sequence[str],
    metadata: Sequence[str],
    split_of: Callable[[str], str] = SHARES.split_of,
    about: Mapping[str, Any] | None = None,
) -> Path:
    """Write `FOLDER/datalist.json`; a patient goes into the section of the split that a store gives them.

    Args:
        folder: Of `images`.
        rows: With `path`, `patient`, the findings (0, 1 or nothing) and the metadata.
        findings: Keys that are labels.
        metadata: Keys that are told beside.
        split_of: Hashed patient to the split of a store: "train", "validate" or "test".
        about: What the file says of all images.
    """
    content: dict[str, Any] = {**(about or {}), **{name: [] for name in SECTIONS}}
    for row in rows:
        split = split_of(patient_id(str(row["patient"])))
        content[SECTION_OF[split]].append(
            {
                "image": Path(row["path"]).name,
                "patient": str(row["patient"]),
                "labels": {name: _label(row[name]) for name in findings},
                "metadata": {name: row[name] for name in metadata},
            }
        )
    path = folder / DATALIST
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
    return path


def link_unlabelled(folder: Path) -> int:
    """Link the images of the training section into `FOLDER/pretrain`: an encoder sees those alone.

    Raises:
        ArchiveError: No datalist, or another file has the place of a link.
    """
    datalist = read(folder / DATALIST)
    target = folder / "pretrain"
    target.mkdir(exist_ok=True)
    rows = list(datalist.rows("training"))
    for row in rows:
        image = (datalist.images / str(row["image"])).resolve()
        # Many sets give one file name to the images of all patients.
        _link(target / f"{case_id(str(row['image']))}{_ending(image)}", image)
    return len(rows)


def link_more(folder: Path, images: Iterable[Path]) -> int:
    """Link what is in `FOLDER/pretrain` and images of further sources into `FOLDER/pretrain_more`.

    The caller sees to it that none of these is of a patient who is validated or tested on.

    Args:
        folder: After `link_unlabelled`.
        images: Files; a name may be there in several folders.

    Returns:
        How many images are there then.

    Raises:
        ArchiveError: No image was added, or another file has the place of a link.
    """
    target = folder / "pretrain_more"
    target.mkdir(exist_ok=True)
    own = sorted((folder / "pretrain").iterdir())
    added = sorted({image.resolve() for image in images})
    if not added:
        raise ArchiveError(f"{target}: no image of a further source was found; name folders that hold some")
    for image in own:
        _link(target / image.name, image.resolve())
    for image in added:
        _link(target / f"more_{case_id(str(image))}{_ending(image)}", image)
    return len(own) + len(added)


def _link(link: Path, image: Path) -> None:
    if link.is_symlink() and link.resolve() == image:
        return
    if link.exists() or link.is_symlink():
        raise ArchiveError(f"{link} is there and is no link to its image; delete {link.parent}")
    link.symlink_to(image)


@dataclass(frozen=True, slots=True)
class Names:
    """What labels of volumes are called; None and nothing leave them out.

    Attributes:
        finding: A row's `label`.
        types: Its `types`, in their order; types that a row does not tell are unknown.
        slices: Its `slices` along the third axis, or where it has none, those that its mask marks.
    """

    finding: str | None = None
    types: tuple[str, ...] = ()
    slices: str | None = None


def label_volumes(folder: Path, names: Names) -> int:
    """Say in `FOLDER/datalist.json`, as a bundle's own commands write it for volumes, what experiments ask for.

    Each row gets `labels`, `slice_labels`, a `patient` where a phantom tells its seed alone, and `metadata` of what its
    header says: `slice_count`, `slice_mm`, `pixel_mm`. All else stays; doing it twice does no harm.

    Raises:
        ArchiveError: No datalist, a row without NIfTI file, patient, or what is asked for; the file stays as it was.
    """
    path = folder / DATALIST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArchiveError(f"{path}: no datalist: {error}; a command before this one must write it") from error
    for section in SECTIONS:
        content[section] = [_labelled(row, path, names) for row in content.get(section) or ()]
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
    return sum(len(content[section]) for section in SECTIONS)


def _labelled(row: Mapping[str, Any], path: Path, names: Names) -> dict[str, Any]:
    image = row.get("image")
    if not isinstance(image, str) or not is_nifti(Path(image)):
        raise ArchiveError(f"{path}: experiments take volumes as NIfTI files, and a row has none; convert the series")
    who = row.get("patient") or row.get("seed")
    if who is None or (names.finding and "label" not in row):
        raise ArchiveError(
            f"{path}: {case_id(image)} (by its hash) lacks its patient or label; write the datalist again"
        )
    kinds = row.get("types") or [None] * len(names.types)
    if names.types and len(kinds) != len(names.types):
        raise ArchiveError(f"{path}: a row tells {len(kinds)} types, and {len(names.types)} names were given")
    try:
        shape, affine = read_nifti_grid(path.parent / image)
        marked = {names.slices: _slices(row, path, shape[2])} if names.slices else {}
    except UnreadableImage as error:
        raise ArchiveError(f"{path}: {case_id(image)} (by its hash) cannot be read: {error}") from error
    across, _, along = (round(float(length), 3) for length in np.linalg.norm(affine[:3, :3], axis=0))
    labels = {names.finding: row["label"]} if names.finding else {}
    return {
        **row,
        "patient": str(who),
        "labels": labels | dict(zip(names.types, kinds, strict=False)),
        SLICE_LABELS: marked,
        "metadata": {**(row.get("metadata") or {}), "slice_count": shape[2], "slice_mm": along, "pixel_mm": across},
    }


def _slices(row: Mapping[str, Any], path: Path, count: int) -> list[int]:
    """A flag for each slice along the third axis."""
    flags = row.get("slices")
    if flags is None and row.get("mask"):
        flags = read_stack([path.parent / str(row["mask"])]).array.any(axis=(1, 2)).astype(int).tolist()
    if flags is None and row.get("label") == 0:
        flags = [0] * count
    if flags is None or len(flags) != count:
        told = "no labels of slices and no mask" if flags is None else f"labels of {len(flags)} slices, and has {count}"
        raise ArchiveError(f"{path}: {case_id(str(row['image']))} (by its hash) has {told}; write the datalist again")
    return list(flags)


def _ending(image: Path) -> str:
    return ".nii.gz" if image.name.endswith(".nii.gz") else image.suffix


def link_images(folder: Path, images: Path) -> None:
    """Make `FOLDER/images` a link to where a set of images lies; nothing is copied.

    Raises:
        ArchiveError: No such folder, or something else has the place of the link.
    """
    if not images.is_dir():
        raise ArchiveError(f"{images} is no folder of images")
    folder.mkdir(parents=True, exist_ok=True)
    link, target = folder / "images", images.resolve()
    if link.is_symlink() and link.resolve() == target:
        return
    if link.exists() or link.is_symlink():
        raise ArchiveError(f"{link} is there and is no link to {target}; choose another folder")
    link.symlink_to(target, target_is_directory=True)


def _label(value: Any) -> int | None:
    return None if value in {"", None} else int(value)
