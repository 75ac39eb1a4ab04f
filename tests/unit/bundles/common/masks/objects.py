"""Series of any orientation, structure sets and segmentations on them, and slow obvious ways to fill outlines."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from bundles.common.masks.grid import SourceGrid, source_grid
from tests.unit.bundles.common.dicom import SERIES, ct_stack, save

SPACE = "1.2.826.0.1.3680043.8.498.7"
Floats = npt.NDArray[np.float64]


def orientation_of(angles: Sequence[float]) -> tuple[float, ...]:
    """Six direction cosines of slices turned about x, y and z, in degrees."""
    turn = np.eye(3)
    for axis, angle in enumerate(np.radians(angles)):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        one = np.eye(3)
        one[a, a] = one[b, b] = np.cos(angle)
        one[a, b], one[b, a] = -np.sin(angle), np.sin(angle)
        turn = one @ turn
    return tuple(turn[:, 0]) + tuple(turn[:, 1])


def series(
    folder: Path, orientation: Sequence[float], positions: Sequence[float] = (0, 5, 10, 15), tilt_deg: float = 0.0
) -> tuple[list[FileDataset], list[Path]]:
    """A CT series with all that a document on it needs; files in an order that tells nothing."""
    datasets = ct_stack(positions, orientation, tilt_deg, FrameOfReferenceUID=SPACE)
    for dataset in datasets:
        for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"):
            setattr(dataset, keyword, "")
        dataset.StudyID = dataset.AccessionNumber = dataset.ReferringPhysicianName = ""
        dataset.SeriesNumber, dataset.FrameOfReferenceUID = 1, SPACE
    order = list(range(len(datasets)))[::-1]
    return datasets, save(folder, datasets, order)


def structure_set(
    path: Path,
    regions: Sequence[tuple[str, Sequence[Floats]]],
    *,
    space: str = SPACE,
    kind: str = "CLOSED_PLANAR",
    on: str = SERIES,
) -> Path:
    """An RT Structure Set: names, and outlines as (points, 3) LPS millimetres."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.Modality = "1.2", generate_uid(), "RTSTRUCT"
    dataset.StructureSetROISequence = [
        _item(ROINumber=number, ROIName=name, ReferencedFrameOfReferenceUID=space)
        for number, (name, _) in enumerate(regions, 1)
    ]
    drawn_on = _item(RTReferencedSeriesSequence=[_item(SeriesInstanceUID=on)])
    dataset.ReferencedFrameOfReferenceSequence = [
        _item(FrameOfReferenceUID=space, RTReferencedStudySequence=[drawn_on])
    ]
    dataset.ROIContourSequence = [
        _item(
            ReferencedROINumber=number,
            ContourSequence=[
                _item(
                    ContourGeometricType=kind,
                    NumberOfContourPoints=len(points),
                    ContourData=[f"{value:.6f}" for value in np.ravel(points)],
                )
                for points in outlines
            ],
        )
        for number, (_, outlines) in enumerate(regions, 1)
    ]
    dataset.save_as(path, enforce_file_format=True)
    return path


def outline(grid: SourceGrid, slice_index: int, corners: Sequence[tuple[float, float]]) -> Floats:
    """(points, 3) LPS of corners (column, row), written out from the header of the slice."""
    geometry = grid.geometry
    origin, spacing = np.asarray(geometry.origins[slice_index]), geometry.pixel_spacing_mm
    along, down = np.asarray(geometry.row_direction), np.asarray(geometry.column_direction)
    return np.asarray([origin + along * spacing[1] * x + down * spacing[0] * y for x, y in corners])


def inside(x: float, y: float, corners: Sequence[tuple[float, float]]) -> bool:
    """Even-odd rule for one point, edge by edge."""
    crossed = False
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if (y0 <= y) != (y1 <= y) and x >= x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            crossed = not crossed
    return crossed


def doubtful(x: float, y: float, corners: Sequence[tuple[float, float]]) -> bool:
    """Whether a point lies so near to an edge that rounding decides."""
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        along = np.asarray((x1 - x0, y1 - y0))
        share = np.clip(np.dot((x - x0, y - y0), along) / max(np.dot(along, along), 1e-9), 0, 1)
        if np.hypot(*(np.asarray((x0, y0)) + share * along - (x, y))) < 0.01:
            return True
    return False


def segmentation(
    path: Path,
    sources: Sequence[Dataset],
    masks: npt.NDArray[Any],
    kind: str = "BINARY",
    **options: Any,
) -> Path:
    """A Segmentation by highdicom: (slices, rows, columns) numbers of segments, slices as the sources."""
    algorithm = hd.AlgorithmIdentificationSequence("drawn by hand", codes.DCM.ArtificialIntelligence, "1")
    count = int(masks.max()) if masks.ndim == 3 and masks.dtype.kind == "u" else 1
    descriptions = [
        hd.seg.SegmentDescription(
            number,
            f"lesion {number}",
            codes.SCT.MorphologicallyAbnormalStructure,
            codes.SCT.Lesion,
            hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm,
        )
        for number in range(1, max(count, 1) + 1)
    ]
    made = hd.seg.Segmentation(
        source_images=list(sources),
        pixel_array=masks,
        segmentation_type=kind,
        segment_descriptions=descriptions,
        series_instance_uid=generate_uid(),
        series_number=9,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="Test",
        manufacturer_model_name="Test",
        software_versions="1",
        device_serial_number="1",
        **options,
    )
    made.save_as(path)
    return path


def grid_of(folder: Path, orientation: Sequence[float], **more: Any) -> tuple[list[FileDataset], SourceGrid]:
    datasets, paths = series(folder, orientation, **more)
    return datasets, source_grid(paths)


def _item(**elements: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset
