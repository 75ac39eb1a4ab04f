"""Whole phantoms and their truth."""

import numpy as np

from app.demo.phantoms.bleeds import KINDS
from app.demo.phantoms.phantom import make_phantom
from app.demo.phantoms.truth import SLICE_AREA_MM2, Truth, truth_of


def test_truth_is_read_off_the_mask() -> None:
    mask = np.zeros((3, 20, 20), dtype=np.uint8)
    mask[0, :3, :3] = 4  # 9 mm2: too small for its slice to count
    mask[1, :6, :5] = 2
    truth = truth_of(mask, 1.0, np.array([5.0, 5.0, 2.0]))
    assert SLICE_AREA_MM2 == 20
    assert truth == Truth(True, (False, True, False, True, False), (False, True, False), (0.0, 0.15, 0.0, 0.045, 0.0))


def test_an_empty_mask_is_a_negative_study() -> None:
    truth = truth_of(np.zeros((2, 4, 4), dtype=np.uint8), 1.0, np.ones(2))
    assert truth == Truth(False, (False,) * 5, (False, False), (0.0,) * 5)


def test_a_phantom_repeats_bit_for_bit_and_its_truth_is_its_mask() -> None:
    kinds = ("subdural", "intraparenchymal")
    first, second = (make_phantom(21, 48, kinds=kinds) for _ in range(2))
    assert np.array_equal(first.volume_hu, second.volume_hu)
    assert np.array_equal(first.mask, second.mask)
    assert first.truth == second.truth
    assert first.truth.types == tuple(kind in kinds for kind in KINDS)
    area = (first.mask > 0).sum(axis=(1, 2)) * first.acquisition.pixel_mm**2
    assert first.truth.slices == tuple(bool(value > SLICE_AREA_MM2) for value in area)
    assert first.volume_hu.shape == first.mask.shape == (len(first.acquisition.table_mm), 48, 48)


def test_no_kinds_means_no_blood() -> None:
    phantom = make_phantom(22, 48, kinds=())
    assert not phantom.truth.presence
    assert int(phantom.mask.max()) == 0
