"""The reader as MONAI sees it."""

import pickle
from pathlib import Path

import nibabel
import numpy as np
import pytest
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import LoadImaged, Orientation

from bundles.common.monai_reader import SeriesReader
from bundles.common.reader import UnreadableImage, read_stack
from tests.unit.bundles.common.dicom import ct_stack, save

NAME = "bundles.common.monai_reader.SeriesReader"


def load(source: object, **options: object) -> MetaTensor:
    return LoadImaged(keys="image", reader=NAME, ensure_channel_first=True, **options)({"image": source})["image"]


@pytest.mark.parametrize("tilt", [0.0, 18.5])
def test_nifti_for_training_equals_dicom_of_the_service(tmp_path: Path, tilt: float) -> None:
    paths = save(tmp_path / "dicom", ct_stack(tilt_deg=tilt), [3, 1, 0, 2, *range(4, 10)])
    stack = read_stack(paths)
    nibabel.save(nibabel.Nifti1Image(stack.array.T, stack.affine_ras), tmp_path / "a.nii.gz")
    service, training = load([str(path) for path in paths]), load(str(tmp_path / "a.nii.gz"))
    assert service.shape == training.shape == (1, 8, 6, 10)
    assert service.numpy().tolist() == training.numpy().tolist()
    assert service.affine.numpy() == pytest.approx(training.affine.numpy(), abs=1e-4)
    assert service.meta["positions_mm"] == pytest.approx(training.meta["positions_mm"], abs=1e-4)
    assert service.meta["shear"] == pytest.approx((0, np.tan(np.radians(tilt))), abs=1e-6)
    assert service.meta["tilt_deg"] == pytest.approx(tilt, abs=1e-4)


def test_index_order_is_column_row_slice(tmp_path: Path) -> None:
    paths = save(tmp_path, ct_stack())
    image = load(paths)
    stack = read_stack(paths)
    assert image[0, 5, 2, 7] == stack.array[7, 2, 5]
    assert (image.affine.numpy() @ (5, 2, 7, 1)).tolist() == [120 - 2.5, 110 - 1.6, 30 + 35, 1]


def test_metadata(tmp_path: Path) -> None:
    slices = ct_stack([0, 4, 8, 12, 13, 20])
    meta = load(save(tmp_path, slices)).meta
    assert meta["source_uids"] == [image.SOPInstanceUID for image in slices]
    assert meta["positions_mm"].tolist() == [30, 34, 38, 42, 43, 50]
    assert meta["origins_mm"].shape == (6, 3)
    assert (meta["units"], meta["modality"], meta["slice_spacing_mm"], meta["notes"]) == ("HU", "CT", 4, [])


def test_errors_reach_the_caller(tmp_path: Path) -> None:
    """MONAI tries its other readers when `read` raises; they would read this series without saying a word."""
    paths = save(tmp_path, ct_stack(RescaleSlope=None))
    with pytest.raises(UnreadableImage, match="CT without RescaleSlope"):
        load(paths)


def test_wrong_units_are_refused(tmp_path: Path) -> None:
    paths = save(tmp_path, ct_stack(Modality="MR"))
    with pytest.raises(UnreadableImage, match="'stored' units, expected HU"):
        load(paths, units="HU")


def test_config_parser_and_pickle(tmp_path: Path) -> None:
    paths = save(tmp_path, ct_stack())
    parser = ConfigParser({"load": {"_target_": "LoadImaged", "keys": "image", "reader": NAME, "units": "HU"}})
    transform = pickle.loads(pickle.dumps(parser.get_parsed_content("load")))
    assert transform({"image": tmp_path})["image"].shape == (8, 6, 10)
    assert pickle.loads(pickle.dumps(SeriesReader("HU"))).units == "HU"
    assert SeriesReader().verify_suffix(paths)


@pytest.mark.parametrize("axcodes", ["RAS", "LPS", "SAL", "PIR"])
@pytest.mark.parametrize(
    "directions", [(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), (-1, 0, 0, 0, 0, -1), (0.8, 0.6, 0, -0.48, 0.64, 0.6)]
)
def test_turned_while_reading_equals_monais_orientation_afterwards(
    tmp_path: Path, axcodes: str, directions: tuple[float, ...]
) -> None:
    images = ct_stack()
    normal = np.cross(directions[:3], directions[3:])
    for number, image in enumerate(images):
        image.ImageOrientationPatient = list(directions)
        image.ImagePositionPatient = [round(float(part), 6) for part in number * 5 * normal]
        pixels = np.arange(number, number + image.Rows * image.Columns) % 1000
        image.PixelData = pixels.astype(np.frombuffer(image.PixelData, "<u2").dtype).tobytes()
    paths = save(tmp_path, images)
    expected = Orientation(axcodes=axcodes, labels=None)(load(paths))
    turned = load(paths, axcodes=axcodes)
    assert turned.shape == expected.shape
    assert np.array_equal(turned.numpy(), expected.numpy())
    assert turned.affine.numpy() == pytest.approx(expected.affine.numpy(), abs=1e-9)
    assert turned.meta["source_uids"] == [image.SOPInstanceUID for image in images]
