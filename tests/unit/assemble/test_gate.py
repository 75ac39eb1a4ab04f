"""The geometry gate: which slice, and what was expected."""

from pathlib import Path

import numpy as np
import pytest

from app.assemble import assemble, check_geometry, check_image
from app.study import Series
from bundles.common.contract import GeometryLimits
from tests.unit.bundles.common.dicom import AXIAL, ct_slice, ct_stack, save

EVEN = tuple(range(0, 180, 5))
HEAD = GeometryLimits(min_slices=8, max_slices=400)


def series(folder: Path, positions: tuple[float, ...] = EVEN, tilt: float = 0.0, **changes: object) -> Series:
    return assemble(save(folder, ct_stack(positions, AXIAL, tilt, **changes))).series[0]


@pytest.mark.parametrize(
    ("positions", "tilt", "limits", "reason"),
    [
        (EVEN, 0.0, HEAD, None),
        (
            tuple(place for place in range(0, 185, 5) if place != 80),
            0.0,
            HEAD,
            "slice 17 of 36 (instance number 17) lies 10.0 mm from its neighbour, expected 5.0 mm: a slice is missing",
        ),
        (EVEN, 18.5, HEAD, "the slices are tilted by 18.5° (gantry tilt), expected at most 1.0°"),
        (EVEN, 18.5, HEAD.model_copy(update={"max_tilt_deg": 30}), None),
        (
            tuple(place for place in range(0, 185, 5) if place != 80),
            18.5,
            HEAD,
            "slice 17 of 36 (instance number 17) lies 10.0 mm from its neighbour, expected 5.0 mm: a slice is missing",
        ),
        ((0.0,), 0.0, HEAD, "1 slice, expected 8 to 400"),
        (EVEN, 0.0, HEAD.model_copy(update={"max_slices": 20}), "36 slices, expected 8 to 20"),
        (
            EVEN,
            0.0,
            HEAD.model_copy(update={"max_slice_spacing_mm": 3}),
            "slice 2 of 36 (instance number 2) lies 5.0 mm from its neighbour, expected at most 3.0 mm",
        ),
        (
            tuple(range(0, 55, 5)),
            0.0,
            HEAD.model_copy(update={"min_extent_mm": 90}),
            "the stack covers 55 mm, expected at least 90 mm",
        ),
        (tuple(range(0, 90, 5)), 0.0, HEAD.model_copy(update={"min_extent_mm": 90}), None),
        (
            tuple(place * 4.99 for place in range(18)),
            0.0,
            HEAD.model_copy(update={"min_extent_mm": 90}),
            "the stack covers 89 mm, expected at least 90 mm",
        ),
        (
            EVEN,
            0.0,
            HEAD.model_copy(update={"max_in_plane_spacing_mm": 0.6}),
            "pixels are 0.80 mm apart, expected at most 0.60 mm",
        ),
        (
            (*range(0, 40, 4), 40.0, *range(47, 110, 7)),
            0.0,
            HEAD,
            "slice 12 of 20 (instance number 12) lies 7.0 mm from its neighbour, expected 4.0 mm: the spacing varies",
        ),
        (
            (*range(0, 40, 4), 40.0, *range(47, 110, 7)),
            0.0,
            HEAD.model_copy(update={"allow_variable_spacing": True}),
            None,
        ),
    ],
)
def test_reason(
    tmp_path: Path, positions: tuple[float, ...], tilt: float, limits: GeometryLimits, reason: str | None
) -> None:
    assert check_geometry(series(tmp_path, positions, tilt), limits) == reason


def test_images_without_a_place(tmp_path: Path) -> None:
    lost = series(tmp_path, ImagePositionPatient=None)
    assert check_geometry(lost, HEAD) == (
        "the images have no place in the patient: position, orientation or pixel spacing is missing"
    )
    assert check_geometry(lost, GeometryLimits()) is None


def test_damaged_image_is_named(tmp_path: Path) -> None:
    paths = save(tmp_path, ct_stack(EVEN))
    paths[4].write_bytes(paths[4].read_bytes()[:-10])
    reason = check_geometry(assemble(paths).series[0], HEAD)
    assert reason == f"{paths[4].name} (instance number 5): truncated, 86 of 96 bytes of pixel data"


def test_moved_table(tmp_path: Path) -> None:
    slices = ct_stack(EVEN)
    for image in slices[20:25]:
        image.ImagePositionPatient = [image.ImagePositionPatient[0] + 8, *image.ImagePositionPatient[1:]]
    reason = check_geometry(assemble(save(tmp_path, slices)).series[0], HEAD)
    assert reason == (
        "slice 21 of 36 (instance number 21) lies 8.0 mm beside the line through the stack, expected at most 1.0 mm: "
        "the table or the field of view moved"
    )


def test_several_stacks_in_one_multiframe_image(tmp_path: Path) -> None:
    image = ct_slice(pixels=np.zeros((3, 4, 6), np.int16), NumberOfFrames=3)
    reason = check_geometry(assemble(save(tmp_path, [image])).series[0], GeometryLimits())
    assert reason == (
        "3 frames in the files of this stack, 1 of them belong to it: several stacks or phases in one multi-frame "
        "image cannot be told apart"
    )


def image(folder: Path, **changes: object) -> Series:
    place = {"ImagePositionPatient": None, "ImageOrientationPatient": None}
    return assemble(save(folder, [ct_slice(**{"Modality": "DX", **place, **changes})])).series[0]


def test_a_radiograph_needs_no_place_in_the_patient(tmp_path: Path) -> None:
    assert check_image(image(tmp_path)) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"pixels": np.zeros((3, 6, 8), np.int16), "NumberOfFrames": 3},
            "3 frames in one image: only single exposures are analysed, no cine loop or tomosynthesis",
        ),
        (
            {"PresentationIntentType": "FOR PROCESSING"},
            "raw detector values (FOR PROCESSING), and no image FOR PRESENTATION of the same view came with them",
        ),
    ],
)
def test_no_radiograph_as_people_see_it(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    assert check_image(image(tmp_path, **changes)) == reason


def test_a_radiograph_that_was_cut_off(tmp_path: Path) -> None:
    (path,) = save(tmp_path, [ct_slice(Modality="CR")])
    path.write_bytes(path.read_bytes()[:-1])
    reason = check_image(assemble([path]).series[0])
    assert reason is not None
    assert reason.endswith("truncated, 95 of 96 bytes of pixel data")
