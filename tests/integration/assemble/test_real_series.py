"""Real series and pydicom's own test files through assembling and the reader, beside independent readers."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
import SimpleITK
from pydicom.pixels import apply_modality_lut
from scipy.spatial.transform import Rotation

from app.assemble import assemble, check_geometry
from app.errors import Rejected
from bundles.common.contract import GeometryLimits
from bundles.common.geometry import gaps_mm, point, shear, spacing_mm, tilt_deg
from bundles.common.reader import UnreadableImage, read_stack
from bundles.common.spacing import Block, blocks
from tests.unit.bundles.common.dicom import AXIAL, CORONAL, SAGITTAL, ct_stack, save

PYDICOM_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
HEAD = GeometryLimits(min_slices=8, max_slices=400)


def reference(path: Path) -> npt.NDArray[np.float64]:
    """Slow and obvious: pydicom's array, its modality LUT, padding to air in CT, MONOCHROME1 inverted."""
    dataset = pydicom.dcmread(path)
    stored = dataset.pixel_array.astype(np.int64)
    values = np.asarray(apply_modality_lut(stored, dataset), dtype=np.float64)
    if dataset.Modality == "CT" and "PixelPaddingValue" in dataset:
        values[stored == dataset.PixelPaddingValue] = -1000
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        values = 2**dataset.BitsStored - 1 - values
    return values


def test_ge_head_with_tilt_and_two_blocks(imaging_data: Path) -> None:
    files = sorted((imaging_data / "dicom" / "ct_head_ge").iterdir())
    study = assemble(files)
    (series,) = study.series
    geometry = series.geometry
    assert geometry is not None
    assert (len(series.instances), series.modality, geometry.plane) == (28, "CT", "axial")
    assert [instance.instance_number for instance in series.instances] == list(range(1, 29))
    assert tilt_deg(geometry) == pytest.approx(18.5, abs=0.001)
    assert shear(geometry) == pytest.approx((0, -np.tan(np.radians(18.5))), abs=1e-4)
    assert spacing_mm(geometry) == pytest.approx(4.002, abs=0.001)
    found = blocks([float(gap) for gap in gaps_mm(geometry)], 0.1)
    assert found == (Block(0, 13, pytest.approx(4.002, abs=1e-3)), Block(14, 27, pytest.approx(6.999, abs=1e-3)))
    assert gaps_mm(geometry)[13] == pytest.approx(1.081, abs=0.001)
    assert check_geometry(series, HEAD) == (
        "slice 15 of 28 (instance number 15) lies 1.1 mm from its neighbour, expected 4.0 mm: the spacing varies"
    )
    blocked = GeometryLimits(min_slices=8, allow_variable_spacing=True)
    assert check_geometry(series, blocked) == ("the slices are tilted by 18.5° (gantry tilt), expected at most 1.0°")
    assert check_geometry(series, GeometryLimits(min_slices=8, allow_variable_spacing=True, max_tilt_deg=30)) is None


def test_ge_head_without_a_slice(imaging_data: Path) -> None:
    files = sorted((imaging_data / "dicom" / "ct_head_ge").iterdir())
    (series,) = assemble(files[:20] + files[21:]).series
    assert check_geometry(series, GeometryLimits(min_slices=8, allow_variable_spacing=True, max_tilt_deg=30)) == (
        "slice 21 of 27 (instance number 22) lies 14.0 mm from its neighbour, expected 7.0 mm: a slice is missing"
    )


def test_ge_head_pixels_and_points(imaging_data: Path) -> None:
    files = sorted((imaging_data / "dicom" / "ct_head_ge").iterdir())
    stack = read_stack(files[::-1])
    assert stack.units == "HU"
    assert stack.array.tolist() == [reference(path).tolist() for path in files]
    for place in (0, 14, 27):
        image = SimpleITK.ReadImage(str(files[place]))
        expected = image.TransformIndexToPhysicalPoint((100, 200, 0))
        assert stack.geometry is not None
        assert point(stack.geometry, place, 200, 100) == pytest.approx(expected, abs=1e-3)


def test_mprage_is_a_regular_axial_stack(imaging_data: Path) -> None:
    folder = imaging_data / "dicom" / "mr_t1c_mprage"
    (series,) = assemble(sorted(folder.iterdir())[::-1]).series
    assert series.geometry is not None
    assert (len(series.instances), series.geometry.plane, spacing_mm(series.geometry)) == (120, "axial", 1.5)
    assert check_geometry(series, HEAD) is None
    assert "ContrastBolusAgent" not in series.headers
    stack = read_stack(folder)
    assert (stack.array.shape, stack.units) == ((120, 512, 512), "stored")
    assert stack.array[60].tolist() == reference(series.instances[60].path).tolist()


def test_one_slice_is_too_few(imaging_data: Path) -> None:
    (series,) = assemble([imaging_data / "dicom" / "ct_head_slice" / "693_UNCI.dcm"]).series
    assert check_geometry(series, HEAD) == "1 slice, expected 8 to 400"


@pytest.mark.parametrize("name", ["693_J2KR.dcm", "693_UNCI.dcm"])
def test_head_slice(imaging_data: Path, name: str) -> None:
    path = imaging_data / "dicom" / "ct_head_slice" / name
    assert read_stack(path).array.tolist() == [reference(path).tolist()]


def test_jpeg2000_and_its_decoded_twin_have_the_same_hounsfield_units(imaging_data: Path) -> None:
    """693_UNCI is pydicom's 693_J2KI, decoded; 693_J2KR is another, lossless encoding of the original."""
    plain = read_stack(imaging_data / "dicom" / "ct_head_slice" / "693_UNCI.dcm")
    compressed = read_stack(PYDICOM_FILES / "693_J2KI.dcm")
    assert plain.array.tolist() == compressed.array.tolist()


@pytest.mark.parametrize("name", ["RG1_J2KI.dcm", "RG1_JLSN.dcm", "RG2_J2KR.dcm", "RG3_JLSL.dcm"])
def test_radiographs(imaging_data: Path, name: str) -> None:
    path = imaging_data / "dicom" / "cr" / name
    stack = read_stack(path)
    assert stack.array[0].tolist() == reference(path).tolist()
    inverted = pydicom.dcmread(path, stop_before_pixels=True).PhotometricInterpretation == "MONOCHROME1"
    assert stack.notes == (("MONOCHROME1, inverted",) if inverted else ())
    assert stack.geometry is None


GREY = [
    "693_J2KI.dcm", "CT_small.dcm", "J2K_pixelrep_mismatch.dcm", "JPEG2000.dcm", "MR_small.dcm", "MR_small_RLE.dcm",
    "MR_small_bigendian.dcm", "MR_small_expb.dcm", "MR_small_implicit.dcm", "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm", "JPGExtended.dcm", "examples_overlay.dcm", "image_dfl.dcm",
    "rtdose_rle_1frame.dcm", "rtdose_expb_1frame.dcm",
]  # fmt: skip


@pytest.mark.parametrize("name", GREY)
def test_transfer_syntaxes_agree_with_pydicom(name: str) -> None:
    path = PYDICOM_FILES / name
    assert read_stack(path).array[0].tolist() == reference(path).astype(np.float32).tolist()


def test_every_test_file_of_pydicom_ends_in_words_or_pixels() -> None:
    outcomes = {path.name: outcome(path) for path in sorted(PYDICOM_FILES.rglob("*.dcm"))}
    assert (
        outcomes["MR_truncated.dcm"]
        == "MR_truncated.dcm (instance number 1): truncated, 8130 of 8192 bytes of pixel data"
    )
    assert outcomes["no_meta.dcm"] == "no_meta.dcm: not a DICOM file"
    assert outcomes["CT_small.dcm"] == "read"
    assert outcomes["SC_rgb_rle.dcm"].endswith("only grey images are read")


def outcome(path: Path) -> str:
    with suppress(Rejected):
        assemble([path])
    try:
        read_stack(path)
    except UnreadableImage as error:
        return str(error)
    return "read"


OBLIQUE = tuple(Rotation.from_euler("xyz", (12, -7, 25), degrees=True).as_matrix()[:, :2].T.ravel())
FEET_FIRST = (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, SAGITTAL, OBLIQUE, FEET_FIRST])
@pytest.mark.parametrize("reverse", [False, True])
def test_simpleitk_puts_the_same_voxel_at_the_same_point(
    tmp_path: Path, orientation: tuple[float, ...], reverse: bool
) -> None:
    places = list(range(0, 40, 4))
    paths = save(tmp_path, ct_stack(places[::-1] if reverse else places, orientation))
    names = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path))
    theirs = SimpleITK.ReadImage(names)
    stack = read_stack(paths)
    for index in [(0, 0, 0), (7, 5, 9), (3, 2, 4)]:
        place = stack.affine @ (*index, 1)
        their_index = theirs.TransformPhysicalPointToContinuousIndex([float(part) for part in place[:3]])
        nearest = [round(part) for part in their_index]
        assert their_index == pytest.approx(nearest, abs=1e-3)
        assert theirs[nearest] == stack.array[index[::-1]]
