"""The one reader: pixels with a meaning, stacks in order, clear words for what cannot be read."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)
from pydicom.uid import EnhancedCTImageStorage as EnhancedCT

from bundles.common.headers import read_header
from bundles.common.reader import WORTH_THREADS, UnreadableImage, group_files, read_slice, read_stack
from tests.unit.bundles.common.dicom import AXIAL, CORONAL, SAGITTAL, ct_slice, ct_stack, radiograph, save


def test_stack_is_sorted_and_in_hounsfield_units(tmp_path: Path) -> None:
    slices = ct_stack([0, 5, 10])
    stack = read_stack(save(tmp_path, slices, [2, 0, 1]))
    assert stack.array.dtype == np.float32
    assert stack.array.tolist() == [(image.pixel_array.astype(int) - 1024).tolist() for image in slices]
    assert (stack.units, stack.modality, stack.photometric, stack.notes) == ("HU", "CT", "MONOCHROME2", ())
    assert stack.source_uids == tuple(image.SOPInstanceUID for image in slices)
    assert stack.positions_mm == (30, 35, 40)
    assert stack.affine.tolist() == [[0.5, 0, 0, -120], [0, 0.8, 0, -110], [0, 0, 5, 30], [0, 0, 0, 1]]
    assert stack.affine_ras.tolist() == [[-0.5, 0, 0, 120], [0, -0.8, 0, 110], [0, 0, 5, 30], [0, 0, 0, 1]]


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(6)), st.sampled_from([AXIAL, CORONAL, SAGITTAL]), st.floats(0, 25))
def test_order_of_arrival_never_matters(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], orientation: tuple[float, ...], tilt: float
) -> None:
    slices = ct_stack([0, 4, 8, 12, 13, 20], orientation, tilt)
    folder = tmp_path_factory.mktemp("series")
    expected = read_stack(sorted(save(folder, slices)))
    stack = read_stack(save(folder, slices, order))
    assert stack.source_uids == expected.source_uids == tuple(image.SOPInstanceUID for image in slices)
    assert stack.array.tolist() == expected.array.tolist()
    assert stack.geometry == expected.geometry


def test_a_long_series_is_read_by_several_threads_to_the_same_values(tmp_path: Path) -> None:
    slices = ct_stack([float(place) for place in range(WORTH_THREADS + 5)])
    stack = read_stack(save(tmp_path, slices))
    assert stack.array.tolist() == [(image.pixel_array.astype(int) - 1024).tolist() for image in slices]
    assert stack.source_uids == tuple(image.SOPInstanceUID for image in slices)


def test_of_several_slices_without_rescaling_in_a_long_series_the_first_is_named(tmp_path: Path) -> None:
    slices = ct_stack([float(place) for place in range(WORTH_THREADS + 5)])
    for number in (7, 8, 30):
        del slices[number].RescaleSlope
    with pytest.raises(UnreadableImage, match=rf"instance number {slices[7].InstanceNumber}\)"):
        read_stack(save(tmp_path, slices))


def test_reversed_numbering_is_sorted_by_position(tmp_path: Path) -> None:
    slices = ct_stack([15, 10, 5, 0])
    assert read_stack(save(tmp_path, slices)).source_uids == tuple(image.SOPInstanceUID for image in slices[::-1])


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless, JPEG2000Lossless,
     JPEGLSLossless],
    ids=lambda syntax: syntax.name,
)  # fmt: skip
@pytest.mark.parametrize("signed", [True, False])
def test_transfer_syntaxes_give_the_same_values(tmp_path: Path, syntax: str, signed: bool) -> None:
    pixels = np.random.default_rng(1).integers(0, 4000, (64, 64)).astype(np.int16 if signed else np.uint16)
    if signed:
        pixels -= 2000
    images = [ct_slice(number, (0, 0, 5 * number), pixels=pixels + number) for number in (1, 2, 3)]
    plain = read_stack(save(tmp_path / "plain", images)).array
    for image in images:
        if image.file_meta.TransferSyntaxUID == syntax:
            continue
        if syntax in (RLELossless, JPEG2000Lossless, JPEGLSLossless):
            image.compress(syntax, generate_instance_uid=False)
        elif syntax == ExplicitVRBigEndian:
            image.PixelData = image.pixel_array.astype(image.pixel_array.dtype.newbyteorder(">")).tobytes()
            image["PixelData"].VR = "OW"
            image.set_original_encoding(is_implicit_vr=False, is_little_endian=False)
        image.file_meta.TransferSyntaxUID = syntax
    folder = tmp_path / "other"
    folder.mkdir()
    for place, image in enumerate(images):
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        big = syntax == ExplicitVRBigEndian
        image.save_as(
            folder / f"{place}.dcm",
            implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=not big,
            force_encoding=True,
        )
    assert read_stack(folder).array.tolist() == plain.tolist()


def test_unused_high_bits_are_ignored(tmp_path: Path) -> None:
    pixels = np.asarray([[0x0FFF, 0x0800], [0x07FF, 0xF001]], dtype=np.uint16)
    image = ct_slice(pixels=pixels, BitsStored=12, HighBit=11, PixelRepresentation=1, RescaleIntercept=0)
    assert read_stack(save(tmp_path, [image])).array.tolist() == [[[-1, -2048], [2047, 1]]]


def test_fractional_rescale_is_computed_in_double_precision(tmp_path: Path) -> None:
    pixels = np.arange(48, dtype=np.uint16).reshape(6, 8) * 1000
    image = ct_slice(pixels=pixels, RescaleSlope="0.123", RescaleIntercept="-7.7")
    expected = (pixels.astype(np.float64) * 0.123 - 7.7).astype(np.float32)
    assert read_stack(save(tmp_path, [image])).array[0].tolist() == expected.tolist()


def test_padding_becomes_air_in_ct(tmp_path: Path) -> None:
    pixels = np.asarray([[-2000, -1], [0, 5]], dtype=np.int16)
    image = ct_slice(pixels=pixels, RescaleIntercept=0)
    image.add_new("PixelPaddingValue", "SS", -2000)
    assert read_stack(save(tmp_path, [image])).array.tolist() == [[[-1000, -1], [0, 5]]]


def test_padding_with_the_wrong_vr_is_understood(tmp_path: Path) -> None:
    pixels = np.asarray([[-2000, -1], [0, 5]], dtype=np.int16)
    image = ct_slice(pixels=pixels, RescaleIntercept=0)
    image.add_new("PixelPaddingValue", "US", 65536 - 2000)
    assert read_stack(save(tmp_path, [image])).array.tolist() == [[[-1000, -1], [0, 5]]]


def test_monochrome1_ct_keeps_its_physical_values(tmp_path: Path) -> None:
    stack = read_stack(save(tmp_path, [ct_slice(PhotometricInterpretation="MONOCHROME1")]))
    assert stack.array[0, 0, 1] == 101 - 1024
    assert stack.notes == ("MONOCHROME1, values kept because they are physical",)


def test_modality_lut(tmp_path: Path) -> None:
    image = radiograph(PhotometricInterpretation="MONOCHROME2")
    lut = Dataset()
    lut.add_new("LUTDescriptor", "US", [3, 99, 16])
    lut.add_new("LUTData", "US", [7, 8, 9])
    image.ModalityLUTSequence = [lut]
    assert read_stack(save(tmp_path, [image])).array.tolist() == [[[7, 8], [9, 9]]]


def test_enhanced_multiframe(tmp_path: Path) -> None:
    pixels = np.arange(72, dtype=np.int16).reshape(3, 4, 6)
    image = ct_slice(
        pixels=pixels, NumberOfFrames=3, SOPClassUID=EnhancedCT, ImagePositionPatient=None, PixelSpacing=None,
        ImageOrientationPatient=None, RescaleSlope=None, RescaleIntercept=None,
    )  # fmt: skip
    shared, measures, orientation, values = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, orientation.ImageOrientationPatient = [0.8, 0.5], list(AXIAL)
    values.RescaleSlope, values.RescaleIntercept = 2, -10
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    shared.PixelValueTransformationSequence = [values]
    image.SharedFunctionalGroupsSequence = [shared]
    image.PerFrameFunctionalGroupsSequence = []
    for place in (10, 0, 5):
        item, position = Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, place]
        item.PlanePositionSequence = [position]
        image.PerFrameFunctionalGroupsSequence.append(item)
    stack = read_stack(save(tmp_path, [image]))
    assert stack.array.tolist() == (pixels[[1, 2, 0]].astype(int) * 2 - 10).tolist()
    assert stack.positions_mm == (0, 5, 10)
    assert stack.source_uids == (image.SOPInstanceUID,) * 3


def test_localizer_in_the_series_is_left_out(tmp_path: Path) -> None:
    localizer = ct_slice(99, (0, -200, 0), CORONAL, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    paths = save(tmp_path, [localizer, *ct_stack()])
    stack = read_stack(paths)
    assert len(stack.array) == 10
    assert stack.notes == ("1 images of a localizer in the same series were left out",)
    assert [len(group.frames) for group in group_files(paths)] == [10, 1]


def test_a_single_localizer_still_reads(tmp_path: Path) -> None:
    localizer = ct_slice(1, (0, -200, 0), CORONAL, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    assert read_stack(save(tmp_path, [localizer])).array.shape == (1, 6, 8)


def test_repeated_position_keeps_the_lowest_instance_number(tmp_path: Path) -> None:
    slices = [*ct_stack(), ct_slice(11, (-120, -110, 45.001))]
    stack = read_stack(save(tmp_path, slices, [10, *range(10)]))
    assert stack.source_uids == tuple(image.SOPInstanceUID for image in slices[:10])
    assert stack.notes == (
        "1 image repeats the position of slice 4 and was left out; the lowest instance number was kept",
    )


def test_folder_tells_what_is_no_dicom(tmp_path: Path) -> None:
    save(tmp_path, ct_stack())
    (tmp_path / "README.txt").write_text("hello")
    assert read_stack(tmp_path).notes == ("1 files of the folder are not DICOM and were left out",)


REFUSED = {
    "colour": ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "only grey images are read"),
    "no rescale": ({"RescaleSlope": None}, "CT without RescaleSlope and RescaleIntercept"),
    "slope without end": ({"RescaleSlope": "inf", "Modality": "CR"}, "RescaleSlope is no finite number"),
    "intercept NaN": ({"RescaleIntercept": "NaN", "Modality": "CR"}, "RescaleIntercept is no finite number"),
    "slope 0": ({"RescaleSlope": 0}, "RescaleSlope is 0"),
    "short pixels": ({"PixelData": b"\0" * 40}, "truncated, 40 of 96 bytes"),
    "absurd size": ({"Rows": 60000, "Columns": 60000}, "more than the 600000000 voxels allowed"),
    "absurd rows": ({"Rows": 60000}, "60000 rows and 8 columns"),
    "absurd frames": ({"NumberOfFrames": 2_000_000}, "beyond reason"),
    "negative frames": ({"NumberOfFrames": -1}, "beyond reason"),
    "no rows": ({"Rows": None}, "are no size of an image"),
    "zero rows": ({"Rows": 0}, "are no size of an image"),
    "no pixels": ({"PixelData": None}, "no pixel data"),
    "bits": ({"BitsStored": 17}, "is no valid pixel"),
    "high bit": ({"BitsStored": 12, "HighBit": 15}, "HighBit 15 with BitsStored 12"),
    "no UID": ({"SeriesInstanceUID": None}, "SeriesInstanceUID is missing"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path: Path, case: str) -> None:
    changes, words = REFUSED[case]
    with pytest.raises(UnreadableImage, match=words) as caught:
        read_stack(save(tmp_path, [ct_slice(7, **changes)]))
    assert "instance number 7" in str(caught.value) or case == "absurd size"


@pytest.mark.parametrize("compressed", [False, True])
def test_truncated_file_names_its_instance(tmp_path: Path, compressed: bool) -> None:
    slices = ct_stack(pixels=np.random.default_rng(0).integers(0, 999, (64, 64)).astype(np.int16))
    if compressed:
        slices[3].compress(JPEG2000Lossless, generate_instance_uid=False)
    paths = save(tmp_path, slices)
    paths[3].write_bytes(paths[3].read_bytes()[:-900])
    with pytest.raises(UnreadableImage, match=r"instance number 4.*truncated"):
        read_stack(paths)


def test_not_dicom(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no image")
    with pytest.raises(UnreadableImage, match="text: not a DICOM file"):
        read_stack([tmp_path / "text"])
    with pytest.raises(UnreadableImage, match="holds no DICOM files"):
        read_stack(tmp_path)
    with pytest.raises(UnreadableImage, match="nowhere: No such file"):
        read_stack(tmp_path / "nowhere")
    with pytest.raises(UnreadableImage, match="no files given"):
        read_stack([])


def test_two_series_are_not_mixed(tmp_path: Path) -> None:
    paths = save(tmp_path, [*ct_stack(), *ct_stack(series="1.2.3")])
    with pytest.raises(UnreadableImage, match="belong to 2 series"):
        read_stack(paths)


def test_two_equal_stacks_in_one_series_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="none larger than all others"):
        read_stack(save(tmp_path, [*ct_stack(), *ct_stack(orientation=CORONAL)]))


def test_codestream_of_another_size_is_refused_before_decoding(tmp_path: Path) -> None:
    image = ct_slice(3, pixels=np.zeros((64, 64), np.int16))
    image.compress(JPEG2000Lossless, generate_instance_uid=False)
    image.Rows = 32
    with pytest.raises(UnreadableImage, match=r"instance number 3.*of another size"):
        read_stack(save(tmp_path, [image]))


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless, RLELossless], ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("keep", [0.99, 0.4])
def test_a_codestream_that_was_cut_before_it_was_wrapped_is_refused(tmp_path: Path, syntax: UID, keep: float) -> None:
    """The file is whole, so that nothing but the codestream tells."""
    image = ct_slice(3, pixels=np.random.default_rng(0).integers(0, 999, (64, 64)).astype(np.int16))
    image.compress(syntax, generate_instance_uid=False)
    frame = get_frame(image.PixelData, 0, number_of_frames=1)
    image.PixelData = encapsulate([frame[: int(len(frame) * keep)]])
    with pytest.raises(UnreadableImage, match=r"instance number 3.*truncated"):
        read_stack(save(tmp_path, [image]))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1500), st.integers(0, 255), st.integers(0, 1500))
def test_corrupt_bytes_never_raise_anything_else(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: int, cut: int
) -> None:
    path = save(tmp_path_factory.mktemp("corrupt"), [ct_slice()])[0]
    data = bytearray(path.read_bytes())
    data[min(place, len(data) - 1)] = value
    path.write_bytes(data[: len(data) - cut] if cut % 2 else data)
    with suppress(UnreadableImage):
        assert read_stack([path]).array.size > 0


@pytest.mark.parametrize("last", [False, True])
def test_a_long_series_with_a_localizer_is_read_slice_by_slice(tmp_path: Path, last: bool) -> None:
    """Long enough for several threads, and for memory made ready: of the right size, or of the localizer's."""
    localizer = ct_slice(
        99, (0, -200, 0), CORONAL, pixels=np.zeros((3, 4), np.int16), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
    )
    slices = save(tmp_path / "slices", ct_stack(tuple(range(40))))
    other = save(tmp_path / "localizer", [localizer])
    stack = read_stack([*slices, *other] if last else [*other, *slices])
    by_uid = {read_header(path).dataset.SOPInstanceUID: read_slice(path).array for path in slices}
    assert np.array_equal(stack.array, np.stack([by_uid[uid] for uid in stack.source_uids]))
    assert len(stack.array) == 40
