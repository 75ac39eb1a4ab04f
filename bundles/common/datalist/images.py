"""The images of a data set: where they lie, how large they are, what a DICOM header tells."""

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from bundles.common.datalist.boxes import Size
from bundles.common.datalist.problems import Damaged, DatalistError, Kind
from bundles.common.elements import integer, text
from bundles.common.headers import UnreadableImage, read_header
from bundles.common.plain import PICTURE_ERRORS, PICTURE_SUFFIXES, open_picture

PICTURES = frozenset(PICTURE_SUFFIXES)
DICOM = frozenset({".dcm", ".dicom"})
NIFTI = frozenset({".nii", ".nii.gz"})
ANY = frozenset({""})
"""For DICOM files, which need no ending."""
KEYWORDS = ("SOPInstanceUID", "SeriesInstanceUID", "PatientID", "ViewPosition", "Modality", "Rows", "Columns")

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Header:
    """What a file tells without its pixels; pictures tell their size alone, the rest is empty.

    Attributes:
        size: Columns and rows.
        uid: SOP Instance UID.
        series: Series Instance UID.
        patient: Patient ID.
        view: View Position in capitals.
        modality: Modality.
        problem: Why the pixels cannot be read, as far as the header shows it; empty where nothing speaks against it.
    """

    size: Size
    uid: str = ""
    series: str = ""
    patient: str = ""
    view: str = ""
    modality: str = ""
    problem: str = ""


class ImageFolder:
    """The images below a folder, found by path, by name or by name without ending."""

    def __init__(self, root: Path, suffixes: frozenset[str] = PICTURES | DICOM) -> None:
        if not root.is_dir():
            raise DatalistError(f"{root}: no such folder of images")
        self.root = root
        self.files: list[str] = []
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for relative in _walk(root, suffixes):
            self.files.append(relative)
            path = PurePosixPath(relative)
            self._by_name[path.name].append(relative)
            self._by_name[path.name.removesuffix(".gz").rpartition(".")[0] or path.name].append(relative)
        self._paths = frozenset(self.files)

    def find(self, name: str) -> str:
        """Return the path relative to the root.

        Raises:
            Damaged: There is no such image, or there are several.
        """
        if name in self._paths:
            return name
        found = self._by_name.get(name, [])
        if not found:
            raise Damaged(f"image '{name}' is not below {self.root}", Kind.MISSING)
        if len(found) > 1:
            raise Damaged(f"image '{name}' is there {len(found)} times: {found[0]}, {found[1]}; keep one")
        return found[0]

    def find_path(self, path: str) -> str:
        """Return a listed path, or the rest of it where the root is its first folder (`MURA-v1.1/train/…`).

        Raises:
            Damaged: There is no such image.
        """
        _, _, inner = path.partition("/")
        if inner in self._paths:
            return inner
        if path in self._paths:
            return path
        raise Damaged(f"image '{path}' is not below {self.root}", Kind.MISSING)

    def header(self, relative: str) -> Header:
        """Read what a file tells without its pixels.

        Raises:
            Damaged: The file is no image, or its pixel data is missing or cut off.
        """
        path = self.root / relative
        header = read_dicom_header(path) if path.suffix.lower() in DICOM else _picture_header(path)
        if header.problem:
            raise Damaged(f"{path}: {header.problem}")
        return header


def read_dicom_header(path: Path) -> Header:
    """Read the header of a DICOM image; pixel data that is missing or cut off is told in `problem`.

    Raises:
        Damaged: It is no DICOM file, or tells no size.
    """
    try:
        header = read_header(path, KEYWORDS)
    except UnreadableImage as error:
        raise Damaged(f"{path}: not a readable DICOM file") from error
    dataset = header.dataset
    size = integer(dataset, "Columns") or 0, integer(dataset, "Rows") or 0
    if min(size) < 1:
        raise Damaged(f"{path}: a DICOM file without Rows and Columns")
    uid, series, patient, view, modality = (text(dataset, keyword) for keyword in KEYWORDS[:5])
    return Header(size, uid, series, patient, view.upper(), modality, header.problem or "")


def watched(items: Iterable[Item], description: str, total: int | None = None) -> Iterable[Item]:
    """Go through items with a progress bar on stderr, which vanishes at the end."""
    return track(items, description=description, total=total, console=Console(stderr=True), transient=True)


def _picture_header(path: Path) -> Header:
    try:
        with open_picture(path) as image:
            return Header(image.size)
    except PICTURE_ERRORS as error:
        raise Damaged(f"{path}: not a readable picture") from error


def _walk(root: Path, suffixes: frozenset[str]) -> Iterable[str]:
    endings = tuple(suffixes)
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and name.lower().endswith(endings):
                yield (Path(folder) / name).relative_to(root).as_posix()
