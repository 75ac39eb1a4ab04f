"""Stanford BrainMetShare: `mets_stanford_releaseMask_train/Mets_005/{0,1,2,3,seg}/17.png`, a slice a picture.

Grøvik et al., J. Magn. Reson. Imaging 51 (2020) 175. Pictures have no geometry; all of it is from descriptions, not
from the files. Public code that reads the set says: `0` is T1 gradient echo after contrast agent (BRAVO), `1` T1 spin
echo before, `2` T1 spin echo after, `3` FLAIR after, `seg` 0 or 255; 256 × 256 pixels; slices by the numbers of the
pictures. Read is `0`, the one nearest to an MPRAGE, or `2`. That code takes 0.94 × 0.94 × 1 mm, and one reader doubts
it; our 0.9375 is 240 mm over 256 pixels. `spacing_mm` changes it.

Assumed, and to be looked at before use: pictures are axial as radiologists look at them (up is anterior, left is the
patient's right), and numbers rise from inferior to superior. `from_top` is for the other way round. A folder is a
patient. Each head is written as one NIfTI file and one mask.
"""

import re
from collections import defaultdict
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundles.brain_metastasis.scripts.datasets.drawn import drawn
from bundles.common.datalist.images import PICTURES, ImageFolder, watched
from bundles.common.datalist.problems import Damaged, DatalistError, Kind, Place, Problems
from bundles.common.datalist.records import Reading, VolumeRecord
from bundles.common.datalist.volumes import write_volume
from bundles.common.geometry import Matrix
from bundles.common.headers import UnreadableImage
from bundles.common.plain import read_picture

SUFFIXES = PICTURES
FILE = re.compile(r"(?:.*/)?(?P<case>[^/]+)/(?P<kind>[0-3]|seg)/(?P<number>\d+)\.[a-z]+", re.IGNORECASE)
SPACING_MM = (0.9375, 0.9375, 1.0)
MAX_PIXELS = 4096 * 4096


class Sequence(StrEnum):
    """Which T1 after contrast agent is read."""

    GRADIENT_ECHO = "gradient-echo"
    SPIN_ECHO = "spin-echo"

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return {"gradient-echo": "0", "spin-echo": "2"}[self.value]


def parse_spacing(text: str) -> tuple[float, float, float]:
    """Read `0.9375,0.9375,1`: millimetres between columns, rows and slices.

    Raises:
        DatalistError: It is something else.
    """
    try:
        columns, rows, slices = (float(part) for part in text.split(","))
    except ValueError as error:
        raise DatalistError(f"the spacing is '{text}', expected three numbers such as 0.9375,0.9375,1") from error
    if not all(0.1 <= part <= 20 for part in (columns, rows, slices)):
        raise DatalistError(f"the spacing is '{text}', expected millimetres from 0.1 to 20")
    return columns, rows, slices


def read(
    images: ImageFolder,
    made: Path,
    problems: Problems,
    *,
    sequence: Sequence = Sequence.GRADIENT_ECHO,
    spacing_mm: tuple[float, float, float] = SPACING_MM,
    from_top: bool = False,
) -> Reading:
    """Read the set.

    Args:
        images: The folder of the cases, at any depth.
        made: Folder for the volumes and masks.
        problems: Receives what is wrong.
        sequence: Which images.
        spacing_mm: Between columns, rows and slices.
        from_top: Numbers rise from superior to inferior.
    """
    affine = _affine(spacing_mm, from_top)
    cases, strangers = _cases(images, problems)
    records = []
    for case, kinds in watched(sorted(cases.items()), "heads"):
        place = Place(images.root / min(min(files.values()) for files in kinds.values()), 0)
        with problems.at(place, case):
            records.append(_record(case, kinds, images.root, made, affine, sequence, place))
    shown = " × ".join(f"{part:g}" for part in spacing_mm)
    order = "superior to inferior" if from_top else "inferior to superior"
    notes = [f"the spacing is taken to be {shown} mm, slices from {order}; the pictures do not tell"]
    if strangers:
        notes.append(f"{strangers} pictures are not in a folder 0, 1, 2, 3 or seg and were passed over")
    return Reading("Stanford BrainMetShare", (), tuple(records), (), tuple(notes), images.root)


def _affine(spacing_mm: tuple[float, float, float], from_top: bool) -> Matrix:
    columns, rows, slices = spacing_mm
    return np.diag([-columns, -rows, -slices if from_top else slices, 1.0])


def _cases(images: ImageFolder, problems: Problems) -> tuple[dict[str, dict[str, dict[int, str]]], int]:
    """Return paths by case, kind and number, and how many pictures are elsewhere."""
    cases: dict[str, dict[str, dict[int, str]]] = defaultdict(lambda: defaultdict(dict))
    strangers = 0
    for file in images.files:
        parts = FILE.fullmatch(file)
        if parts is None:
            strangers += 1
            continue
        first = cases[parts["case"]][parts["kind"].lower()].setdefault(int(parts["number"]), file)
        if first != file:
            words = f"slice {parts['number']} is there twice: also {images.root / first}; keep one"
            problems.add(Kind.DAMAGED, Place(images.root / file, 0), words, parts["case"])
    return cases, strangers


def _record(  # noqa: PLR0917
    case: str,
    kinds: dict[str, dict[int, str]],
    root: Path,
    made: Path,
    affine: Matrix,
    sequence: Sequence,
    place: Place,
) -> VolumeRecord:
    absent = [kind for kind in (sequence.folder, "seg") if kind not in kinds]
    if absent:
        raise Damaged(f"{case} has no folder {' and no '.join(absent)}", Kind.MISSING)
    pictures, masks = kinds[sequence.folder], kinds["seg"]
    if set(pictures) != set(masks):
        odd = min(set(pictures) ^ set(masks))
        raise Damaged(f"{case} has slice {odd} in only one of the folders {sequence.folder} and seg", Kind.MISSING)
    numbers = sorted(pictures)
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        gap = next(number for number in range(numbers[0], numbers[-1]) if number not in pictures)
        raise Damaged(f"{case} has no slice {gap}", Kind.MISSING)
    values = _stack([root / pictures[number] for number in numbers])
    marks = _stack([root / masks[number] for number in numbers])
    if values.shape != marks.shape:
        raise Damaged(f"{case}: images of {values.shape} and masks of {marks.shape} columns, rows and slices")
    if len(np.unique(marks)) > 2:
        raise Damaged(f"{case}: the mask has {len(np.unique(marks))} grey values, expected black and one other")
    image = write_volume(made / f"{case}.nii.gz", values, affine)
    mask = made / f"{case}_mask.nii.gz"
    return drawn(case, str(image), case, place, marks.astype(np.int32), affine, mask, {"sequence": sequence.value})


def _stack(paths: list[Path]) -> NDArray[np.float32]:
    """Return pictures as (columns, rows, slices)."""
    slices: list[NDArray[np.float32]] = []
    for path in paths:
        try:
            slices.append(read_picture(path, MAX_PIXELS)[0])
        except UnreadableImage as error:
            raise Damaged(f"{path}: {str(error).removeprefix(f'{path.name}: ')}") from error
        if slices[-1].shape != slices[0].shape:
            raise Damaged(f"{path}: {slices[-1].shape} rows and columns, the slices before have {slices[0].shape}")
    return np.stack(slices).transpose(2, 1, 0)
