"""Series in any position with a mask, and what a bundle says of them, for the tests of segmentations."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import EnhancedCTImageStorage

from app.assemble import assemble
from app.findings import Algorithm, Finding, Presence, Report, SliceScore
from app.infer.lesions import Outlined, outlined
from app.masks import keep, mask_file
from app.study import Study
from bundles.common.contract import SegmentationOutput
from bundles.common.geometry import StackGeometry, plane_of
from tests.unit.report.factory import head, make_report, make_study, write_ct

METASTASES = Algorithm(
    "brain_metastasis", "0.1.0", "cd" * 32, "phantom heads, generator 1", "research", "Brain metastases in MR"
)
LESIONS = SegmentationOutput()
REGION = SegmentationOutput(kind="region", scores=None)
SCORES = (0.9375, 0.5)


def lesion_mask(columns: int = 64, rows: int = 64, slices: int = 4) -> NDArray[np.int32]:
    """(columns, rows, slices): a box over three slices, and a smaller one in the last; unlike in every direction."""
    mask = np.zeros((columns, rows, slices), np.int32)
    mask[20:31, 12:18, 1:4] = 1
    mask[22, 18, 2] = 1
    mask[50:53, 40:45, slices - 1] = 2
    return mask


def lesion_report(
    study: Study,
    folder: Path,
    mask: NDArray[np.int32] | None = None,
    output: SegmentationOutput = LESIONS,
    kind: str = "brain_metastasis",
    **changes: Any,
) -> Report:
    """What a bundle says of the mask of a study's first series; the mask is kept in `folder`."""
    series = study.series[0]
    uids = [each.sop_instance_uid for each in series.instances for _ in range(max(each.frames, 1))]
    mask = lesion_mask(slices=len(uids)) if mask is None else mask
    scores = None if output.scores is None else [*SCORES, *[0.25] * 300]
    found: Outlined = outlined(output, mask, scores, series)
    slices = tuple(SliceScore(uid, index, 0.875 if mask[..., index].any() else 0.125) for index, uid in enumerate(uids))
    finding = Finding(kind, Presence.PRESENT, 0.9375, 0.5, True, slices, lesions=found.lesions)
    values = {
        "algorithm": METASTASES,
        "findings": (finding,),
        "notes": (),
        "study_uid": study.uid,
        "series_uid": series.uid,
    }
    report = make_report(**(values | changes))
    keep(mask_file(folder, report.algorithm.name, report.series_uid, report.stack), {kind: found.volume})
    return report


def turned_study(
    folder: Path,
    directions: Sequence[Sequence[float]],
    step: Sequence[float],
    *,
    rows: int = 10,
    columns: int = 12,
    spacing: tuple[float, float] = (0.5, 0.75),
    slices: int = 5,
    places: Sequence[float] | None = None,
) -> Study:
    """A series whose slices follow each other by `step`, along the normal; written in an order of its own.

    Args:
        folder: For the files.
        directions: Along increasing column and row index, unit vectors.
        step: From slice to slice, millimetres; tilted where it is not along the normal.
        rows, columns, slices: Size.
        spacing: Between rows, between columns.
        places: How many steps each slice lies from the first; None for even ones.
    """
    study = make_study(folder / "first", slices=1)
    folder.mkdir(parents=True, exist_ok=True)
    along = list(range(slices)) if places is None else list(places)
    origins = [tuple(float(v) for v in np.array([-31.25, 12.5, 7.0]) + np.array(step) * at) for at in along]
    instances = tuple(
        write_ct(
            folder / f"{index}.dcm",
            index,
            head(16)[:rows, :columns],
            headers={
                "ImageOrientationPatient": [float(v) for v in (*directions[0], *directions[1])],
                "ImagePositionPatient": list(origin),
                "PixelSpacing": list(spacing),
            },
        )
        for index, origin in enumerate(origins)
    )
    row, column = ((float(v[0]), float(v[1]), float(v[2])) for v in directions)
    geometry = StackGeometry(
        rows=rows,
        columns=columns,
        row_direction=row,
        column_direction=column,
        pixel_spacing_mm=spacing,
        origins=tuple((o[0], o[1], o[2]) for o in origins),
        plane=plane_of(np.cross(row, column)),
    )
    return replace(study, series=(replace(study.series[0], instances=instances, geometry=geometry),))


def enhanced_study(folder: Path, places: Sequence[float] = (10, 0, 5, 15)) -> Study:
    """An enhanced CT: one file with frames at these heights, millimetres, each a single grey of its own."""
    folder.mkdir(parents=True)
    write_ct(folder / "0.dcm")
    image = dcmread(folder / "0.dcm")
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    image.NumberOfFrames = len(places)
    frames = np.stack([np.full((64, 64), 1024 + round(place), np.int16) for place in places])
    image.PixelData = frames.tobytes()
    shared, measures, orientation, values = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, orientation.ImageOrientationPatient = image.PixelSpacing, image.ImageOrientationPatient
    values.RescaleSlope, values.RescaleIntercept = 1, -1024
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    shared.PixelValueTransformationSequence = [values]
    image.SharedFunctionalGroupsSequence = [shared]
    image.PerFrameFunctionalGroupsSequence = []
    for place in places:
        item, position = Dataset(), Dataset()
        position.ImagePositionPatient = [-110, -110, place]
        item.PlanePositionSequence = [position]
        image.PerFrameFunctionalGroupsSequence.append(item)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(image, keyword)
    image.save_as(folder / "0.dcm", enforce_file_format=True)
    return assemble([folder / "0.dcm"])
