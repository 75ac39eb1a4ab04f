"""The brain is found whatever lies around it, and nothing else is taken for one."""

from collections.abc import Callable

import numpy as np
import pytest

from app.demo.phantoms.phantom import make_phantom
from bundles.common.reader import read_stack
from bundles.head_ct_hemorrhage.scripts.brain import find_brain
from bundles.head_ct_hemorrhage.scripts.volume import Volume, resample, volume_from_stack

Maker = Callable[..., Volume]
SIZES_MM = {"w": 120, "v": 168, "u": 132}


def sizes(volume: Volume) -> dict[str, float]:
    box = find_brain(volume)
    return {axis: getattr(box, axis)[1] - getattr(box, axis)[0] for axis in SIZES_MM}


def close(found: dict[str, float], wanted: dict[str, float], tolerance_mm: float = 9) -> bool:
    return all(abs(found[axis] - wanted[axis] - 10) <= tolerance_mm for axis in wanted)


@pytest.mark.parametrize("spacing_mm", [1.25, 3.0, 5.0, 7.0])
def test_box_is_the_brain_and_its_margin_at_any_spacing(make_head: Maker, spacing_mm: float) -> None:
    found = sizes(make_head(np.arange(-90, 85, spacing_mm)))
    assert close(found, SIZES_MM), found


@pytest.mark.parametrize("tilt_deg", [-20.0, 18.5])
def test_tilt_does_not_matter(make_head: Maker, tilt_deg: float) -> None:
    found = sizes(make_head(np.arange(-110, 105, 4.0), tilt_deg))
    assert close(found, {"u": SIZES_MM["u"]}), found
    assert 115 < found["w"] < 170


def test_variable_spacing_does_not_matter(make_head: Maker) -> None:
    heights = np.concatenate([np.arange(-90, -20, 2.5), np.arange(-18, 85, 7.0)])
    assert close(sizes(make_head(heights)), SIZES_MM, tolerance_mm=13)


def test_missing_vertex_ends_the_box_with_the_stack(make_head: Maker) -> None:
    volume = make_head(np.arange(-90, 21, 5.0))
    box = find_brain(volume)
    assert box.w[1] == volume.frame.positions[0][-1] + 2.5
    assert close(sizes(volume), {"v": SIZES_MM["v"], "u": SIZES_MM["u"]})


def test_table_and_headrest_are_left_out(make_head: Maker) -> None:
    def table(hu: np.ndarray, points: np.ndarray) -> None:
        x, y = points[..., 0], points[..., 1]
        away = np.hypot(x, y)
        hu[(away > 103) & (away < 107) & (y > -20)] = 500
        hu[(away >= 107) & (away < 110) & (y > -20)] = 40

    assert close(sizes(make_head(np.arange(-90, 85, 5.0), extra=table)), SIZES_MM)


def test_an_opened_skull_still_encloses(make_head: Maker) -> None:
    def craniectomy(hu: np.ndarray, points: np.ndarray) -> None:
        x, y, z = np.moveaxis(points, -1, 0)
        hu[(hu > 200) & (x > 30) & (np.abs(y) < 35) & (z > 0)] = 40

    found = sizes(make_head(np.arange(-90, 85, 5.0), extra=craniectomy))
    assert close(found, SIZES_MM, 25), found


def test_water_phantom_has_no_brain(make_head: Maker) -> None:
    def no_bone(hu: np.ndarray, points: np.ndarray) -> None:
        hu[hu > 200] = 20

    with pytest.raises(ValueError, match="no brain found"):
        find_brain(make_head(np.arange(-90, 85, 5.0), extra=no_bone))


def test_air_has_no_brain(make_head: Maker) -> None:
    def empty(hu: np.ndarray, points: np.ndarray) -> None:
        hu[:] = -1000

    with pytest.raises(ValueError, match="no brain found"):
        find_brain(make_head(np.arange(-20, 20, 5.0), extra=empty))


def test_chest_has_no_brain() -> None:
    """A heart among lungs within ribs: soft, large, enclosed by bone on all sides, but not by a skull."""
    y, x = np.meshgrid(np.arange(96) * 4.0 - 190, np.arange(96) * 4.0 - 190, indexing="ij")
    radius, angle = np.hypot(x / 1.2, y), np.arctan2(y, x)
    slice_hu = np.full((96, 96), -1000.0, np.float32)
    slice_hu[radius < 140] = 40
    slice_hu[radius < 120] = -850
    slice_hu[(np.abs(radius - 125) < 6) & (np.sin(angle * 12) > 0)] = 600
    slice_hu[np.hypot(x, y) < 55] = 40
    hu = np.repeat(slice_hu[None], 30, axis=0)
    origins = np.stack([np.zeros(30), np.zeros(30), np.arange(30) * 5.0], axis=1)
    volume = volume_from_stack(hu, origins, np.eye(3)[:2], (4.0, 4.0))
    with pytest.raises(ValueError, match="no brain found"):
        find_brain(volume)


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_phantom_bleeds_lie_within_the_box(seed: int) -> None:
    phantom = make_phantom(seed, 128, kinds=("subdural", "intraparenchymal"))
    scan = phantom.acquisition
    directions = np.stack((scan.row_direction, scan.column_direction))
    spacing = (scan.pixel_mm, scan.pixel_mm)
    volume = volume_from_stack(phantom.volume_hu.astype(np.float32), scan.origins, directions, spacing)
    blood = volume_from_stack((phantom.mask > 0).astype(np.float32), scan.origins, directions, spacing)
    grids = find_brain(volume).grids((40, 112, 96))
    voxel_ml = grids[0].step * grids[1].step * grids[2].step / 1000
    inside_ml = float(resample(blood, grids, outside=0.0).sum()) * voxel_ml
    assert inside_ml > 0.95 * sum(phantom.truth.volumes_ml)


def test_brain_of_a_real_tilted_head_is_found(imaging_data) -> None:
    stack = read_stack(imaging_data / "dicom" / "ct_head_ge")
    geometry = stack.geometry
    assert geometry is not None
    directions = np.array([geometry.row_direction, geometry.column_direction])
    origins = np.array(geometry.origins)
    volume = volume_from_stack(stack.array, origins, directions, geometry.pixel_spacing_mm)
    found = sizes(volume)
    assert 105 < found["w"] < 150, found
    assert 155 < found["v"] < 190, found
    assert 135 < found["u"] < 165, found
