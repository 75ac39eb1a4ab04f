"""Datalists of laid-out images, split by patients exactly as a store of pretraining splits them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bundles.common.metrics.cases import case_id, patient_id
from pretraining.data.errors import ArchiveError
from pretraining.data.files import whole_file
from pretraining.data.patients import Shares
from pretraining.experiments.datalists import SECTIONS, read

DATALIST = "datalist.json"
SHARES = Shares(0.6, 0.1, 0.3)
SECTION_OF = {"train": "training", "validate": "validation", "test": "test"}


def write_datalist(
    folder: Path,
    rows: Iterable[Mapping[str, Any]],
    *,
    findings: Sequence[str],
    metadata: Sequence[str],
    shares: Shares = SHARES,
    about: Mapping[str, Any] | None = None,
) -> Path:
    """Write `FOLDER/datalist.json`; a patient goes into the section of the split that a store gives them.

    Args:
        folder: Of `images`.
        rows: With `path`, `patient`, the findings (0, 1 or nothing) and the metadata.
        findings: Keys that are labels.
        metadata: Keys that are told beside.
        shares: Parts of the patients, as in the configuration of the store.
        about: What the file says of all images.
    """
    content: dict[str, Any] = {**(about or {}), **{name: [] for name in SECTIONS}}
    for row in rows:
        split = shares.split_of(patient_id(str(row["patient"])))
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
        _link(target / f"{case_id(str(row['image']))}{image.suffix}", image)
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
        _link(target / f"more_{case_id(str(image))}{image.suffix}", image)
    return len(own) + len(added)


def _link(link: Path, image: Path) -> None:
    if link.is_symlink() and link.resolve() == image:
        return
    if link.exists() or link.is_symlink():
        raise ArchiveError(f"{link} is there and is no link to its image; delete {link.parent}")
    link.symlink_to(image)


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
