import tracemalloc
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.errors import Failed
from app.findings import Finding, LesionKind, Presence
from app.infer.lesions import outlined, with_lesions
from app.study import Instance, Series
from bundles.common.contract import FindingOutput, SegmentationOutput, Service
from bundles.common.geometry import StackGeometry, point

LESIONS = SegmentationOutput()
REGION = SegmentationOutput(kind="region", value=2)


def series(places: tuple[float, ...] = (0, 3, 6, 9, 12, 15), tilt: float = 0.0) -> Series:
    """Slices of 8 rows and 10 columns; `tilt` moves each along the rows, per millimetre."""
    geometry = StackGeometry(
        rows=8,
        columns=10,
        row_direction=(0.8, 0.6, 0.0),
        column_direction=(-0.6, 0.8, 0.0),
        pixel_spacing_mm=(0.5, 0.75),
        origins=tuple((5.0, -7.0 + tilt * z, float(z)) for z in places),
        plane="axial",
    )
    instances = tuple(Instance(Path(), f"1.2.{n}", "1.2", "1.2", "") for n in range(len(places)))
    return Series("1.2.3", 0, "CT", instances, {}, geometry)


def mask() -> NDArray[np.int32]:
    """(columns, rows, slices): a rod over three slices, and one voxel."""
    array = np.zeros((10, 8, 6), np.int32)
    array[2:5, 3, 1:4] = 1
    array[2:7, 4, 2] = 1
    array[9, 7, 5] = 2
    return array


def slowly(array: NDArray[np.int32], number: int, of: Series) -> tuple[float, float, NDArray[np.float64]]:
    """Volume, longest diameter and centre, voxel by voxel: half the gap to either neighbour for each slice."""
    assert of.geometry is not None
    geometry = of.geometry
    heights = [origin[2] for origin in geometry.origins]
    points, weights = [], []
    for column, row, index in zip(*np.nonzero(array == number), strict=True):
        below = heights[index] - heights[index - 1] if index else heights[1] - heights[0]
        last = index == len(heights) - 1
        above = heights[-1] - heights[-2] if last else heights[index + 1] - heights[index]
        points.append(np.array(point(geometry, index, row, column)))
        weights.append((below + above) / 2 * 0.5 * 0.75)
    longest = max((float(np.linalg.norm(a - b)) for a, b in combinations(points, 2)), default=0.0)
    return sum(weights), longest, np.average(points, axis=0, weights=weights)


@pytest.mark.parametrize("tilt", [0.0, 0.4])
@pytest.mark.parametrize("places", [(0, 3, 6, 9, 12, 15), (0, 3, 6, 9, 19, 29), (0, 5, 10, 12.5, 15, 17.5)])
def test_measures_as_one_would_voxel_by_voxel(places: tuple[float, ...], tilt: float) -> None:
    of = series(places, tilt)
    found = outlined(LESIONS, mask(), [0.9, 0.4], of)
    assert [(each.number, each.certainty, each.index, each.kind) for each in found.lesions] == [
        (1, 0.9, 2, LesionKind.LESION),
        (2, 0.4, 5, LesionKind.LESION),
    ]
    for each in found.lesions:
        volume, longest, centre = slowly(mask(), each.number, of)
        assert each.volume_mm3 == pytest.approx(volume)
        assert each.longest_diameter_mm == pytest.approx(longest)
        assert each.centre_mm == pytest.approx(tuple(centre))
        assert each.sop_instance_uid == of.instances[each.index].sop_instance_uid


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 479), max_size=30, unique=True), st.data())
def test_the_volume_holds_the_mask_voxel_by_voxel(places: list[int], data: st.DataObject) -> None:
    flat = np.zeros(480, np.int32)
    for place in places:
        flat[place] = data.draw(st.integers(0, 4))
    array = flat.reshape(10, 8, 6)
    found = outlined(LESIONS, array, None, series())
    present = sorted(set(array.ravel().tolist()) - {0})
    assert [each.number for each in found.lesions] == list(range(1, len(present) + 1))
    whole = found.volume.whole()
    assert whole.shape == (6, 8, 10)
    for number, source in enumerate(present, 1):
        assert ((whole == number) == (array == source).transpose(2, 1, 0)).all()
    assert all((found.volume.slice_at(index) == whole[index]).all() for index in range(6))


def test_a_region_is_all_that_has_its_value_and_has_no_diameter() -> None:
    (region,) = outlined(REGION, mask().astype(np.float32)[None], None, series()).lesions
    assert (region.kind, region.number, region.certainty, region.longest_diameter_mm) == (
        LesionKind.REGION,
        1,
        None,
        None,
    )
    assert region.volume_mm3 == pytest.approx(3 * 0.5 * 0.75)


def test_of_very_many_lesions_the_first_are_told_of() -> None:
    found = outlined(SegmentationOutput(limit=1), mask(), [0.9, 0.4], series())
    assert (len(found.lesions), found.volume.whole().max()) == (1, 1)
    assert found.notes == ("2 lesions were outlined; the first 1 are reported",)


@pytest.mark.parametrize(
    ("array", "scores", "words"),
    [
        (mask()[:, :, :5], [0.9, 0.4], "has the shape"),
        (mask().transpose(2, 1, 0), [0.9, 0.4], "has the shape"),
        (mask() - 1, [0.9, 0.4], "no mask of whole numbers"),
        (mask() + 0.5, [0.9, 0.4], "no mask of whole numbers"),
        (np.where(mask() > 0, np.nan, 0), [0.9, 0.4], "no mask of whole numbers"),
        (np.where(mask() > 0, np.inf, 0), [0.9, 0.4], "no mask of whole numbers"),
        (mask(), [0.9], "only 1 scores"),
        (mask(), [0.9, 1.4], "expected a probability"),
        (mask(), [0.9, float("nan")], "expected a probability"),
    ],
)
def test_what_is_no_mask_of_the_series_is_no_answer(
    array: NDArray[np.generic], scores: list[float], words: str
) -> None:
    with pytest.raises(Failed, match=words):
        outlined(LESIONS, array, scores, series())


def contract() -> Service:
    outputs = (
        FindingOutput(finding="brain_metastasis", probability="p", segmentation=LESIONS),
        FindingOutput(finding="intracranial_hemorrhage", probability="p", index=1),
    )
    return Service(title="t", accepts={}, findings=outputs)


@pytest.mark.parametrize(("presence", "kept"), [(Presence.PRESENT, 2), (Presence.ABSENT, 0)])
def test_lesions_are_of_what_is_present(presence: Presence, kept: int) -> None:
    findings = (Finding("brain_metastasis", presence, 0.9, 0.5), Finding("intracranial_hemorrhage", Presence.PRESENT))
    found = with_lesions(contract(), findings, {"lesion_scores": [0.9, 0.4]}, {"lesions": mask()}, series())
    assert [len(finding.lesions) for finding in found.findings] == [kept, 0]
    assert sorted(found.volumes) == ["brain_metastasis"] * bool(kept)


def test_a_mask_is_wanted_also_where_the_finding_is_absent() -> None:
    findings = (
        Finding("brain_metastasis", Presence.ABSENT, 0.1, 0.5),
        Finding("intracranial_hemorrhage", Presence.ABSENT),
    )
    with pytest.raises(Failed, match="gave no 'lesions'"):
        with_lesions(contract(), findings, {"lesion_scores": []}, {}, series())
    with pytest.raises(Failed, match="gave no 'lesion_scores'"):
        with_lesions(contract(), findings, {}, {"lesions": mask()}, series())


def test_a_series_without_a_place_has_no_mask() -> None:
    with pytest.raises(Failed, match="no place in the patient"):
        outlined(LESIONS, mask(), [0.9, 0.4], replace(series(), geometry=None))


@pytest.mark.parametrize(("size", "most"), [(40, 0.1), (256, 1.5)], ids=["lesions", "everything"])
def test_memory_is_bounded_by_that_of_the_mask_itself(size: int, most: float) -> None:
    """Of 256 x 256 x 64 voxels, 16 MiB; what is needed beside the mask grows with what it holds."""
    array = np.zeros((256, 256, 64), np.int32)
    array[:size, :size, : min(size, 64)] = 1
    of = series(tuple(range(64)))
    assert of.geometry is not None
    large = replace(of, geometry=replace(of.geometry, rows=256, columns=256))
    outlined(LESIONS, array, [0.9], large)  # what is loaded once is none of it
    tracemalloc.start()
    try:
        outlined(LESIONS, array, [0.9], large)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most * array.nbytes
