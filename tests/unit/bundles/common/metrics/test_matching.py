"""Boxes: overlap, matching, fROC and mean average precision against slow loops from the definitions."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundles.common.metrics import (
    RATES,
    ImageBoxes,
    at_score,
    image_boxes,
    intersection_over_union,
    mean_average_precision,
    measure_froc,
    score_at_rate,
)
from bundles.common.metrics.matching import match

edge = st.integers(0, 6)
boxes = st.tuples(edge, edge, st.integers(1, 4), st.integers(1, 4)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
# Scores repeat across images and never within one: there, which of two equal ones goes first is a choice.
predictions = st.lists(boxes, max_size=5).flatmap(
    lambda found: st.tuples(st.just(found), st.permutations(range(1, 6)).map(lambda order: order[: len(found)]))
)
pictures = st.lists(st.tuples(predictions, st.lists(boxes, max_size=3)), min_size=1, max_size=6)


def slow_iou(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    """Counted in unit cells."""
    cells = [set(itertools.product(range(x0, x1), range(y0, y1))) for x0, y0, x1, y1 in (a, b)]
    return len(cells[0] & cells[1]) / len(cells[0] | cells[1])


def slow_counts(picture: tuple, threshold: float, min_iou: float) -> tuple[int, int]:
    """Hits and false alarms of one image when only boxes at or above the threshold exist."""
    (found, scores), truth = picture
    free, hits, alarms = list(truth), 0, 0
    for score, box in sorted(zip(scores, found, strict=True), reverse=True):
        if score < threshold:
            continue
        best = max(free, key=lambda other: slow_iou(box, other), default=None)
        if best is not None and slow_iou(box, best) >= min_iou:
            free.remove(best)
            hits += 1
        else:
            alarms += 1
    return hits, alarms


def arranged(drawn: list) -> list[ImageBoxes]:
    return [image_boxes(f"p{i}", found, scores, truth) for i, ((found, scores), truth) in enumerate(drawn)]


@given(boxes, boxes)
def test_overlap_is_counted_in_cells(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    overlap = intersection_over_union(np.array([a], float), np.array([b], float))
    assert overlap[0, 0] == pytest.approx(slow_iou(a, b))


@settings(max_examples=60)
@given(pictures, st.sampled_from([0.2, 0.5]))
def test_the_curve_is_counted_anew_at_every_threshold(drawn: list, min_iou: float) -> None:
    result = measure_froc(arranged(drawn), min_iou=min_iou, replicates=0)
    findings = sum(len(truth) for _, truth in drawn)
    assert (result.images, result.findings) == (len(drawn), findings)
    levels = sorted({score for (_, scores), _ in drawn for score in scores}, reverse=True)
    assert result.thresholds.tolist() == [np.inf, *levels]
    points = [(0.0, 0.0)]
    for level in levels:
        counts = np.array([slow_counts(picture, level, min_iou) for picture in drawn]).sum(axis=0)
        points.append((counts[1] / len(drawn), counts[0] / findings if findings else np.nan))
    assert result.false_positives == pytest.approx([x for x, _ in points])
    if not findings:
        assert np.isnan(result.sensitivity).all()
        assert np.isnan(result.average.value)
        return
    assert result.sensitivity == pytest.approx([y for _, y in points])
    expected = [max(y for x, y in points if x <= rate + 1e-9) for rate in RATES]
    assert result.at_rates == pytest.approx(expected)
    assert result.average.value == pytest.approx(np.mean(expected))


@settings(max_examples=60)
@given(pictures)
def test_average_precision_is_the_area_under_the_best_precision_from_each_recall_on(drawn: list) -> None:
    result = mean_average_precision({"lesion": arranged(drawn)}, replicates=0)
    findings = sum(len(truth) for _, truth in drawn)
    if not findings:
        assert np.isnan(result.mean.value)
        return
    levels = sorted({score for (_, scores), _ in drawn for score in scores}, reverse=True)
    counts = [np.array([slow_counts(picture, level, 0.5) for picture in drawn]).sum(axis=0) for level in levels]
    # The area of the staircase, one step for each finding that is found.
    area = 0.0
    for number in range(1, findings + 1):
        area += max((hits / (hits + alarms) for hits, alarms in counts if hits >= number), default=0.0) / findings
    assert result.mean.value == pytest.approx(area)


def test_nine_rates_are_those_of_the_paper() -> None:
    assert RATES == (0.01, 0.05, 0.125, 0.25, 0.5, 1, 2, 4, 8)


def test_a_rate_is_met_exactly() -> None:
    """One false alarm in 100 images is 0.01 a image, and counts for the first rate."""
    found = image_boxes("p0", [[0, 0, 2, 2]], [0.5], [[0, 0, 2, 2]])
    alarm = image_boxes("p1", [[0, 0, 2, 2]], [0.9], [])
    quiet = [image_boxes(f"q{index}", [], [], []) for index in range(98)]
    assert measure_froc([found, alarm, *quiet], replicates=0).at_rates.tolist() == [1.0] * 9
    assert measure_froc([found, alarm, *quiet[:-1]], replicates=0).at_rates.tolist() == [0.0] + [1.0] * 8


def test_the_lowest_threshold_counts() -> None:
    result = measure_froc([image_boxes("p", [[0, 0, 2, 2]], [0.1], [[0, 0, 2, 2]])], replicates=0)
    assert result.sensitivity.tolist() == [0, 1]
    assert result.average.value == 1


def test_a_second_box_on_a_finding_is_a_false_alarm() -> None:
    hits = match([image_boxes("p", [[0, 0, 2, 2], [0, 0, 2, 2.2]], [0.9, 0.8], [[0, 0, 2, 2]])], 0.5)
    assert hits.hit.tolist() == [True, False]


def test_a_box_as_thin_as_nothing_is_a_false_alarm() -> None:
    hits = match([image_boxes("p", [[0, 0, 0, 2]], [0.9], [[0, 0, 2, 2]])], 0.1)
    assert hits.hit.tolist() == [False]


def test_of_equal_scores_the_better_box_goes_first() -> None:
    found = [[0, 0, 2, 3], [0, 0, 2, 2]]
    for order in ([0, 1], [1, 0]):
        image = image_boxes("p", [found[place] for place in order], [0.5, 0.5], [[0, 0, 2, 2]])
        assert match([image], 0.5).hit[order.index(1)]


def test_patients_are_drawn_whole() -> None:
    """Twenty copies of every image under the same patient's name leave the interval as it is."""
    generator = np.random.default_rng(0)
    images = []
    for index in range(12):
        truth = [[0, 0, 4, 4]] if index % 2 else []
        found = [[0, 0, 4, 4]] if generator.random() < 0.6 else [[5, 5, 8, 8]]
        images.append(image_boxes(f"p{index}", found, [round(generator.random(), 2)], truth))
    alone = measure_froc(images, replicates=100).average
    copied = measure_froc([image for image in images for _ in range(20)], replicates=100)
    assert copied.patients == 12
    assert (copied.average.low, copied.average.high) == pytest.approx((alone.low, alone.high))
    assert alone.low < alone.value < alone.high


def test_classes_without_findings_are_left_out_of_the_mean() -> None:
    good = [image_boxes("p", [[0, 0, 2, 2]], [0.5], [[0, 0, 2, 2]])]
    none = [image_boxes("p", [[0, 0, 2, 2]], [0.5], [])]
    result = mean_average_precision({"lesion": good, "pneumothorax": none}, replicates=10)
    assert result.mean.value == result.by_class["lesion"] == 1
    assert np.isnan(result.by_class["pneumothorax"])


def test_cocos_101_points_come_near() -> None:
    from monai.apps.detection.metrics.coco import COCOMetric
    from monai.apps.detection.metrics.matching import matching_batch
    from monai.data.box_utils import box_iou

    generator = np.random.default_rng(5)
    images, arrays = [], []
    for index in range(60):
        truth = generator.integers(0, 60, (2, 2)).astype(float)
        truth = np.concatenate((truth, truth + 20), axis=1)
        found = np.concatenate((truth + generator.normal(0, 3, (2, 4)), truth + generator.normal(30, 5, (2, 4))))
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 5)
        scores = generator.random(4) + np.array([0.3, 0.3, 0, 0])
        images.append(image_boxes(f"p{index}", found, scores, truth))
        arrays.append((found, scores, truth))
    metric = COCOMetric(classes=["lesion"], iou_list=(0.5,), max_detection=(100,))
    zeros = [np.zeros(len(truth), int) for _, _, truth in arrays]
    results = matching_batch(
        iou_fn=box_iou,
        iou_thresholds=metric.iou_thresholds,
        pred_boxes=[found for found, _, _ in arrays],
        pred_classes=[np.zeros(len(found), int) for found, _, _ in arrays],
        pred_scores=[scores for _, scores, _ in arrays],
        gt_boxes=[truth for _, _, truth in arrays],
        gt_classes=zeros,
    )
    coco = metric(results)[0]["AP_IoU_0.50_MaxDet_100"]
    own = mean_average_precision({"lesion": images}, replicates=0).mean.value
    assert 0.2 < own < 0.95
    assert own == pytest.approx(coco, abs=0.01)


@pytest.mark.parametrize(
    ("found", "scores", "truth", "words"),
    [
        ([[1, 0, 0, 2]], [0.5], [], "predicted box 0 has no area"),
        ([], [], [[0, 0, 1, 1], [3, 3, 2, 4]], "true box 1 has no area"),
        ([[0, 0, np.nan, 2]], [0.5], [], "edges that are not finite"),
        ([[0, 0, 1, 1]], [], [], "a score for each of 1"),
        ([[0, 0, 1, 1]], [np.nan], [], "score 0 is not finite"),
        ([[0, 0, 1]], [0.5], [], "x0, y0, x1, y1"),
    ],
)
def test_boxes_that_are_none_are_refused(found: list, scores: list, truth: list, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        image_boxes("p", found, scores, truth)


def test_a_measurement_without_sense_is_refused() -> None:
    image = image_boxes("p", [], [], [])
    with pytest.raises(ValueError, match="no image"):
        measure_froc([])
    with pytest.raises(ValueError, match="least intersection"):
        measure_froc([image], min_iou=0)
    with pytest.raises(ValueError, match="must rise"):
        measure_froc([image], rates=(1, 0.5))
    with pytest.raises(ValueError, match="no class"):
        mean_average_precision({})
    with pytest.raises(ValueError, match="same images"):
        mean_average_precision({"a": [image], "b": [image_boxes("other", [], [], [])]})


@pytest.mark.parametrize(
    ("rate", "score", "found", "false"),
    [(0.0, 0.85, 1 / 3, 0.0), (0.5, 0.65, 2 / 3, 0.5), (0.9, 0.65, 2 / 3, 0.5), (1.0, 0.5, 1.0, 1.0)],
)
def test_boxes_are_cut_where_so_many_are_false(rate: float, score: float, found: float, false: float) -> None:
    true, other, third, nowhere = [0, 0, 4, 4], [10, 0, 14, 4], [20, 0, 24, 4], [50, 50, 54, 54]
    images = [
        image_boxes("a", [true, nowhere, other], [0.9, 0.8, 0.7], [true, other]),
        image_boxes("b", [nowhere, third], [0.6, 0.5], [third]),
    ]
    froc = measure_froc(images, replicates=0)
    assert score_at_rate(froc, rate) == pytest.approx(score)
    assert at_score(froc, score_at_rate(froc, rate)) == pytest.approx((found, false))


def test_no_cut_is_high_enough_for_a_false_box_above_all() -> None:
    froc = measure_froc([image_boxes("a", [[0, 0, 1, 1]], [0.9], [[5, 5, 6, 6]])], replicates=0)
    assert score_at_rate(froc, 0.5) == float("inf")
    assert at_score(froc, float("inf")) == (0, 0)
