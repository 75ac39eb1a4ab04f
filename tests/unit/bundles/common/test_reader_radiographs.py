"""The one reader on radiographs: what is white is turned once, values are rescaled exactly, padding is background."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    UID,
    JPEG2000Lossless,
    JPEGLSLossless,
)

from bundles.common.decoding import LARGE
from bundles.common.reader import UnreadableImage, group_files, read_stack
from tests.unit.bundles.common.dicom import ct_slice, radiograph, save


def test_monochrome1_radiograph_is_inverted(tmp_path: Path) -> None:
    stack = read_stack(save(tmp_path, [radiograph()])[0])
    assert stack.array.tolist() == [[[1023, 923], [23, 0]]]
    assert (stack.units, stack.notes, stack.geometry, stack.positions_mm) == (
        "stored",
        ("MONOCHROME1, inverted",),
        None,
        (),
    )
    assert np.diag(stack.affine).tolist() == [0.5, 0.8, 1, 1]


@pytest.mark.parametrize(
    ("photometric", "shape", "turned", "notes"),
    [
        ("MONOCHROME1", "INVERSE", True, ("MONOCHROME1, inverted",)),
        ("MONOCHROME2", "IDENTITY", False, ()),
        (
            "MONOCHROME2",
            "INVERSE",
            True,
            (
                "PresentationLUTShape INVERSE, inverted",
                "MONOCHROME2 and PresentationLUTShape INVERSE contradict each other: it may be the wrong way",
            ),
        ),
        (
            "MONOCHROME1",
            "IDENTITY",
            True,
            (
                "MONOCHROME1, inverted",
                "MONOCHROME1 and PresentationLUTShape IDENTITY contradict each other: it may be the wrong way",
            ),
        ),
    ],
)
def test_an_inverse_presentation_turns_a_radiograph_once(
    tmp_path: Path, photometric: str, shape: str, turned: bool, notes: tuple[str, ...]
) -> None:
    image = radiograph(PhotometricInterpretation=photometric, PresentationLUTShape=shape)
    stack = read_stack(save(tmp_path, [image])[0])
    assert stack.array[0].tolist() == ([[1023, 923], [23, 0]] if turned else [[0, 100], [1000, 1023]])
    assert stack.notes == notes


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless], ids=lambda syntax: syntax.name)
@pytest.mark.parametrize(("bits", "signed"), [(8, False), (12, False), (16, False), (16, True)])
def test_a_large_compressed_image_gives_the_same_values(tmp_path: Path, syntax: UID, bits: int, signed: bool) -> None:
    """Other decoders take large images (`bundles.common.decoding`)."""
    ramp = np.linspace(0, 2**bits - 9, 1004).astype(np.int64) + np.zeros((LARGE // 1000, 1), np.int64)
    pixels = ramp + np.random.default_rng(2).integers(0, 9, ramp.shape)
    pixels = (pixels - (2 ** (bits - 1) if signed else 0)).astype(f"{'i' if signed else 'u'}{2 if bits > 8 else 1}")
    image = ct_slice(pixels=pixels, BitsStored=bits, HighBit=bits - 1)
    (plain,) = save(tmp_path / "plain", [image])
    image.compress(syntax, generate_instance_uid=False)
    (packed,) = save(tmp_path / "packed", [image])
    assert np.array_equal(read_stack(plain).array[0], pixels.astype(np.float32) - 1024)
    assert np.array_equal(read_stack(packed).array, read_stack(plain).array)
    packed.write_bytes(packed.read_bytes()[:-900])
    with pytest.raises(UnreadableImage, match=r"instance number 1.*truncated"):
        read_stack(packed)
    frame = get_frame(image.PixelData, 0, number_of_frames=1)
    image.PixelData = encapsulate([frame[: int(len(frame) * 0.6)]])
    with pytest.raises(UnreadableImage, match=r"instance number 1.*truncated"):
        read_stack(save(tmp_path / "cut", [image]))


@pytest.mark.parametrize(("slope", "intercept"), [("1", "0"), ("-1", "4095"), ("255", "-7"), ("0.25", "1.5")])
@pytest.mark.parametrize("signed", [False, True])
def test_a_turned_radiograph_is_rescaled_exactly(tmp_path: Path, slope: str, intercept: str, signed: bool) -> None:
    values = np.asarray([[-32768, -1], [0, 32767]]) if signed else np.asarray([[0, 1], [32768, 65535]])
    pixels = values.astype(np.int16 if signed else np.uint16)
    image = ct_slice(
        pixels=pixels, Modality="CR", PhotometricInterpretation="MONOCHROME1", RescaleSlope=slope,
        RescaleIntercept=intercept,
    )  # fmt: skip
    turned = (-1 if signed else 65535) - values
    expected = (turned * float(slope) + float(intercept)).astype(np.float32)
    assert read_stack(save(tmp_path, [image])[0]).array[0].tolist() == expected.tolist()


def test_two_radiographs_are_no_stack(tmp_path: Path) -> None:
    paths = save(tmp_path, [radiograph(InstanceNumber=n, SOPInstanceUID=f"1.2.{n}") for n in (1, 2)])
    with pytest.raises(UnreadableImage, match="the files hold 2 images, radiographs among them"):
        read_stack(paths)
    assert [len(group.frames) for group in group_files(paths)] == [1, 1]


def test_padding_of_a_radiograph_is_its_background(tmp_path: Path) -> None:
    image = radiograph()
    image.add_new("PixelPaddingValue", "US", 0)
    assert read_stack(save(tmp_path, [image])).array.tolist() == [[[0, 923], [23, 0]]]
