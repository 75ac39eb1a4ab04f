"""Files of a study into stacks, other objects and unreadable files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import FileDataset
from pydicom.uid import (
    BasicTextSRStorage,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
)

from app.assemble import assemble
from app.errors import Rejected
from app.radiographs import is_radiograph
from app.study import Series, revision_of
from tests.unit.bundles.common.dicom import CORONAL, SAGITTAL, SERIES, STUDY, change, ct_slice, ct_stack, save


def uids(series: Series) -> list[str]:
    return [instance.sop_instance_uid for instance in series.instances]


def no_image(number: int, sop_class: str = BasicTextSRStorage) -> FileDataset:
    report = ct_slice(number, series="1.2.9")
    change(report, Rows=None, Columns=None, PixelData=None, SOPClassUID=sop_class, Modality="SR")
    return report


def test_one_stack(tmp_path: Path) -> None:
    slices = ct_stack([0, 5, 10])
    paths = save(tmp_path, slices, [1, 2, 0])
    study = assemble(paths)
    (series,) = study.series
    assert study.uid == STUDY
    assert study.revision == revision_of(paths)
    assert uids(series) == [image.SOPInstanceUID for image in slices]
    assert [instance.instance_number for instance in series.instances] == [1, 2, 3]
    assert (series.modality, series.stack, series.notes, series.damaged) == ("CT", 0, (), ())
    assert series.headers["ImageType"] == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert series.geometry is not None
    assert series.geometry.origins == ((-120, -110, 30), (-120, -110, 35), (-120, -110, 40))
    assert (series.geometry.plane, study.others, study.unreadable) == ("axial", (), ())


def test_digest_is_taken_from_the_spool_name(tmp_path: Path) -> None:
    path = save(tmp_path, [ct_slice()])[0]
    spooled = path.rename(tmp_path / f"{'ab' * 16}.{'0123456789abcdef'}.dcm")
    assert assemble([spooled]).series[0].instances[0].digest == "0123456789abcdef"


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(12)))
def test_order_of_arrival_never_matters(tmp_path_factory: pytest.TempPathFactory, order: list[int]) -> None:
    slices = [*ct_stack([0, 5, 10, 15, 20]), *ct_stack([0, 4, 9], SAGITTAL), *ct_stack([0, 5], series="1.2.8")]
    slices += [ct_slice(77, (-120, -110, 50)), no_image(1)]
    paths = save(tmp_path_factory.mktemp("study"), slices)
    first, second = assemble(paths), assemble([paths[place] for place in order])
    assert first == second
    assert [(series.uid, series.stack, len(series.instances)) for series in first.series] == [
        ("1.2.8", 0, 2),
        (SERIES, 0, 5),
        (SERIES, 1, 3),
    ]
    assert len(first.others) == 1


def test_mixed_orientations_become_stacks(tmp_path: Path) -> None:
    study = assemble(save(tmp_path, [*ct_stack([0, 5], CORONAL), *ct_stack(), *ct_stack([0, 5, 9], SAGITTAL)]))
    assert [
        (series.stack, len(series.instances), series.geometry and series.geometry.plane) for series in study.series
    ] == [
        (0, 10, "axial"),
        (1, 3, "sagittal"),
        (2, 2, "coronal"),
    ]
    assert study.series[0].notes == (
        "the series holds 3 stacks of different orientation, size or kind; this is stack 1",
    )


def test_localizer_is_a_stack_of_its_own_and_comes_last(tmp_path: Path) -> None:
    kind = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    scout = [ct_slice(90 + place, (0, 0, place), ImageType=kind) for place in range(3)]
    study = assemble(save(tmp_path, [*scout, *ct_stack([0, 5])]))
    assert [len(series.instances) for series in study.series] == [2, 3]
    assert study.series[1].headers["ImageType"] == tuple(kind)
    assert study.series[1].notes[-1].endswith("this is a localizer")


def test_repeated_positions_keep_the_lowest_instance_number(tmp_path: Path) -> None:
    slices = ct_stack([0, 5, 10])
    again = ct_slice(9, (-120, -110, 35))
    (series,) = assemble(save(tmp_path, [again, *slices])).series
    assert uids(series) == [image.SOPInstanceUID for image in slices]
    assert series.notes == (
        "1 image repeats the position of slice 2 and was left out; the lowest instance number was kept",
    )


def test_several_phases_are_noted_once(tmp_path: Path) -> None:
    phases = [ct_slice(10 * phase + k, (0, 0, 5 * k)) for phase in (1, 2) for k in range(6)]
    (series,) = assemble(save(tmp_path, phases)).series
    assert [instance.instance_number for instance in series.instances] == [10, 11, 12, 13, 14, 15]
    assert "\n".join(series.notes) == (
        "6 images repeat the positions of 6 of 6 slices (several phases or echoes in one series?) and were left out; "
        "the lowest instance number of each position was kept"
    )


def test_what_lies_in_other_phases_was_not_seen_and_is_not_absent(tmp_path: Path) -> None:
    phases = [ct_slice(6 * phase + k + 1, (0, 0, 5 * k)) for phase in (0, 1) for k in range(6)]
    (series,) = assemble(save(tmp_path, phases)).series
    assert series.missing == (
        (
            "6 images of the series lie where others do (phases, echoes or time points) and were not analysed: "
            "of each position the lowest instance number was"
        ),
    )


def test_objects_that_are_no_images(tmp_path: Path) -> None:
    reports = [no_image(1), no_image(2, KeyObjectSelectionDocumentStorage)]
    study = assemble(save(tmp_path, [*ct_stack(), *reports]))
    assert sorted(each.sop_instance_uid for each in study.others) == sorted(each.SOPInstanceUID for each in reports)
    assert [len(series.instances) for series in study.series] == [10]


def test_only_a_report(tmp_path: Path) -> None:
    study = assemble(save(tmp_path, [no_image(1)]))
    assert (study.series, len(study.others)) == ((), 1)


def test_unreadable_files_tell_why(tmp_path: Path) -> None:
    paths = save(tmp_path, [*ct_stack([0, 5]), ct_slice(8, Rows=0), ct_slice(9, SeriesInstanceUID=None)])
    (tmp_path / "text.dcm").write_text("hello")
    paths.append(tmp_path / "text.dcm")
    head = tmp_path / "head.dcm"
    head.write_bytes(paths[0].read_bytes()[:560])
    study = assemble([*paths, head])
    assert {each.path.name: each.reason for each in study.unreadable} == {
        paths[2].name: f"{paths[2].name} (instance number 8): Rows 0 and Columns 8 are no size of an image",
        paths[3].name: f"{paths[3].name} (instance number 9): SeriesInstanceUID is missing",
        "text.dcm": "text.dcm: not a DICOM file",
        "head.dcm": "head.dcm: no pixel data; the file was cut off or never held an image",
    }
    assert len(study.series[0].instances) == 2


def test_truncated_image_stays_and_is_named(tmp_path: Path) -> None:
    paths = save(tmp_path, ct_stack())
    paths[9].write_bytes(paths[9].read_bytes()[:-1])
    (series,) = assemble(paths).series
    assert len(series.instances) == 10
    assert series.damaged == (f"{paths[9].name} (instance number 10): truncated, 95 of 96 bytes of pixel data",)


def test_missing_patient_id_and_foreign_names(tmp_path: Path) -> None:
    japanese = ct_stack([0, 5], SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName="Yamada^Tarou=山田^太郎")
    for image in japanese:
        image.SeriesDescription = "頭部"
    (series,) = assemble(save(tmp_path / "japanese", japanese)).series
    assert series.headers["SeriesDescription"] == "頭部"
    cyrillic = ct_stack([0, 5], SpecificCharacterSet="ISO_IR 144", SeriesDescription="Голова", PatientName="Иванов^И")
    (series,) = assemble(save(tmp_path / "cyrillic", cyrillic)).series
    assert series.headers["SeriesDescription"] == "Голова"
    assert "PatientName" not in series.headers


CR: dict[str, Any] = {"ImagePositionPatient": None, "ImageOrientationPatient": None, "Modality": "CR"}


def test_radiographs_of_one_series_and_size_are_images_by_themselves(tmp_path: Path) -> None:
    views = [ct_slice(number, **CR, SOPInstanceUID=f"1.2.3.{9 - number}") for number in (2, 10, 1)]
    series = assemble(save(tmp_path, views)).series
    assert [(each.stack, [instance.instance_number for instance in each.instances]) for each in series] == [
        (0, [1]),
        (1, [2]),
        (2, [10]),
    ]
    assert {(each.uid, each.geometry, each.notes, each.missing) for each in series} == {(SERIES, None, (), ())}


@pytest.mark.parametrize(
    ("modality", "sop_class"),
    [
        ("CR", ComputedRadiographyImageStorage),
        ("DX", DigitalXRayImageStorageForPresentation),
        ("DX", DigitalXRayImageStorageForProcessing),
        ("RG", SecondaryCaptureImageStorage),
        ("CR", SecondaryCaptureImageStorage),
        ("", ComputedRadiographyImageStorage),
        ("OT", DigitalXRayImageStorageForPresentation),
    ],
)
def test_what_is_a_radiograph_is_told_by_modality_or_class_even_with_a_place(
    tmp_path: Path, modality: str, sop_class: str
) -> None:
    views = ct_stack([0, 5], Modality=modality, SOPClassUID=sop_class)
    series = assemble(save(tmp_path, views)).series
    assert [(len(each.instances), each.geometry) for each in series] == [(1, None), (1, None)]
    assert all(is_radiograph(each) for each in series)


def test_frames_of_one_radiograph_stay_together(tmp_path: Path) -> None:
    loop = ct_slice(1, pixels=np.zeros((3, 6, 8), np.int16), NumberOfFrames=3, **CR)
    (series, other) = assemble(save(tmp_path, [loop, ct_slice(2, **CR)])).series
    assert [(each.instances[0].frames, len(each.instances)) for each in (series, other)] == [(3, 1), (1, 1)]


def test_a_damaged_radiograph_damages_no_other(tmp_path: Path) -> None:
    paths = save(tmp_path, [ct_slice(number, **CR) for number in (1, 2)])
    paths[1].write_bytes(paths[1].read_bytes()[:-1])
    whole, damaged = assemble(paths).series
    assert (whole.damaged, len(damaged.damaged)) == ((), 1)


def test_burned_in_text_is_noted(tmp_path: Path) -> None:
    (series,) = assemble(save(tmp_path, [ct_slice(**CR, BurnedInAnnotation="YES")])).series
    assert series.notes == ("text is burned into the pixels (BurnedInAnnotation)",)


def test_a_whole_volume_shows_no_sign_that_images_are_missing(tmp_path: Path) -> None:
    study = assemble(save(tmp_path, ct_stack()))
    assert (study.missing, study.series[0].missing) == ((), ())


def test_numbers_that_nothing_has_are_a_sign(tmp_path: Path) -> None:
    (series,) = assemble(save(tmp_path, ct_stack()[::2])).series
    assert series.missing == ("instance numbers 2, 4, 6, 8 of the series are missing",)


def test_images_beside_the_stack_are_a_sign_and_a_localizer_is_none(tmp_path: Path) -> None:
    slices = ct_stack()
    change(slices[0], ImagePositionPatient=None)
    change(slices[1], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    volume = assemble(save(tmp_path, slices)).series[0]
    assert volume.missing == (
        "1 image of the series could not be put into this stack: position, orientation, size or kind differ",
    )


def test_what_cannot_be_read_is_a_sign(tmp_path: Path) -> None:
    slices = ct_stack()
    change(slices[0], Rows=0)
    study = assemble(save(tmp_path, slices))
    assert study.missing == ("1 file of the study could not be read: images may be missing",)


def test_radiographs_need_not_be_numbered_through(tmp_path: Path) -> None:
    study = assemble(save(tmp_path, [ct_slice(number, **CR) for number in (1, 3)]))
    assert [series.missing for series in study.series] == [(), ()]


def test_promised_images_are_noted(tmp_path: Path) -> None:
    (series,) = assemble(save(tmp_path, ct_stack(ImagesInAcquisition=12))).series
    assert series.notes == ("ImagesInAcquisition promises 12 images, 10 arrived",)


def test_a_study_whose_sender_broke_off_says_so_and_is_another_revision(tmp_path: Path) -> None:
    paths = save(tmp_path, ct_stack())
    study, broken = assemble(paths, notes=["odd"]), assemble(paths, interrupted=True, notes=["odd"])
    assert (study.interrupted, study.notes) == (False, ("odd",))
    assert (broken.interrupted, broken.notes) == (
        True,
        ("the sender had not finished: images may be missing", "odd"),
    )
    assert broken.revision == revision_of(paths, interrupted=True) != study.revision
    assert broken.series == study.series


def test_foreign_study_is_left_out(tmp_path: Path) -> None:
    paths = save(tmp_path, [*ct_stack(), ct_slice(1, StudyInstanceUID="1.2.77")])
    study = assemble(paths)
    assert study.uid == STUDY
    assert [each.reason for each in study.unreadable] == [f"{paths[-1].name}: of another study"]


def test_nothing_readable(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("no image")
    with pytest.raises(Rejected, match="none of 1 files tells its study: a: not a DICOM file"):
        assemble([tmp_path / "a"])
    with pytest.raises(Rejected, match="no files"):
        assemble([])
