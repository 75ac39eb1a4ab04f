"""BraTS-METS: folders `BraTS-MET-00001-000` with `BraTS-MET-00001-000-{t1c,t1n,t2f,t2w,seg}.nii.gz`.

BraTS-METS team, arXiv 2306.00838. The first number is the patient, the second the examination; read are `t1c` (T1 after
contrast agent) and `seg`. From that description: 1 NETC (tumour core that does not enhance), 2 SNFH (edema and other
hyperintensity of FLAIR around it), 3 ET (enhancing tumour); releases from 2024 on also have 4 RC (resection cavity).

What counts as metastasis is chosen: by default 1 and 3, the tumour core, so that a ring-enhancing metastasis is one
lesion with its centre. Edema is no metastasis, and a cavity is none any more.

From people who compared the files: some patients are in the set under two numbers. Heads of different numbers whose
images begin with the same bytes are refused, since the two could be in two splits.
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from bundles.brain_metastasis.scripts.datasets.drawn import drawn
from bundles.common.datalist.images import NIFTI, ImageFolder, watched
from bundles.common.datalist.problems import Damaged, DatalistError, Kind, Place, Problems
from bundles.common.datalist.records import Reading, VolumeRecord
from bundles.common.datalist.volumes import check_pair, read_labels

SUFFIXES = NIFTI
CLASSES = {1: "NETC", 2: "SNFH", 3: "ET", 4: "RC"}
CORE = ("NETC", "ET")
FILE = re.compile(
    r"(?P<case>BraTS-MET-(?P<patient>[A-Za-z]*\d+)-(?P<visit>\d+))-(?P<kind>t1c|t1n|t2f|t2w|seg)\.nii(?:\.gz)?"
)
COMPARED_BYTES = 1 << 20


def read(images: ImageFolder, made: Path, problems: Problems, classes: Sequence[str] = CORE) -> Reading:
    """Read the set.

    Args:
        images: The folder of the cases, at any depth.
        made: Folder for the masks of metastasis.
        problems: Receives what is wrong.
        classes: Names in `CLASSES` that count as metastasis.

    Raises:
        DatalistError: No class, or one that the set does not have.
    """
    unknown = [name for name in classes if name not in CLASSES.values()]
    if unknown or not classes:
        raise DatalistError(f"classes of metastasis are {list(classes)}, expected some of {list(CLASSES.values())}")
    numbers = [number for number, name in CLASSES.items() if name in classes]
    cases, strangers = _cases(images, problems)
    records: list[VolumeRecord] = []
    seen: dict[str, VolumeRecord] = {}
    for case, files in watched(sorted(cases.items()), "heads"):
        place = Place(images.root / min(files.values()), 0)
        with problems.at(place, case):
            record = _record(case, files, images, made, place, numbers)
            first = seen.setdefault(_beginning(images.root / record.image), record)
            if first.patient != record.patient:
                raise Damaged(f"the same image as {first.key}, of another patient; keep one of both")
            records.append(record)
    notes = [f"metastasis is {' and '.join(classes)}"]
    if strangers:
        notes.append(f"{strangers} files have other names than BraTS-MET-00001-000-t1c.nii.gz and were passed over")
    return Reading("BraTS-METS", (), tuple(records), (), tuple(notes), images.root)


def _cases(images: ImageFolder, problems: Problems) -> tuple[dict[str, dict[str, str]], int]:
    """Return paths by case and kind, and how many files have other names."""
    cases: dict[str, dict[str, str]] = {}
    strangers = 0
    for file in images.files:
        parts = FILE.fullmatch(PurePosixPath(file).name)
        if parts is None:
            strangers += 1
            continue
        first = cases.setdefault(parts["case"], {}).setdefault(parts["kind"], file)
        if first != file:
            words = f"'{parts['kind']}' is there twice: also {images.root / first}; keep one"
            problems.add(Kind.DAMAGED, Place(images.root / file, 0), words, parts["case"])
    return cases, strangers


def _record(  # noqa: PLR0917
    case: str, files: dict[str, str], images: ImageFolder, made: Path, place: Place, numbers: Sequence[int]
) -> VolumeRecord:
    absent = [kind for kind in ("t1c", "seg") if kind not in files]
    if absent:
        raise Damaged(f"{case} has no {' and no '.join(absent)}", Kind.MISSING)
    mask = images.root / files["seg"]
    grid = check_pair(images.root / files["t1c"], mask)
    labels, _ = read_labels(mask, CLASSES)
    parts = FILE.fullmatch(PurePosixPath(files["t1c"]).name)
    assert parts is not None  # noqa: S101  # its name brought it in
    chosen = np.where(np.isin(labels, numbers), labels, 0)
    more = {"visit": parts["visit"]}
    file = made / f"{case}_mask.nii.gz"
    return drawn(case, files["t1c"], parts["patient"], place, chosen, grid.affine, file, more)


def _beginning(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.sha256(file.read(COMPARED_BYTES)).hexdigest()
