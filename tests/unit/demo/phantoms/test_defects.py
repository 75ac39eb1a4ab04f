"""Defects do what they say, and leave the series they were given alone."""

from collections.abc import Callable
from io import BytesIO

import pydicom
import pytest
from pydicom import Dataset

from app.demo.phantoms import defects
from app.demo.phantoms.dicom_writer import SCANNERS, to_datasets
from app.demo.phantoms.phantom import Phantom


@pytest.fixture
def images(phantom: Phantom) -> list[Dataset]:
    return to_datasets(phantom)


def test_a_slice_is_missing(images: list[Dataset]) -> None:
    left = defects.without_slice(images, 1)
    assert [i.SOPInstanceUID for i in left] == [images[k].SOPInstanceUID for k in (0, 2, 3)]


def test_a_slice_is_there_twice_under_two_uids(images: list[Dataset]) -> None:
    twin = defects.with_duplicate(images, 2)[-1]
    assert twin.ImagePositionPatient == images[2].ImagePositionPatient
    assert twin.PixelData == images[2].PixelData
    assert twin.SOPInstanceUID not in {i.SOPInstanceUID for i in images}
    assert twin.file_meta.MediaStorageSOPInstanceUID == twin.SOPInstanceUID


def test_one_slice_is_left(images: list[Dataset]) -> None:
    assert [i.SOPInstanceUID for i in defects.one_slice(images)] == [images[2].SOPInstanceUID]


def test_rescale_tags_are_gone(images: list[Dataset]) -> None:
    assert not any(
        keyword in image
        for image in defects.without_rescale(images)
        for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType")
    )


@pytest.mark.parametrize("keyword", ["PatientID", "StudyInstanceUID", "ImagePositionPatient"])
def test_elements_are_gone(images: list[Dataset], keyword: str) -> None:
    assert not any(keyword in image for image in defects.without(images, keyword))
    assert all(keyword in image for image in images)


@pytest.mark.parametrize("script", sorted(defects.NAMES))
def test_names_survive_a_file(images: list[Dataset], script: str) -> None:
    buffer = BytesIO()
    defects.named(images, script)[0].save_as(buffer, enforce_file_format=True)
    back = pydicom.dcmread(BytesIO(buffer.getvalue()))
    assert str(back.PatientName) == defects.NAMES[script][1]


def test_dimensions_are_absurd_in_one_slice(images: list[Dataset]) -> None:
    assert [i.Rows for i in defects.with_absurd_dimensions(images, 1)] == [32, 65535, 32, 32]


def test_one_slice_is_coronal(images: list[Dataset]) -> None:
    turned = defects.with_mixed_orientation(images, 3)
    assert list(turned[3].ImageOrientationPatient) == [1, 0, 0, 0, 0, -1]
    assert turned[0].ImageOrientationPatient == images[0].ImageOrientationPatient


@pytest.mark.parametrize("scanner", sorted(SCANNERS))
def test_a_localizer_stands_in_the_same_series(phantom: Phantom, scanner: str) -> None:
    images = to_datasets(phantom, scanner=SCANNERS[scanner])
    scout, *rest = defects.with_localizer(images)
    assert scout.ImageType[2] == "LOCALIZER"
    assert scout.SeriesInstanceUID == images[0].SeriesInstanceUID
    assert scout.pixel_array.shape == (scout.Rows, scout.Columns)
    assert len(rest) == len(images)


def test_a_file_is_cut_off() -> None:
    assert defects.truncated(b"0123456789", 0.4) == b"0123"


def test_a_uid_is_replaced_everywhere(images: list[Dataset]) -> None:
    assert {i.StudyInstanceUID for i in defects.another_uid(images, "StudyInstanceUID", "2.25.7")} == {"2.25.7"}


@pytest.mark.parametrize(
    "defect",
    [
        lambda i: defects.without_slice(i, 0),
        lambda i: defects.with_duplicate(i, 0),
        defects.one_slice,
        defects.without_rescale,
        lambda i: defects.named(i, "japanese"),
        lambda i: defects.with_absurd_dimensions(i, 0),
        lambda i: defects.with_mixed_orientation(i, 0),
        defects.with_localizer,
    ],
)
def test_the_given_series_is_left_alone(
    images: list[Dataset], phantom: Phantom, defect: Callable[[list[Dataset]], list[Dataset]]
) -> None:
    defect(images)
    assert images == to_datasets(phantom)
