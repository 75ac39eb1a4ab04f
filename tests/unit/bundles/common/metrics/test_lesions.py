"""Lesions found and missed, by size; any overlap is a hit, and what touches no lesion is a false alarm."""

import numpy as np
import pytest

from bundles.common.metrics.lesions import lesion_case, report_lesions


def masks():
    truth = np.zeros((20, 20, 20), np.uint8)
    truth[1:3, 1, 1] = 5
    truth[5:13, 5, 5] = 5
    truth[15, 15, 15] = 1
    found = np.zeros_like(truth)
    found[2, 1, 1] = 1
    found[12, 5, 5] = 2
    found[13, 5, 5] = 2
    found[0, 19, 19] = 3
    return truth, found


def test_one_volume_by_hand():
    truth, found = masks()
    case = lesion_case("a", found, truth, np.diag([1.0, 1.0, 2.0, 1.0]))
    by_size = dict(zip(case.diameters_mm.tolist(), case.found.tolist(), strict=True))
    assert by_size == {1.0: True, 7.0: True, 0.0: False}
    assert case.false_alarms == 1
    assert case.dice == pytest.approx(2 * 2 / (4 + 11))


def test_empty_masks_have_no_dice():
    empty = np.zeros((3, 3, 3), int)
    case = lesion_case("a", empty, empty, np.eye(4))
    assert (len(case.found), case.false_alarms) == (0, 0)
    assert np.isnan(case.dice)


def test_several_volumes():
    truth, found = masks()
    empty = np.zeros_like(truth)
    cases = [
        lesion_case("a", found, truth, np.eye(4)),
        lesion_case("a", found, empty, np.eye(4)),
        lesion_case("b", truth, truth, np.eye(4)),
    ]
    report = report_lesions(cases, edges_mm=(0.0, 0.5, 5.0, np.inf), replicates=50)
    assert (report.volumes, report.patients, report.lesions) == (3, 2, 6)
    assert [(size.lesions, size.sensitivity.value) for size in report.sizes] == [(2, 0.5), (2, 1.0), (2, 1.0)]
    assert report.sensitivity.value == pytest.approx(5 / 6)
    assert report.false_alarms.value == pytest.approx((1 + 3 + 0) / 3)
    assert report.dice.value == pytest.approx((4 / 15 + 1) / 2)
    assert report.sensitivity.low < report.sensitivity.value < report.sensitivity.high


def test_no_lesions_no_sensitivity():
    empty = np.zeros((3, 3, 3), int)
    report = report_lesions([lesion_case("a", empty, empty, np.eye(4))], replicates=5)
    assert np.isnan(report.sensitivity.value)
    assert report.false_alarms.value == 0


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="one shape"):
        lesion_case("a", np.zeros((2, 2, 2), int), np.zeros((2, 2, 3), int), np.eye(4))
    with pytest.raises(ValueError, match="no case"):
        report_lesions([])
    with pytest.raises(ValueError, match="rising edges"):
        report_lesions([], edges_mm=(3.0, 1.0))
