from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from app.documents import DocumentKind
from app.findings import Finding, Outcome, Presence, RegionKind, Report, SliceScore
from app.report import encode
from app.report.picture import LARGEST_SIDE, STRIP, draw
from app.report.shown import MOST_IMAGES, Mark, Shown, banner, content, shown_images
from app.study import Study
from bundles.common.contract import Window
from tests.unit.report.factory import MADE_AT, PHANTOM, instance_uid, make_report, make_study
from tests.unit.report.radiographs import chest_report, chest_study, image_uid, wrist_failed, wrist_report, wrist_study

BRAIN = Window(center=40, width=80)
GREY = np.full((400, 300), 128, np.uint8)
YELLOW, CYAN = (255, 221, 0), (0, 220, 255)
CLEARED = replace(PHANTOM, status="cleared", training_data="CQ500")


def key_image(report: Report, study: Study, folder: Path, window: Window | None = BRAIN) -> Dataset:
    document = next(
        d for d in encode(report, study, folder, window=window, made_at=MADE_AT) if d.kind is DocumentKind.KEY_IMAGE
    )
    assert document.problem == ""
    return dcmread(document.path)


def test_shows_the_most_suspicious_slice_in_the_window(study: Study, tmp_path: Path) -> None:
    image = key_image(make_report(), study, tmp_path)
    assert image.SourceImageSequence[0].ReferencedSOPInstanceUID == instance_uid(2)
    picture = image.pixel_array[STRIP:-STRIP]
    height, width, _ = picture.shape
    greys = {
        "bone": picture[height // 2, int(width * 0.16)],
        "brain": picture[height // 2, int(width * 0.75)],
        "air": picture[2, 2],
    }
    assert {name: tuple(int(v) for v in value) for name, value in greys.items()} == {
        "bone": (255, 255, 255),
        "brain": (112, 112, 112),
        "air": (0, 0, 0),
    }


def test_is_large_enough_to_read_and_keeps_the_shape_of_pixels(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study")
    geometry = study.series[0].geometry
    assert geometry is not None
    flat = replace(study.series[0], geometry=replace(geometry, pixel_spacing_mm=(1.0, 2.0)))
    image = key_image(make_report(), replace(study, series=(flat,)), tmp_path / "out")
    assert (image.Columns, image.Rows) == (768, 384 + 2 * STRIP)


def caption(report: Report) -> str:
    (shown,) = shown_images(report)
    (line,) = content(report, shown).lines
    return line


def test_says_what_was_found_and_what_it_is_not_for() -> None:
    assert [
        (caption(report), banner(report))
        for report in (make_report(), make_report(Presence.ABSENT), make_report(algorithm=CLEARED))
    ] == [
        (
            "Intracranial hemorrhage: present - probability 93.1 %, threshold 50.0 %; most suspicious: slice 3 of 4",
            "RESEARCH ONLY - PHANTOM WEIGHTS",
        ),
        (
            "Intracranial hemorrhage: not found - probability 4.2 %, threshold 50.0 %; most suspicious: slice 1 of 4",
            "RESEARCH ONLY - PHANTOM WEIGHTS",
        ),
        ("Intracranial hemorrhage: present - probability 93.1 %, threshold 50.0 %; most suspicious: slice 3 of 4", ""),
    ]


def test_the_number_has_its_name_and_is_never_cut_to_its_threshold() -> None:
    main = make_report().findings[0]
    close = replace(main, certainty=0.3757, threshold=0.376, presence=Presence.ABSENT, calibrated=False)
    assert "not found - score 37.5 %, threshold 37.6 %;" in caption(make_report(findings=(close,)))
    without = replace(main, certainty=None, threshold=None)
    assert "present - no number;" in caption(make_report(findings=(without,)))


def test_the_banner_is_burned_in_on_its_own_strip() -> None:
    grey = np.zeros((16, 16), np.uint8)
    marked, plain = draw(grey, (1, 1), "RESEARCH ONLY", ["text"]), draw(grey, (1, 1), "", ["text"])
    assert (marked.shape[0] - plain.shape[0], tuple(int(v) for v in marked[1, 1])) == (STRIP, (150, 0, 0))


@pytest.mark.parametrize(
    "report",
    [
        make_report(outcome=Outcome.FAILED),
        make_report(findings=(replace(make_report().findings[0], slices=()),)),
        make_report(findings=()),
    ],
    ids=["undetermined", "slices not scored", "no findings"],
)
def test_shows_nothing_where_there_is_nothing_to_show(report: Report) -> None:
    assert shown_images(report) == ()


@pytest.mark.parametrize(("source", "ours"), [("YES", "YES"), ("NO", "NO"), ("", "NO")])
def test_identifies_the_patient_only_where_the_scanner_did(source: str, ours: str, tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", headers={"BurnedInAnnotation": source})
    assert key_image(make_report(), study, tmp_path / "out").BurnedInAnnotation == ours


def test_without_a_window_the_image_has_the_grey_scale_of_radiographs(study: Study, tmp_path: Path) -> None:
    picture = key_image(make_report(), study, tmp_path, window=None).pixel_array[STRIP:-STRIP]
    assert (int(picture.min()), int(picture.max())) == (0, 255)


def pictures(report: Report, study: Study, folder: Path) -> list[Dataset]:
    documents = [d for d in encode(report, study, folder, made_at=MADE_AT) if d.kind is DocumentKind.KEY_IMAGE]
    assert [document.problem for document in documents] == [""] * len(documents)
    return [dcmread(document.path) for document in documents]


def count(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> int:
    return int((picture == colour).all(-1).sum())


def test_shows_each_image_with_a_finding_and_no_other(tmp_path: Path) -> None:
    study = wrist_study(tmp_path / "study")
    (image,) = pictures(wrist_report(), study, tmp_path / "one")
    assert image.SourceImageSequence[0].ReferencedSOPInstanceUID == image_uid(2)
    main = wrist_report().findings[0]
    both = replace(main, slices=tuple(replace(score, certainty=0.75) for score in main.slices))
    shown = pictures(wrist_report(findings=(both,)), study, tmp_path / "both")
    assert [(each.InstanceNumber, each.SourceImageSequence[0].ReferencedSOPInstanceUID) for each in shown] == [
        (1, image_uid(1)),
        (2, image_uid(2)),
    ]
    assert (len({each.SOPInstanceUID for each in shown}), len({each.SeriesInstanceUID for each in shown})) == (2, 1)


def test_shows_the_most_suspicious_image_where_nothing_was_found(tmp_path: Path) -> None:
    (image,) = pictures(wrist_report(Presence.ABSENT), wrist_study(tmp_path / "study"), tmp_path / "out")
    assert image.SourceImageSequence[0].ReferencedSOPInstanceUID == image_uid(2)
    assert (count(image.pixel_array, CYAN), shown_images(wrist_failed())) == (0, ())


def test_closest_to_its_threshold_counts_where_findings_have_different_ones() -> None:
    findings = tuple(
        Finding(kind, Presence.ABSENT, score, threshold, slices=(SliceScore(image_uid(number), 0, score),))
        for number, (kind, score, threshold) in enumerate((("lung_lesion", 0.4, 0.8), ("pneumothorax", 0.2, 0.25)), 1)
    )
    assert shown_images(chest_report(findings=findings)) == (Shown(image_uid(2)),)


def test_shows_at_most_six_images_in_their_order() -> None:
    scores = tuple(SliceScore(f"1.{n}", n, 0.6 + n / 100) for n in range(9))
    finding = Finding("wrist_fracture", Presence.PRESENT, 0.68, 0.5, slices=scores)
    more = tuple((f"2.{n}", 0) for n in range(1, 9))
    shown = shown_images(wrist_report(findings=(finding,), more=more))
    assert [(each.sop_instance_uid, each.number) for each in shown] == [
        (f"1.{n + 3}", n + 1) for n in range(MOST_IMAGES)
    ]


def test_boxes_lie_where_the_regions_are(tmp_path: Path) -> None:
    """The chest is 500 × 600 pixels, shown 768 high below a strip, in the middle of 768."""
    (image,) = pictures(chest_report(), chest_study(tmp_path / "study"), tmp_path / "out")
    picture, scale = image.pixel_array, 768 / 600
    left = (768 - 640) // 2
    for x0, y0, x1, y1 in ((120.5, 80.0, 190.25, 150.0), (300.0, 60.0, 440.0, 240.5)):
        middle = (round(STRIP + (y0 + y1) / 2 * scale), round(left + (x0 + x1) / 2 * scale))
        edges = [
            (middle[0], round(left + x0 * scale)),
            (middle[0], round(left + x1 * scale)),
            (round(STRIP + y0 * scale), middle[1]),
            (round(STRIP + y1 * scale), middle[1]),
        ]
        assert [tuple(picture[place]) for place in edges] == [YELLOW] * 4
        assert len(set(picture[middle])) == 1


def test_attention_is_dashed_and_of_another_colour(tmp_path: Path) -> None:
    box, kinds = (50.0, 60.0, 250.0, 300.0), (RegionKind.DETECTION, RegionKind.ATTENTION)
    detected, looked = (draw(GREY, (1, 1), "", [], [Mark(box, "x", kind)]) for kind in kinds)
    assert (count(detected, CYAN), count(looked, YELLOW)) == (0, 0)
    assert 0.5 < count(looked, CYAN) / count(detected, YELLOW) < 0.75


def test_says_on_and_below_the_image_what_a_box_is() -> None:
    told = content(chest_report(), Shown(image_uid(1)))
    assert [mark.label for mark in told.marks] == ["Lung lesion 81.2 %", "Pneumothorax 71.8 %"]
    assert told.lines == (
        "Lung lesion: present - probability 87.5 %, threshold 40.0 %",
        "Pneumothorax: present - probability 93.7 %, threshold 40.0 %",
        "Flagged for early reading because of: Pneumothorax; RESEARCH USE ONLY",
        "Solid box: detected, with its score.",
    )
    told = content(wrist_report(), Shown(image_uid(2)))
    assert [(mark.label, mark.kind) for mark in told.marks] == [("network looked here", RegionKind.ATTENTION)]
    assert told.lines == (
        "Wrist fracture: present - probability 93.7 %, threshold 50.0 %; this image 93.7 %",
        "Image 2 of 2",
        "Dashed box: where the network looked, no detection.",
    )


def test_a_large_radiograph_is_brought_to_a_sensible_size_with_words_in_proportion(tmp_path: Path) -> None:
    (large,) = pictures(chest_report(), chest_study(tmp_path / "study", 3000, 2500), tmp_path / "out")
    strip = large.Rows - LARGEST_SIDE
    assert large.Columns == round(LARGEST_SIDE * 2500 / 3000)
    assert abs(strip - 5 * STRIP * large.Columns / 768) < 5


@pytest.mark.parametrize("spacing", [[0.1, 0.2], [0.2, 0.1]])
def test_pixels_that_are_not_square_are_stretched(spacing: list[float], tmp_path: Path) -> None:
    study = chest_study(tmp_path / "study", 600, 600, ImagerPixelSpacing=spacing)
    lesion, _ = chest_report().findings
    (image,) = pictures(chest_report(findings=(lesion,)), study, tmp_path / "out")
    picture = image.pixel_array[STRIP : -2 * STRIP]
    lit = (picture > 40).all(-1)
    height, width = np.ptp(np.flatnonzero(lit.any(1))), np.ptp(np.flatnonzero(lit.any(0)))
    assert height / width == pytest.approx(spacing[0] / spacing[1], rel=0.05)


def test_dense_is_bright_whatever_is_stored(tmp_path: Path) -> None:
    report, found = chest_report(findings=(replace(chest_report().findings[0], regions=()),)), []
    for name in ("MONOCHROME2", "MONOCHROME1"):
        study = chest_study(tmp_path / name, PhotometricInterpretation=name)
        (image,) = pictures(report, study, tmp_path / f"out {name}")
        picture = image.pixel_array
        found.append(int(picture[STRIP + 384, 384, 0]) > int(picture[STRIP + 700, 384, 0]))
    assert found == [True, False]


def test_labels_keep_clear_of_each_other() -> None:
    """Ten boxes at nearly one place: every label has its own ground, none hides another."""
    marks = [Mark((100.0 + n, 150.0, 160.0 + n, 200.0), "Lung lesion 81.2 %", RegionKind.DETECTION) for n in range(8)]
    apart, alone = draw(GREY, (1, 1), "", [], marks), draw(GREY, (1, 1), "", [], marks[:1])
    bare = [draw(GREY, (1, 1), "", [], [replace(m, label="") for m in some]) for some in (marks, marks[:1])]
    text = [count(one, YELLOW) - count(other, YELLOW) for one, other in ((apart, bare[0]), (alone, bare[1]))]
    assert text[0] > 7 * text[1]


def test_a_box_that_reaches_over_the_edge_stays_on_the_picture() -> None:
    mark = Mark((250.0, 350.0, 900.0, 900.0), "Pneumothorax 99.9 %", RegionKind.DETECTION)
    assert count(draw(GREY, (1, 1), "banner", ["line"], [mark])[-STRIP:], YELLOW) == 0


def test_an_image_that_shows_nothing_makes_no_key_image(tmp_path: Path) -> None:
    study = chest_study(tmp_path / "study")
    image = dcmread(study.series[0].instances[0].path)
    image.PixelData = bytes(len(image.PixelData))
    image.save_as(study.series[0].instances[0].path)
    sr, key, as_json = encode(chest_report(), study, tmp_path / "out")
    assert (sr.problem, as_json.problem) == ("", "")
    assert key.problem.startswith("no key image: 99 % of the pixels have the same value")


side = st.integers(1, 90)
edge = st.floats(-50, 200, allow_nan=False)
mark = st.builds(Mark, st.tuples(edge, edge, edge, edge), st.text("aW %1", max_size=30), st.sampled_from(RegionKind))


@settings(max_examples=100, deadline=None)
@given(side, side, st.floats(0.3, 3), st.lists(mark, max_size=12))
def test_draws_whatever_comes_on_an_image_of_a_size_to_look_at(
    rows: int, columns: int, stretch: float, marks: list[Mark]
) -> None:
    picture = draw(np.zeros((rows, columns), np.uint8), (stretch, 1), "banner", ["one", "two"], marks)
    height, width, channels = picture.shape
    assert (width, channels, height <= 768 + 3 * STRIP) == (768, 3, True)
    assert (count(picture[:STRIP], CYAN), count(picture[-2 * STRIP :], CYAN)) == (0, 0)
