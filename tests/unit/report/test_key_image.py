from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from app.documents import DocumentKind
from app.findings import Outcome, Presence, Report
from app.report import encode
from app.report.key_image import STRIP, banner, caption, draw, shown_slice
from app.study import Study
from bundles.common.contract import Window
from tests.unit.report.factory import MADE_AT, PHANTOM, instance_uid, make_report, make_study

BRAIN = Window(center=40, width=80)
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


def test_says_what_was_found_and_what_it_is_not_for() -> None:
    assert [
        (caption(report, score), banner(report))
        for report in (make_report(), make_report(Presence.ABSENT), make_report(algorithm=CLEARED))
        if (score := shown_slice(report))
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
    assert "not found - score 37.5 %, threshold 37.6 %;" in caption(make_report(findings=(close,)), main.slices[0])
    without = replace(main, certainty=None, threshold=None)
    assert "present - no number;" in caption(make_report(findings=(without,)), main.slices[0])


def test_the_banner_is_burned_in_on_its_own_strip() -> None:
    grey = np.zeros((16, 16), np.uint8)
    marked, plain = draw(grey, (1, 1), "RESEARCH ONLY", "text"), draw(grey, (1, 1), "", "text")
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
    assert shown_slice(report) is None


@pytest.mark.parametrize(("source", "ours"), [("YES", "YES"), ("NO", "NO"), ("", "NO")])
def test_identifies_the_patient_only_where_the_scanner_did(source: str, ours: str, tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", headers={"BurnedInAnnotation": source})
    assert key_image(make_report(), study, tmp_path / "out").BurnedInAnnotation == ours


def test_without_a_window_the_slice_uses_its_own_range(study: Study, tmp_path: Path) -> None:
    picture = key_image(make_report(), study, tmp_path, window=None).pixel_array[STRIP:-STRIP]
    assert (int(picture.min()), int(picture.max())) == (0, 255)
