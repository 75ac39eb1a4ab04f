"""Segmentations that highdicom wrote, back on the voxels of their series, whatever the orientation."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundles.common.headers import UnreadableImage
from bundles.common.masks.grid import UnusableMask
from bundles.common.masks.regions import Region
from bundles.common.masks.segmentation import read_segmentation, referenced_series, segment_names
from tests.unit.bundles.common.dicom import AXIAL, SERIES
from tests.unit.bundles.common.masks.objects import grid_of, orientation_of, segmentation

ANGLES = st.tuples(*[st.floats(-180, 180)] * 3)


def numbers(seed: int, shape: Sequence[int] = (4, 6, 8)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, shape).astype(np.uint8)


@settings(max_examples=12, deadline=None)
@given(ANGLES, st.sampled_from([0.0, 21.0]), st.permutations(range(4)), st.integers(0, 99))
def test_the_right_voxels_at_any_orientation(angles: Sequence[float], tilt: float, order: list[int], seed: int) -> None:
    wanted = numbers(seed)
    with TemporaryDirectory() as name:
        sources, grid = grid_of(Path(name), orientation_of(angles), positions=(0, 5, 10, 17), tilt_deg=tilt)
        uids = [str(source.SOPInstanceUID) for source in sources]
        shuffled = [sources[index] for index in order]
        path = segmentation(Path(name) / "seg", shuffled, wanted[order], omit_empty_frames=seed % 2 == 0)
        mask = read_segmentation(path, grid)
    expected = np.stack([wanted[uids.index(uid)] for uid in grid.source_uids]).transpose(2, 1, 0)
    np.testing.assert_array_equal(mask.labels, expected)
    assert mask.regions == tuple(Region(n, f"lesion {n}", int((wanted == n).sum())) for n in (1, 2))


def test_fractions_count_from_one_half_on(tmp_path: Path) -> None:
    sources, grid = grid_of(tmp_path / "series", AXIAL)
    share = np.linspace(0, 1, 4 * 6 * 8, dtype=np.float32).reshape(4, 6, 8)
    path = segmentation(tmp_path / "seg", sources, share, "FRACTIONAL", max_fractional_value=255)
    # Stored fractions are whole numbers up to 255.
    expected = (np.rint(share * 255) >= 127.5).transpose(2, 1, 0)
    np.testing.assert_array_equal(read_segmentation(path, grid).labels, expected)


def test_label_maps(tmp_path: Path) -> None:
    sources, grid = grid_of(tmp_path / "series", AXIAL)
    path = segmentation(tmp_path / "seg", sources, numbers(5), "LABELMAP")
    np.testing.assert_array_equal(read_segmentation(path, grid).labels, numbers(5).transpose(2, 1, 0))


def test_segments_by_name_and_those_that_overlap(tmp_path: Path) -> None:
    sources, grid = grid_of(tmp_path / "series", AXIAL)
    masks = np.zeros((4, 6, 8), np.uint8)
    masks[1, 2, 3:5], masks[2, 2, 3] = 1, 2
    path = segmentation(tmp_path / "seg", sources, masks)
    dataset = pydicom.dcmread(path)
    assert segment_names(dataset) == {1: "lesion 1", 2: "lesion 2"}
    assert referenced_series(dataset) == (SERIES,)
    only = read_segmentation(path, grid, lambda name: name.endswith("2"))
    assert np.argwhere(only.labels).tolist() == [[3, 2, 2]]
    # The second segment's frame moves onto the first's slice.
    frames = dataset.PerFrameFunctionalGroupsSequence
    places = {frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber: frame for frame in frames}
    places[2].PlanePositionSequence = places[1].PlanePositionSequence
    dataset.save_as(tmp_path / "both")
    both = read_segmentation(tmp_path / "both", grid)
    assert both.notes == ("1 voxels belong to several regions; the first of them keeps each",)
    assert np.argwhere(both.labels).tolist() == [[3, 2, 1], [4, 2, 1]]


def test_frames_that_run_the_other_way(tmp_path: Path) -> None:
    sources, grid = grid_of(tmp_path / "series", AXIAL)
    path = segmentation(tmp_path / "seg", sources, numbers(8))
    dataset = pydicom.dcmread(path)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [-1, 0, 0, 0, -1, 0]
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        x, y, z = frame.PlanePositionSequence[0].ImagePositionPatient
        frame.PlanePositionSequence[0].ImagePositionPatient = [x + 7 * 0.5, y + 5 * 0.8, z]
    dataset.save_as(tmp_path / "turned")
    expected = numbers(8).transpose(2, 1, 0)[::-1, ::-1]
    np.testing.assert_array_equal(read_segmentation(tmp_path / "turned", grid).labels, expected)


def test_what_was_drawn_elsewhere_or_is_damaged_is_refused(tmp_path: Path) -> None:
    sources, grid = grid_of(tmp_path / "series", AXIAL)
    path = segmentation(tmp_path / "seg", sources, numbers(3))

    def refused(words: str, shift: Sequence[float] = (0, 0, 0), **changes: object) -> None:
        dataset = pydicom.dcmread(path)
        for frame in dataset.PerFrameFunctionalGroupsSequence:
            place = frame.PlanePositionSequence[0]
            place.ImagePositionPatient = [a + b for a, b in zip(place.ImagePositionPatient, shift, strict=True)]
        for keyword, value in changes.items():
            setattr(dataset, keyword, value)
        dataset.save_as(tmp_path / "changed")
        with pytest.raises((UnusableMask, UnreadableImage), match=words):
            read_segmentation(tmp_path / "changed", grid)

    refused("frame of reference 1.2, the series", FrameOfReferenceUID="1.2")
    refused("pixels lie 0.40 voxels away from those of the series; resample it first", shift=(0.2, 0, 0))
    refused("pixels lie 0.40 voxels away", shift=(0, 0, 2))
    refused("marked pixels lie outside of the series", shift=(4, 0, 0))
    refused("pixels lie 1.00 voxels away", shift=(0, 0, -5))
    refused("SegmentationType 'SURFACE'", SegmentationType="SURFACE")
    refused("no DICOM Segmentation", SOPClassUID="1.2.840.10008.5.1.4.1.1.2")
    refused("segment 1 is not described", SegmentSequence=[])
    refused("truncated or corrupt", PixelData=b"\0\0")
    sources[0].save_as(tmp_path / "image")
    with pytest.raises(UnusableMask, match="no DICOM Segmentation"):
        read_segmentation(tmp_path / "image", grid)
