import json
from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pytest
from highdicom.sr import MeasurementReport, srread
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from app.documents import Document, DocumentKind
from app.findings import LesionKind, Outcome, Presence, Report
from app.masks import mask_files
from app.report import encode, segmentation
from app.study import Study
from bundles.common.contract import SegmentationOutput, Window
from tests.unit.report.dump import dump
from tests.unit.report.factory import FRAME_UID, MADE_AT, instance_uid, make_study
from tests.unit.report.volumes import METASTASES, REGION, enhanced_study, lesion_mask, lesion_report

WINDOW = Window(center=40, width=80)


def documents(report: Report, study: Study, folder: Path) -> dict[DocumentKind, list[Document]]:
    made: dict[DocumentKind, list[Document]] = {}
    for document in encode(report, study, folder, window=WINDOW, made_at=MADE_AT):
        made.setdefault(document.kind, []).append(document)
    return made


def seg(report: Report, study: Study, folder: Path) -> Dataset:
    (document,) = documents(report, study, folder)[DocumentKind.SEG]
    assert document.problem == ""
    return dcmread(document.path)


def read_slowly(document: Dataset) -> dict[tuple[int, str], NDArray[np.bool_]]:
    """Bit by bit: (segment, source image) → (rows, columns)."""
    rows, columns = document.Rows, document.Columns
    bits = [byte >> bit & 1 for byte in document.PixelData for bit in range(8)]
    found = {}
    for number, frame in enumerate(document.PerFrameFunctionalGroupsSequence):
        groups = [frame, document.SharedFunctionalGroupsSequence[0]]
        (segment,) = [
            g.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            for g in groups
            if "SegmentIdentificationSequence" in g
        ]
        (source,) = [
            item.ReferencedSOPInstanceUID for d in frame.DerivationImageSequence for item in d.SourceImageSequence
        ]
        start = number * rows * columns
        found[segment, source] = np.array(bits[start : start + rows * columns], bool).reshape(rows, columns)
    return found


def test_every_frame_shows_its_lesion_on_its_source_image(study: Study, tmp_path: Path) -> None:
    document = seg(lesion_report(study, tmp_path), study, tmp_path)
    frames = read_slowly(document)
    mask = lesion_mask().transpose(2, 1, 0)
    assert set(frames) == {(segment, instance_uid(index)) for segment in (1, 2) for index in range(4)}
    for (segment, uid), inside in frames.items():
        index = [instance_uid(i) for i in range(4)].index(uid)
        assert (inside == (mask[index] == segment)).all()
    assert [document.Rows, document.Columns, document.NumberOfFrames] == [64, 64, 8]


def test_says_what_each_segment_is_and_who_drew_it(study: Study, tmp_path: Path) -> None:
    document = seg(lesion_report(study, tmp_path), study, tmp_path)
    assert [
        (
            segment.SegmentNumber,
            segment.SegmentLabel,
            segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue,
            segment.SegmentedPropertyTypeCodeSequence[0].CodeValue,
            segment.AnatomicRegionSequence[0].CodeValue,
            segment.SegmentAlgorithmType,
            segment.SegmentAlgorithmName,
            segment.TrackingID,
        )
        for segment in document.SegmentSequence
    ] == [
        (
            number,
            f"Brain metastasis, lesion {number} of 2",
            "49755003",
            "14799000",
            "12738006",
            "AUTOMATIC",
            "brain_metastasis",
            f"Brain metastasis, lesion {number} of 2 (RESEARCH USE ONLY)",
        )
        for number in (1, 2)
    ]
    identification = document.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert (identification.AlgorithmVersion, identification.AlgorithmFamilyCodeSequence[0].CodeValue) == (
        "0.1.0",
        "123110",
    )
    assert "weights_sha256=cdcd" in identification.AlgorithmParameters


def test_carries_the_research_mark_and_the_patient(study: Study, tmp_path: Path) -> None:
    document = seg(lesion_report(study, tmp_path), study, tmp_path)
    words = "RESEARCH USE ONLY - trained on phantoms, not for clinical use"
    assert (document.SeriesDescription, document.ContentLabel, document.ContentDescription) == (
        words,
        "RESEARCH ONLY",
        words,
    )
    assert [segment.SegmentDescription for segment in document.SegmentSequence] == [words] * 2
    assert (document.PatientID, document.StudyInstanceUID, document.FrameOfReferenceUID) == (
        "P-1",
        study.uid,
        FRAME_UID,
    )
    cleared = replace(METASTASES, status="cleared", training_data="patients")
    document = seg(lesion_report(study, tmp_path, algorithm=cleared), study, tmp_path)
    assert (document.ContentLabel, "RESEARCH" in str(document)) == ("SEGMENTATION", False)


def test_the_same_mask_makes_the_same_bytes(study: Study, tmp_path: Path) -> None:
    made = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        (document,) = documents(lesion_report(study, folder), study, folder)[DocumentKind.SEG]
        made.append(document.path.read_bytes())
    assert made[0] == made[1]


def test_nothing_is_missing_that_highdicom_writes(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for folder in (tmp_path / "ours", tmp_path / "theirs"):
        (document,) = documents(lesion_report(study, folder), study, folder)[DocumentKind.SEG]
        made.append(document.path.read_bytes())
        monkeypatch.setattr(segmentation, "_Unsearched", highdicom.seg.Segmentation)
    assert made[0] == made[1]


def test_a_lesion_has_one_identity_in_all_documents(study: Study, tmp_path: Path) -> None:
    report = lesion_report(study, tmp_path)
    made = documents(report, study, tmp_path)
    document = dcmread(made[DocumentKind.SEG][0].path)
    content = srread(made[DocumentKind.SR][0].path).content
    assert isinstance(content, MeasurementReport)
    told = json.loads(made[DocumentKind.JSON][0].path.read_text())["findings"][0]["lesions"]
    groups = content.get_volumetric_roi_measurement_groups()
    identities = [(segment.SegmentNumber, segment.TrackingUID) for segment in document.SegmentSequence]
    assert [(lesion["number"], lesion["tracking_uid"]) for lesion in told] == identities
    segments = [group.referenced_segment for group in groups]
    assert [(s.referenced_segment_numbers[0], str(g.tracking_uid)) for s, g in zip(segments, groups, strict=True)] == [
        (number, str(uid)) for number, uid in identities
    ]
    assert {str(segment.referenced_sop_instance_uid) for segment in segments} == {document.SOPInstanceUID}
    assert len({uid for _, uid in identities}) == 2


def test_the_report_tells_how_large_and_how_certain_each_lesion_is(study: Study, tmp_path: Path) -> None:
    sr = documents(lesion_report(study, tmp_path), study, tmp_path)[DocumentKind.SR][0]
    groups = srread(sr.path).content.get_volumetric_roi_measurement_groups()
    pixel = 220 / 64
    boxes = [
        ((11 * 6 * 3 + 1) * pixel**2 * 5, np.hypot(np.hypot(10, 5) * pixel, 10), 93.75),
        (3 * 5 * pixel**2 * 5, np.hypot(2, 4) * pixel, 50.0),
    ]
    assert [
        [(m.name.value, m.unit.value, m.value) for m in group.get_measurements()] + [group.finding_type.value]
        for group in groups
    ] == [
        [
            ("118565006", "mm3", round(volume, 2)),
            ("103339001", "mm", round(longest, 2)),
            ("111012", "%", certainty),
            "14799000",
        ]
        for volume, longest, certainty in boxes
    ]


def test_the_segmentation_is_evidence_of_the_report(study: Study, tmp_path: Path) -> None:
    made = documents(lesion_report(study, tmp_path), study, tmp_path)
    document = dcmread(made[DocumentKind.SEG][0].path)
    (evidence,) = dcmread(made[DocumentKind.SR][0].path).CurrentRequestedProcedureEvidenceSequence
    series = {each.SeriesInstanceUID: each.ReferencedSOPSequence for each in evidence.ReferencedSeriesSequence}
    (item,) = series[document.SeriesInstanceUID]
    assert (item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) == (
        document.SOPClassUID,
        document.SOPInstanceUID,
    )


def test_a_region_is_one_segment_without_a_diameter(study: Study, tmp_path: Path) -> None:
    mask = (lesion_mask() > 0).astype(np.int32)
    report = lesion_report(study, tmp_path, mask, REGION, "intracranial_hemorrhage")
    made = documents(report, study, tmp_path)
    frames = read_slowly(dcmread(made[DocumentKind.SEG][0].path))
    assert sum(int(frame.sum()) for frame in frames.values()) == int(mask.sum())
    (group,) = srread(made[DocumentKind.SR][0].path).content.get_volumetric_roi_measurement_groups()
    assert [m.name.value for m in group.get_measurements()] == ["118565006"]
    assert report.findings[0].lesions[0].kind is LesionKind.REGION


def test_a_report_without_its_mask_keeps_its_numbers(study: Study, tmp_path: Path) -> None:
    """The SR says that there is no segmentation; its lesions stand in groups that need none."""
    report = lesion_report(study, tmp_path)
    for path in mask_files(tmp_path, report):
        path.unlink()
    made = documents(report, study, tmp_path)
    assert made[DocumentKind.SEG][0].problem == "the mask of the analysis is missing or damaged; send the study again"
    assert [d.problem for kind in (DocumentKind.SR, DocumentKind.KEY_IMAGE) for d in made[kind]] == [""] * 3
    content = srread(made[DocumentKind.SR][0].path).content
    assert content.get_volumetric_roi_measurement_groups() == []
    groups = content.get_image_measurement_groups()
    assert [[m.name.value for m in group.get_measurements()] for group in groups] == [
        ["111012"],
        ["118565006", "103339001", "111012"],
        ["118565006", "103339001", "111012"],
    ]
    assert "there is no segmentation" in dump(dcmread(made[DocumentKind.SR][0].path))


@pytest.mark.parametrize("drop", ["FrameOfReferenceUID", ""])
def test_images_without_a_frame_of_reference_have_no_segmentation(drop: str, tmp_path: Path) -> None:
    study = make_study(tmp_path / "study", drop=(drop,) if drop else ())
    made = documents(lesion_report(study, tmp_path / "out"), study, tmp_path / "out")
    assert bool(made[DocumentKind.SEG][0].problem) == bool(drop)
    assert made[DocumentKind.SR][0].problem == ""


def test_after_a_failure_nothing_is_outlined(study: Study, tmp_path: Path) -> None:
    report = replace(lesion_report(study, tmp_path), outcome=Outcome.FAILED, reason="out of memory")
    made = documents(report, study, tmp_path)
    assert sorted(made) == [DocumentKind.JSON, DocumentKind.SR]
    assert "lesion 1" not in dump(dcmread(made[DocumentKind.SR][0].path))


def test_an_absent_finding_has_no_segmentation(study: Study, tmp_path: Path) -> None:
    report = lesion_report(study, tmp_path)
    absent = replace(report.findings[0], presence=Presence.ABSENT)
    made = documents(replace(report, findings=(absent,)), study, tmp_path)
    assert sorted(made) == [DocumentKind.JSON, DocumentKind.KEY_IMAGE, DocumentKind.SR]


def test_beyond_a_number_of_frames_the_empty_ones_are_left_out(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = lesion_report(study, tmp_path)
    monkeypatch.setattr(segmentation, "MOST_FRAMES", 7)
    document = seg(report, study, tmp_path)
    assert document.NumberOfFrames == 4
    assert sum(int(frame.sum()) for frame in read_slowly(document).values()) == int((lesion_mask() > 0).sum())


def test_many_lesions(study: Study, tmp_path: Path) -> None:
    mask = np.zeros((64, 64, 4), np.int32)
    mask[::4, ::4, 1] = np.arange(1, 257).reshape(16, 16)
    output = SegmentationOutput(limit=255, scores=None)
    document = seg(lesion_report(study, tmp_path, mask, output), study, tmp_path)
    assert (len(document.SegmentSequence), document.NumberOfFrames) == (255, 4 * 255)
    volume = highdicom.seg.Segmentation.from_dataset(document).get_volume(combine_segments=True)
    assert int((volume.array > 0).sum()) == 255


def test_a_file_with_several_frames_is_named_frame_by_frame(tmp_path: Path) -> None:
    """Its frames lie in another order than its slices."""
    places = (10, 0, 5, 15)
    study = enhanced_study(tmp_path / "study", places)
    (instance,) = study.series[0].instances
    made = documents(lesion_report(study, tmp_path), study, tmp_path)
    assert [each.problem for kind in made.values() for each in kind] == [""] * 5
    document = dcmread(made[DocumentKind.SEG][0].path)
    (series,) = document.ReferencedSeriesSequence
    assert [item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence] == [instance.sop_instance_uid]
    for frame in document.PerFrameFunctionalGroupsSequence:
        (item,) = frame.DerivationImageSequence[0].SourceImageSequence
        assert (item.ReferencedSOPInstanceUID, item.ReferencedSOPClassUID) == (
            instance.sop_instance_uid,
            instance.sop_class_uid,
        )
        height = frame.PlanePositionSequence[0].ImagePositionPatient[2]
        assert places[item.ReferencedFrameNumber - 1] == height
    # The two slices shown are the third and the fourth, 10 and 15 mm up.
    for each, place in zip(made[DocumentKind.KEY_IMAGE], (10, 15), strict=True):
        grey = dcmread(each.path).pixel_array[60, 60].astype(int).tolist()
        assert grey == [round(place / 80 * 255)] * 3, place
