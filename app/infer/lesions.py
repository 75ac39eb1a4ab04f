"""From the mask of a network to lesions of a finding, measured in the geometry of the source series."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from app.errors import Failed
from app.findings import Finding, Lesion, LesionKind, Presence
from app.infer.results import Numbers, output_of, probability, sources
from app.masks import Labels, LabelVolume
from app.study import Series
from bundles.common import geometry as space
from bundles.common.contract import SegmentationOutput, Service
from bundles.common.geometry import StackGeometry
from bundles.common.lesions import corners, measure

UNEVEN = 0.01
"""Largest share by which the gaps of a stack differ before each slice is measured by its own gaps."""
BLOCK = 512
LARGEST = 2**16


@dataclass(frozen=True, slots=True, eq=False)
class Outlined:
    """What a mask shows.

    Attributes:
        lesions: By number.
        volume: Their voxels, under the same numbers.
        notes: In words, for people.
    """

    lesions: tuple[Lesion, ...]
    volume: LabelVolume
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """Findings with their lesions, and the masks of those that have some.

    Attributes:
        findings: In the order of the contract.
        volumes: By the kind of finding.
        notes: In words, for people.
    """

    findings: tuple[Finding, ...]
    volumes: Mapping[str, LabelVolume]
    notes: tuple[str, ...] = ()


def with_lesions(
    contract: Service, findings: Sequence[Finding], numbers: Numbers, masks: Mapping[str, Any], series: Series
) -> Findings:
    """Add to each finding that is present what its mask shows.

    The mask of one that is absent is read too: a network that gives no sound mask is not believed in its other answers
    either.

    Args:
        contract: Says which mask is of which finding.
        findings: Of `contract`, in its order.
        numbers: Every other output that the contract names, flattened.
        masks: Every mask that the contract names, by key.
        series: What was analysed.

    Raises:
        Failed: A mask or its scores are missing, or are none; see `outlined`.
    """
    told: list[Finding] = []
    volumes: dict[str, LabelVolume] = {}
    notes: list[str] = []
    for output, finding in zip(contract.findings, findings, strict=True):
        wanted = output.segmentation
        if wanted is None:
            told.append(finding)
            continue
        if wanted.mask not in masks:
            raise Failed(f"the bundle's postprocessing gave no '{wanted.mask}', its mask of {finding.kind}")
        scored = wanted.kind == "lesions" and wanted.scores is not None
        scores = output_of(numbers, wanted.scores or "") if scored else None
        found = outlined(wanted, masks[wanted.mask], scores, series)
        if finding.presence is Presence.PRESENT and found.lesions:
            told.append(replace(finding, lesions=found.lesions))
            volumes[finding.kind] = found.volume
            notes += found.notes
        else:
            told.append(finding)
    return Findings(tuple(told), volumes, tuple(notes))


def outlined(output: SegmentationOutput, mask: Any, scores: Sequence[float] | None, series: Series) -> Outlined:
    """Read the mask of a finding that is present.

    Args:
        output: Which of its numbers are of this finding, and how many are told of.
        mask: Integers (columns, rows, slices), one leading channel allowed: an array or a tensor.
        scores: Certainty of lesion n at n - 1; None where the contract names none.
        series: What was analysed.

    Raises:
        Failed: The mask does not lie on the grid of the series, is not of whole numbers from 0, has numbers without a
            score, or a score is no probability.
    """
    geometry = series.geometry
    if geometry is None:
        raise Failed("the series has no place in the patient, so a mask of it has none either")
    array = _on_the_grid(output.mask, mask, geometry)
    used = _used(output.mask, array)
    numbers, notes = _numbers(output, used.numbers, scores)
    volume = _renumbered(array, used.box, numbers)
    counts = _voxels_by_slice(volume, len(numbers))
    measured = _measured(volume, geometry)
    of_region = output.kind == "region"
    uids = sources(series.instances)
    lesions = []
    for number, (source, about) in enumerate(zip(numbers, measured, strict=True), 1):
        index = volume.start[0] + _fullest(counts[:, number])
        lesions.append(
            Lesion(
                number=number,
                volume_mm3=about.volume_mm3,
                longest_diameter_mm=None if of_region else about.longest_diameter_mm,
                centre_mm=about.centre_mm,
                sop_instance_uid=uids[index],
                index=index,
                certainty=None if scores is None or of_region else probability(scores[source - 1], output.scores or ""),
                kind=LesionKind.REGION if of_region else LesionKind.LESION,
            )
        )
    return Outlined(tuple(lesions), volume, notes)


@dataclass(frozen=True, slots=True)
class _Measured:
    volume_mm3: float
    longest_diameter_mm: float
    centre_mm: tuple[float, float, float]


def _on_the_grid(key: str, mask: Any, geometry: StackGeometry) -> NDArray[np.generic]:
    """The mask as it lies in memory, (columns, rows, slices)."""
    array: NDArray[np.generic] = np.asarray(mask)
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    expected = (geometry.columns, geometry.rows, len(geometry.origins))
    if array.shape != expected:
        raise Failed(f"output '{key}' has the shape {array.shape}, the series has (columns, rows, slices) {expected}")
    return array


@dataclass(frozen=True, slots=True)
class _Used:
    """The numbers of a mask, and the box (columns, rows, slices) that holds them."""

    numbers: list[int]
    box: tuple[slice, slice, slice]


def _used(key: str, array: NDArray[np.generic]) -> _Used:
    """Look at every voxel once, a column at a time as they lie in memory: slice by slice would take ten times as long,
    and all at once twice the memory.
    """
    columns, rows, slices = (np.zeros(size, bool) for size in array.shape)
    numbers: set[int] = set()
    for index, plane in enumerate(array):
        if not _whole(plane):
            raise Failed(f"output '{key}' is no mask of whole numbers from 0")
        inside = plane != 0
        columns[index] = inside.any()
        if columns[index]:
            rows |= inside.any(axis=1)
            slices |= inside.any(axis=0)
            numbers.update(int(value) for value in np.unique(plane[inside]))
    first, second, third = (_span(flags) for flags in (columns, rows, slices))
    return _Used(sorted(numbers), (first, second, third))


def _whole(plane: NDArray[np.generic]) -> bool:
    kind = plane.dtype.kind
    if kind in "bu":
        return True
    if kind == "i":
        return bool(plane.min(initial=0) >= 0)
    # Infinity is its own floor, and larger than any number of a lesion.
    return kind == "f" and bool((plane == np.floor(plane)).all() and plane.min() >= 0 and plane.max() <= LARGEST)


def _span(flags: NDArray[np.bool_]) -> slice:
    places = np.flatnonzero(flags)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)


def _numbers(
    output: SegmentationOutput, found: list[int], scores: Sequence[float] | None
) -> tuple[list[int], tuple[str, ...]]:
    """Which numbers of a mask are told of, in their order; one without a voxel was lost on the way to this grid."""
    if output.kind == "region":
        return [number for number in found if number == output.value], ()
    if scores is not None and found and found[-1] > len(scores):
        raise Failed(f"output '{output.mask}' has a lesion {found[-1]}, '{output.scores}' only {len(scores)} scores")
    if len(found) <= output.limit:
        return found, ()
    return found[: output.limit], (f"{len(found)} lesions were outlined; the first {output.limit} are reported",)


def _renumbered(array: NDArray[np.generic], box: tuple[slice, slice, slice], numbers: Sequence[int]) -> LabelVolume:
    """The wanted numbers as 1, 2, 3 …, cropped to a box."""
    table = np.zeros(max(numbers, default=0) + 2, np.uint8)
    table[list(numbers)] = np.arange(1, len(numbers) + 1, dtype=np.uint8)
    cropped = array[box]
    labels: Labels = np.empty(cropped.shape, np.uint8)
    for target, plane in zip(labels, cropped, strict=True):
        target[:] = table[np.minimum(plane, len(table) - 1).astype(np.intp)]
    return LabelVolume(
        np.ascontiguousarray(labels.transpose(2, 1, 0)),
        (box[2].start, box[1].start, box[0].start),
        (array.shape[2], array.shape[1], array.shape[0]),
    )


def _voxels_by_slice(volume: LabelVolume, numbers: int) -> NDArray[np.intp]:
    """(slices of the box, 1 + numbers)."""
    counts = [np.bincount(plane.ravel(), minlength=numbers + 1) for plane in volume.labels]
    return np.array(counts, dtype=np.intp).reshape(-1, numbers + 1)


def _measured(volume: LabelVolume, geometry: StackGeometry) -> tuple[_Measured, ...]:
    """Of every number, with an affine where one is exact, else slice by slice."""
    gaps = space.gaps_mm(geometry)
    if len(gaps) and float(gaps.max() - gaps.min()) > UNEVEN * float(np.median(gaps)):
        return tuple(_slice_by_slice(volume, geometry, n) for n in range(1, int(volume.labels.max(initial=0)) + 1))
    if not volume.labels.size:
        return ()
    matrix = space.affine(geometry)
    matrix[:3, 3] += matrix[:3, :3] @ np.asarray(volume.start[::-1], dtype=np.float64)
    found = measure(volume.labels.transpose(2, 1, 0), matrix)
    return tuple(_Measured(each.volume_mm3, each.longest_diameter_mm, each.centre_mm) for each in found)


def _slice_by_slice(volume: LabelVolume, geometry: StackGeometry, number: int) -> _Measured:
    """Measure a lesion in a stack of varying spacing: a slice stands for half the gap on either side of it."""
    gaps = space.gaps_mm(geometry)
    before, after = np.concatenate((gaps[:1], gaps)), np.concatenate((gaps, gaps[-1:]))
    thickness = (before + after) / 2
    first, row, column = volume.start
    points, weights, hull = [], [], []
    for index, plane in enumerate(volume.labels, first):
        rows, columns = np.nonzero(plane == number)
        if not len(rows):
            continue
        rim = corners(np.stack((columns, rows, np.zeros_like(rows)), axis=1))
        hull += [space.point(geometry, index, row + y, column + x) for x, y, _ in rim.tolist()]
        points.append(space.point(geometry, index, row + float(rows.mean()), column + float(columns.mean())))
        weights.append(len(rows) * float(thickness[index]))
    x, y, z = np.average(points, axis=0, weights=weights)
    far = np.asarray(hull)
    return _Measured(
        volume_mm3=sum(weights) * geometry.pixel_spacing_mm[0] * geometry.pixel_spacing_mm[1],
        longest_diameter_mm=max(float(cdist(far[at : at + BLOCK], far).max()) for at in range(0, len(far), BLOCK)),
        centre_mm=(float(x), float(y), float(z)),
    )


def _fullest(counts: NDArray[np.intp]) -> int:
    """The slice that shows most of a lesion, of equals the middle one."""
    fullest = np.flatnonzero(counts == counts.max())
    return int(fullest[(len(fullest) - 1) // 2])
