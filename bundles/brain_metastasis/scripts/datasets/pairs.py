"""DICOM series with RT Structure Sets or DICOM Segmentations, as hospitals and archives export them.

Below one folder, in any order: MR series, each in a folder of its own, and mask objects anywhere. An object belongs to
the series that it names (SEG: Referenced Series Sequence; RTSTRUCT: RT Referenced Series Sequence); frame of reference
and geometry must agree (`bundles.common.masks`). Structure sets also hold the brain, eyes and skin: regions count by
their name, segments likewise. Series without a mask object are passed over and counted: nobody says that they are free
of metastases.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from pydicom.uid import UID

from bundles.brain_metastasis.scripts.datasets.drawn import drawn
from bundles.common.datalist.images import ANY, ImageFolder, watched
from bundles.common.datalist.problems import Damaged, DatalistError, Kind, Place, Problems
from bundles.common.datalist.records import Plain, Reading, VolumeRecord
from bundles.common.datalist.series import Slice, by_series, read_slice, series_of
from bundles.common.elements import text
from bundles.common.headers import UnreadableImage, read_header
from bundles.common.masks import rtstruct, segmentation
from bundles.common.masks.files import open_mask
from bundles.common.masks.grid import SourceGrid, UnusableMask, source_grid
from bundles.common.masks.regions import Mask

SUFFIXES = ANY
NAMES = r"met|gtv|tumou?r|lesion"
OBJECTS = {rtstruct.RT_STRUCTURE_SET, segmentation.SEGMENTATION, segmentation.LABEL_MAP}
MODALITY = "MR"


@dataclass(slots=True)
class _Export:
    """What lies below the folder.

    Attributes:
        slices: Images, by their folder.
        objects: Mask objects, and the series that each names.
        strangers: How many files are no DICOM, or DICOM of other kinds.
    """

    slices: dict[str, list[Slice]] = field(default_factory=lambda: defaultdict(list))
    objects: dict[str, Sequence[str]] = field(default_factory=dict)
    strangers: int = 0


def wanted_names(pattern: str) -> Callable[[str], bool]:
    """Return which names of regions count: a regular expression, found anywhere, of any case.

    Raises:
        DatalistError: It is no regular expression.
    """
    try:
        expression = re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise DatalistError(f"'{pattern}' is no regular expression: {error}") from error
    return lambda name: expression.search(name) is not None


def read(images: ImageFolder, made: Path, problems: Problems, names: str = NAMES) -> Reading:
    """Read the pairs.

    Args:
        images: The folder, files of any ending (`SUFFIXES`).
        made: Folder for the masks.
        problems: Receives what is wrong.
        names: Regular expression for the names of regions that are metastases.
    """
    wanted = wanted_names(names)
    export = _sorted_in(images, problems)
    groups = by_series(one for slices in export.slices.values() for one in slices)
    records: list[VolumeRecord] = []
    notes: list[str] = []
    drawn_on = _by_series(export, groups, images.root, problems)
    for uid, objects in watched(sorted(drawn_on.items()), "masks"):
        with problems.at(Place(images.root / objects[0], 0), _folder(groups[uid][0].file)):
            record, odd = _record(groups[uid], export, objects, images.root, made, wanted)
            records.append(record)
            notes += odd
    undrawn = len(set(groups) - set(drawn_on))
    if undrawn:
        notes.append(f"{undrawn} series have no mask object and were passed over")
    if export.strangers:
        notes.append(f"{export.strangers} files are neither images nor masks and were passed over")
    return Reading("DICOM with RTSTRUCT or SEG", (), tuple(records), (), tuple(notes), images.root)


def _sorted_in(images: ImageFolder, problems: Problems) -> _Export:
    export = _Export()
    for file in watched(images.files, "headers"):
        path = images.root / file
        if not _is_dicom(path):
            export.strangers += 1
            continue
        with problems.at(Place(path, 0), _folder(file)):
            try:
                header = read_header(path, ("SOPClassUID", "Rows"))
            except UnreadableImage as error:
                raise Damaged(str(error)) from error
            kind = text(header.dataset, "SOPClassUID") or text(header.dataset.file_meta, "MediaStorageSOPClassUID")
            if kind in OBJECTS:
                export.objects[file] = _drawn_on(path, kind)
            elif "Rows" in header.dataset or "Image Storage" in UID(kind).name:
                export.slices[_folder(file)].append(read_slice(images, file))
            else:
                export.strangers += 1
    return export


def _drawn_on(path: Path, kind: str) -> Sequence[str]:
    try:
        dataset = open_mask(path)
    except UnreadableImage as error:
        raise Damaged(str(error)) from error
    module = rtstruct if kind == rtstruct.RT_STRUCTURE_SET else segmentation
    found = list(dict.fromkeys(uid for uid in module.referenced_series(dataset) if uid))
    if not found:
        raise Damaged("it names no series on which it was drawn")
    return found


def _by_series(
    export: _Export, groups: Mapping[str, list[Slice]], root: Path, problems: Problems
) -> dict[str, list[str]]:
    """Return the mask objects of every series; of several that an object names, the MR series that are there."""
    found: dict[str, list[str]] = defaultdict(list)
    for file, uids in export.objects.items():
        there = [uid for uid in uids if uid in groups]
        if not there:
            words = f"the series {uids[0]} on which it was drawn is not below {root}"
            problems.add(Kind.MISSING, Place(root / file, 0), words, file)
        for uid in [uid for uid in there if groups[uid][0].frames[0].modality == MODALITY] or there:
            found[uid].append(file)
    return found


def _record(  # noqa: PLR0917
    slices: list[Slice],
    export: _Export,
    objects: Sequence[str],
    root: Path,
    made: Path,
    wanted: Callable[[str], bool],
) -> tuple[VolumeRecord, list[str]]:
    series = series_of(slices, root)
    folder = _folder(slices[0].file)
    if series.modality != MODALITY:
        raise Damaged(f"it was drawn on a series of modality {series.modality or '(none)'}, expected {MODALITY}")
    if not series.patient:
        raise Damaged(f"the series in {root / folder} tells no PatientID, and splits go by patient")
    _expect_own_folder(slices, export, root, folder)
    try:
        grid = source_grid([root / file for file in series.files])
        masks = [_mask(root / file, grid, wanted) for file in objects]
    except (UnusableMask, UnreadableImage) as error:
        raise Damaged(str(error)) from error
    labels = np.maximum.reduce([mask.labels for mask in masks])
    notes = [note for mask in masks for note in mask.notes]
    if not labels.any() and notes:
        raise Damaged(f"no voxel is marked: {'; '.join(notes)}")
    regions = sum(len(mask.regions) for mask in masks)
    file = made / f"{series.uid}_mask.nii.gz"
    more: Mapping[str, Plain] = {"series": series.uid, "regions": regions}
    place = Place(root / objects[0], 0)
    record = drawn(folder, folder, series.patient, place, labels, grid.affine_ras, file, more)
    return record, notes


def _mask(path: Path, grid: SourceGrid, wanted: Callable[[str], bool]) -> Mask:
    """Read the regions that count.

    Raises:
        Damaged: None does.
    """
    dataset = open_mask(path)
    if text(dataset, "SOPClassUID") == rtstruct.RT_STRUCTURE_SET:
        names, mask = rtstruct.region_names(dataset), rtstruct.read_rtstruct(path, grid, wanted)
    else:
        names, mask = segmentation.segment_names(dataset), segmentation.read_segmentation(path, grid, wanted)
    if not mask.regions:
        shown = ", ".join(f"'{name}'" for name in names.values()) or "none at all"
        raise Damaged(f"{path.name}: no region has the name of a metastasis; it has {shown}")
    return mask


def _expect_own_folder(slices: Sequence[Slice], export: _Export, root: Path, folder: str) -> None:
    """The datalist names a series by its folder, so that nothing else may lie in it."""
    others: Mapping[str, list[Slice]] = by_series(export.slices[folder])
    segmented = any(_folder(file) == folder for file in export.objects)
    if len(others) > 1 or segmented or any(_folder(one.file) != folder for one in slices):
        raise Damaged(f"the series in {root / folder} has no folder of its own; put its images alone into one")


def _folder(file: str) -> str:
    return PurePosixPath(file).parent.as_posix()


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False
