"""Headers say what the array's geometry says; stored values come back as Hounsfield units."""

import io

import numpy as np
import pydicom
import pytest

from app.demo.phantoms.dicom_writer import SCANNERS, scanner_of, stored_values, to_datasets, uid, write_series
from app.demo.phantoms.phantom import Phantom
from tests.unit.demo.phantoms.conftest import flat_phantom, scan


@pytest.mark.parametrize("name", sorted(SCANNERS))
def test_stored_values_come_back_as_hounsfield_units(name: str, phantom: Phantom) -> None:
    images = to_datasets(phantom, scanner=SCANNERS[name])
    for image, expected in zip(images, phantom.volume_hu, strict=True):
        hu = image.pixel_array.astype(int) * int(image.RescaleSlope) + int(image.RescaleIntercept)
        inside = expected > -1024
        assert np.array_equal(hu[inside], expected[inside])
        if "PixelPaddingValue" in image:
            assert set(image.pixel_array[~inside].tolist()) == {image.PixelPaddingValue}
        else:
            assert set(hu[~inside].tolist()) == {-1024}


@pytest.mark.parametrize("tilt", [0.0, -17.0, 12.5])
def test_header_geometry_is_the_arrays_affine(tilt: float) -> None:
    phantom = flat_phantom(scan(tilt_deg=tilt))
    affine = phantom.acquisition.affine_lps
    for index, image in enumerate(to_datasets(phantom)):
        orientation = np.array(image.ImageOrientationPatient, dtype=float)
        assert float(np.linalg.norm(orientation[3:])) == pytest.approx(1)
        for row, column in ((0, 0), (31, 4)):
            point = np.array(image.ImagePositionPatient, dtype=float)
            point = point + orientation[:3] * column * float(image.PixelSpacing[1])
            point = point + orientation[3:] * row * float(image.PixelSpacing[0])
            np.testing.assert_allclose(point, (affine @ [index, row, column, 1])[:3], atol=1e-4)
        assert float(image.GantryDetectorTilt) == tilt


def test_patients_are_named_as_phantoms(phantom: Phantom) -> None:
    image = to_datasets(phantom)[0]
    assert str(image.PatientName).startswith("Phantom^")
    assert image.PatientID == "PHANTOM-11"


def test_uids_come_from_the_seed_and_a_token_renews_them(phantom: Phantom) -> None:
    first, again, later = (to_datasets(phantom, token=token) for token in ("", "", "later"))
    assert [i.SOPInstanceUID for i in first] == [i.SOPInstanceUID for i in again]
    assert first[0].StudyInstanceUID != later[0].StudyInstanceUID
    assert len({i.SOPInstanceUID for i in (*first, *later)}) == 2 * len(first)
    assert uid(1, "study").startswith("2.25.")
    assert uid(1, "study").is_valid


def test_some_makers_number_from_the_top(phantom: Phantom) -> None:
    numbers = {name: [i.InstanceNumber for i in to_datasets(phantom, scanner=s)] for name, s in SCANNERS.items()}
    assert numbers["ge"] == [1, 2, 3, 4]
    assert numbers["siemens"] == [4, 3, 2, 1]


def test_every_scanner_turns_up() -> None:
    assert {scanner_of(seed).manufacturer for seed in range(40)} == {s.manufacturer for s in SCANNERS.values()}


def test_twelve_bits_hold_the_whole_scale(phantom: Phantom) -> None:
    stored = stored_values(phantom.volume_hu, SCANNERS["siemens"])
    assert stored.dtype == np.uint16
    assert int(stored.max()) <= 4095


def test_files_are_read_back(tmp_path, phantom: Phantom) -> None:
    images = to_datasets(phantom)
    paths = write_series(images, tmp_path / "series")
    assert [path.name for path in paths] == ["0000.dcm", "0001.dcm", "0002.dcm", "0003.dcm"]
    for path, image in zip(paths, images, strict=True):
        assert pydicom.dcmread(io.BytesIO(path.read_bytes())).SOPInstanceUID == image.SOPInstanceUID
