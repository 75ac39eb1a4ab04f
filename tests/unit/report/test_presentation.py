"""Presentation states: lines where the findings are, words, and the images shown as they say."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from app.documents import DocumentKind
from app.findings import Presence, RegionKind, Report
from app.masks import mask_files, masks_of
from app.report import encode
from app.report.uids import report_uid
from app.study import Study
from bundles.common.contract import Window
from tests.unit.report.cases import ALL, BRAIN, made, shows_something
from tests.unit.report.dump import dump_presentation
from tests.unit.report.factory import MADE_AT, PHANTOM, make_study
from tests.unit.report.radiographs import chest_report, chest_study, image_uid, wrist_report, wrist_study
from tests.unit.report.volumes import enhanced_study, lesion_report
from tests.unit.test_contours import filled

KINDS = {DocumentKind.PRESENTATION}


def presentation(report: Report, study: Study, folder: Path, window: Window | None = None) -> Dataset:
    documents = encode(report, study, folder, window=window, made_at=MADE_AT, kinds=KINDS)
    (document,) = [each for each in documents if each.kind is DocumentKind.PRESENTATION]
    assert document.problem == ""
    return dcmread(document.path)


def problem(report: Report, study: Study, folder: Path) -> str:
    documents = encode(report, study, folder, made_at=MADE_AT, kinds=KINDS)
    return next(each.problem for each in documents if each.kind is DocumentKind.PRESENTATION)


def lines(document: Dataset, layer: str = "VIGIL") -> list[np.ndarray]:
    return [
        np.array(graphic.GraphicData).reshape(-1, 2)
        for annotation in document.GraphicAnnotationSequence
        if annotation.GraphicLayer == layer
        for graphic in annotation.get("GraphicObjectSequence", ())
    ]


def words(document: Dataset) -> list[str]:
    return [
        text.UnformattedTextValue
        for annotation in document.GraphicAnnotationSequence
        for text in annotation.get("TextObjectSequence", ())
    ]


@pytest.mark.parametrize(("detector", "state"), ALL)
def test_is_made_where_there_is_something_to_draw_and_nowhere_else(detector: str, state: str, tmp_path: Path) -> None:
    study, report = made(detector, state, tmp_path)
    documents = encode(report, study, tmp_path / "out", made_at=MADE_AT, kinds=KINDS)
    found = [each for each in documents if each.kind is DocumentKind.PRESENTATION]
    assert [each.problem for each in found] == ([""] if shows_something(report) else [])


def test_is_made_only_where_it_is_wanted(tmp_path: Path) -> None:
    documents = encode(chest_report(), chest_study(tmp_path / "study"), tmp_path / "out", made_at=MADE_AT)
    assert DocumentKind.PRESENTATION not in {each.kind for each in documents}


def test_boxes_are_where_the_regions_are(tmp_path: Path) -> None:
    report = chest_report()
    document = presentation(report, chest_study(tmp_path / "study"), tmp_path / "out")
    assert [line.tolist() for line in lines(document)] == [
        [[120.5, 80], [190.25, 80], [190.25, 150], [120.5, 150], [120.5, 80]],
        [[300, 60], [440, 60], [440, 240.5], [300, 240.5], [300, 60]],
    ]
    said = words(document)
    assert said[1:] == ["Lung lesion 81.2 %", "Pneumothorax 71.8 %"]
    assert said[0].startswith("RESEARCH USE ONLY - trained on phantoms")
    assert "Lung lesion: present - probability 87.5 %, threshold 40.0 %" in said[0]
    assert document.SOPInstanceUID == report_uid(report, "presentation")
    assert (document.SeriesNumber, document.Modality, document.ContentLabel) == (9004, "PR", "RESEARCH ONLY")


def test_where_a_network_looked_is_dashed_and_in_a_layer_of_its_own(tmp_path: Path) -> None:
    document = presentation(wrist_report(), wrist_study(tmp_path / "study"), tmp_path / "out")
    assert lines(document) == []
    dashes = lines(document, "VIGIL_ATTENTION")
    assert {len(dash) for dash in dashes} == {2}
    assert len(dashes) > 12
    left, upper, right, lower = next(region.box for region in wrist_report().findings[0].regions)
    points = np.concatenate(dashes)
    on_border = np.isclose(points[:, 0], [[left], [right]]).any(0) | np.isclose(points[:, 1], [[upper], [lower]]).any(0)
    assert on_border.all()
    assert "network looked here" in words(document)
    assert [layer.GraphicLayer for layer in document.GraphicLayerSequence] == ["VIGIL", "VIGIL_ATTENTION"]
    (series,) = document.ReferencedSeriesSequence
    assert [item.ReferencedSOPInstanceUID for item in series.ReferencedImageSequence] == [image_uid(2)]


def test_outlines_hold_the_lesions_of_each_slice(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study")
    report = lesion_report(study, tmp_path / "out")
    mask = masks_of(tmp_path / "out", report, "brain_metastasis")
    document = presentation(report, study, tmp_path / "out", BRAIN)
    names = [instance.sop_instance_uid for instance in study.series[0].instances]
    assert len(document.GraphicAnnotationSequence) == 2
    for annotation in document.GraphicAnnotationSequence:
        (image,) = annotation.ReferencedImageSequence
        plane = mask.slice_at(names.index(image.ReferencedSOPInstanceUID))
        drawn = [np.array(graphic.GraphicData).reshape(-1, 2) for graphic in annotation.GraphicObjectSequence]
        assert np.array_equal(filled(drawn, plane.shape), plane > 0)


def test_a_frame_of_an_enhanced_image_is_named(tmp_path: Path) -> None:
    study = enhanced_study(tmp_path / "study", places=(10, 0, 5, 15))
    report = lesion_report(study, tmp_path / "out")
    document = presentation(report, study, tmp_path / "out", BRAIN)
    frames = [item.ReferencedImageSequence[0].ReferencedFrameNumber for item in document.GraphicAnnotationSequence]
    fullest = sorted({lesion.index for lesion in report.findings[0].lesions})
    # Frames lie at heights of 10, 0, 5 and 15 mm: the slices from below are frames 2, 3, 1, 4.
    assert frames == [(2, 3, 1, 4)[index] for index in fullest]
    assert (document.RescaleSlope, document.RescaleIntercept, document.RescaleType) == (1, -1024, "HU")


def test_the_bundle_s_window_goes_before_the_image_s_own(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", headers={"WindowCenter": [300, 35], "WindowWidth": [1500, 90]})
    report = lesion_report(study, tmp_path / "out")
    own, bundle = (presentation(report, study, tmp_path / "out", window) for window in (None, BRAIN))
    assert [item.WindowCenter for item in own.SoftcopyVOILUTSequence] == [[300, 35]]
    assert [(item.WindowCenter, item.WindowWidth) for item in bundle.SoftcopyVOILUTSequence] == [(40, 80)]
    assert (own.RescaleIntercept, own.RescaleType, own.PresentationLUTShape) == (-1024, "HU", "IDENTITY")


def test_an_image_without_a_window_gets_none(tmp_path: Path) -> None:
    document = presentation(chest_report(), chest_study(tmp_path / "study"), tmp_path / "out")
    assert "SoftcopyVOILUTSequence" not in document
    assert "RescaleSlope" not in document


@pytest.mark.parametrize("headers", [{"PhotometricInterpretation": "MONOCHROME1"}, {"PresentationLUTShape": "INVERSE"}])
def test_low_values_that_are_bright_stay_so(headers: dict[str, Any], tmp_path: Path) -> None:
    document = presentation(chest_report(), chest_study(tmp_path / "study", **headers), tmp_path / "out")
    assert document.PresentationLUTShape == "INVERSE"


def both_wrists() -> Report:
    (finding,) = wrist_report().findings
    (box,) = finding.regions
    scores = tuple(replace(score, certainty=0.9) for score in finding.slices)
    boxes = (box, replace(box, sop_instance_uid=image_uid(1), kind=RegionKind.DETECTION, certainty=0.9))
    return wrist_report(findings=(replace(finding, regions=boxes, slices=scores),))


def changed(study: Study, **headers: Any) -> None:
    path = study.series[1].instances[0].path
    image = dcmread(path)
    for keyword, value in headers.items():
        setattr(image, keyword, value)
    image.save_as(path, enforce_file_format=True)


def test_images_of_two_sizes_and_windows_share_a_state(tmp_path: Path) -> None:
    study = wrist_study(tmp_path / "study")
    changed(study, Rows=200, Columns=520, WindowCenter=2000, WindowWidth=3000)
    (finding,) = both_wrists().findings
    boxes = (replace(finding.regions[0], box=(10.0, 20.0, 500.0, 190.0)), finding.regions[1])
    report = replace(both_wrists(), findings=(replace(finding, regions=boxes),))
    document = presentation(report, study, tmp_path / "out")
    areas = {
        item.ReferencedImageSequence[0].ReferencedSOPInstanceUID: list(item.DisplayedAreaBottomRightHandCorner)
        for item in document.DisplayedAreaSelectionSequence
    }
    assert areas == {image_uid(1): [260, 400], image_uid(2): [520, 200]}
    (window,) = document.SoftcopyVOILUTSequence
    assert window.ReferencedImageSequence[0].ReferencedSOPInstanceUID == image_uid(2)
    assert {tuple(item.PresentationPixelAspectRatio) for item in document.DisplayedAreaSelectionSequence} == {(1, 1)}


def test_images_that_are_inverted_differently_are_refused_in_words(tmp_path: Path) -> None:
    study = wrist_study(tmp_path / "study")
    changed(study, PhotometricInterpretation="MONOCHROME1")
    assert "inverted differently" in problem(both_wrists(), study, tmp_path / "out")


def test_a_lost_mask_is_a_problem_in_words(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study")
    report = lesion_report(study, tmp_path / "out")
    for path in mask_files(tmp_path / "out", report):
        path.unlink()
    assert "mask of the analysis is missing" in problem(report, study, tmp_path / "out")


def test_a_region_outside_of_its_image_is_a_problem(tmp_path: Path) -> None:
    report = chest_report()
    lesion, air = report.findings
    wrong = replace(lesion, regions=(replace(lesion.regions[0], box=(450.0, 10.0, 510.0, 20.0)),))
    assert problem(replace(report, findings=(wrong, air)), chest_study(tmp_path / "s"), tmp_path / "out")


def test_is_the_same_bytes_twice(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study")
    report = lesion_report(study, tmp_path / "out")
    made_twice = []
    for _ in range(2):
        documents = encode(report, study, tmp_path / "out", window=BRAIN, made_at=MADE_AT, kinds=KINDS)
        made_twice += [each.path.read_bytes() for each in documents if each.kind is DocumentKind.PRESENTATION]
    assert made_twice[0] == made_twice[1]


def test_a_cleared_algorithm_bears_no_research_mark(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study")
    cleared = replace(PHANTOM, name="brain_metastasis", status="cleared", training_data="heads of a hospital")
    document = presentation(lesion_report(study, tmp_path / "out", algorithm=cleared), study, tmp_path / "out")
    assert "RESEARCH" not in str(document)
    assert Presence.PRESENT.value in words(document)[0]


@pytest.mark.parametrize("case", ["chest", "wrist", "lesions"])
def test_reads_as_the_golden_document(case: str, tmp_path: Path, root: Path) -> None:
    """REGEN_GOLDEN=1 writes the golden documents anew; look at the difference before committing it."""
    study, report = made({"lesions": "brain metastases"}.get(case, case), "present", tmp_path)
    text = dump_presentation(presentation(report, study, tmp_path / "out", BRAIN if case == "lesions" else None))
    golden = root / "tests" / "golden" / f"presentation_{case}.txt"
    if os.environ.get("REGEN_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()
