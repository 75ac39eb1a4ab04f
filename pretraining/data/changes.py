"""What came into an archive, or left it, since it was indexed: by names alone, so that large archives cost one walk."""

import json
from dataclasses import dataclass
from pathlib import Path

from bundles.common.outline import DICOM_SUFFIXES
from bundles.common.plain import is_nifti, is_picture
from pretraining.data.errors import ArchiveError
from pretraining.data.files import walk


@dataclass(frozen=True, slots=True)
class Changes:
    """Files that may be images and were not there, the first of them ("" for none), and listed files that are gone."""

    new: int
    gone: int
    first: str


def files_path(index: Path) -> Path:
    """Return where every file that indexing met is listed, images or not: JSON lines of relative paths."""
    return index.with_suffix(".files.jsonl")


def changes_since(folder: Path, index: Path) -> Changes:
    """Compare the files below `folder` with those that were there when `index` was made.

    Of known files nothing is read. Of new ones the first bytes are, so that a table laid beside the images is no image.

    Raises:
        ArchiveError: The list of the index is damaged.
    """
    try:
        with files_path(index).open(encoding="utf-8") as lines:
            known = {str(json.loads(line)) for line in lines}
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ArchiveError(f"{files_path(index)}: damaged; delete the store to make it again") from error
    new, met, first = 0, 0, ""
    for path in walk(folder):
        name = path.relative_to(folder).as_posix()
        if name in known:
            met += 1
        elif _may_be_image(path):
            new, first = new + 1, first or name
    return Changes(new, len(known) - met, first)


def _may_be_image(path: Path) -> bool:
    if is_nifti(path) or is_picture(path) or path.suffix.lower() in DICOM_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return True  # whether it is one, indexing has to say
