"""Uncompressed pixels straight from the file: the values that pydicom gives, whatever header lies around them."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from bundles.common.headers import FRAME_KEYWORDS, UnreadableImage, read_header
from bundles.common.pixels import PIXEL_KEYWORDS, is_native, native_frame
from tests.unit.bundles.common.dicom import ct_stack, save


def write(folder: Path, values: np.ndarray, syntax: str, bits: int, *, signed: bool) -> Path:
    """An image of several frames whose pixel data are `values` (frames, rows, columns), bit for bit."""
    (image,) = ct_stack([0])
    image.NumberOfFrames, image.Rows, image.Columns = values.shape
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, bits, bits - 1, int(signed)
    image.PixelData = values.astype("<u2").tobytes()
    image["PixelData"].VR = "OW"
    image.file_meta.TransferSyntaxUID = syntax
    path = folder / "image.dcm"
    image.save_as(path, enforce_file_format=True)
    return path


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 7)),
    syntax=st.sampled_from([ImplicitVRLittleEndian, ExplicitVRLittleEndian]),
    bits=st.integers(1, 16),
    signed=st.booleans(),
)
def test_every_frame_is_as_pydicom_reads_it(
    seed: int, shape: tuple[int, int, int], syntax: str, bits: int, *, signed: bool
) -> None:
    """Bits above those stored are set too, as overlays of old systems set them."""
    values = np.random.default_rng(seed).integers(0, 2**16, shape, dtype=np.uint16)
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), values, syntax, bits, signed=signed)
        header = read_header(path, (*FRAME_KEYWORDS, *PIXEL_KEYWORDS))
        expected = dcmread(path).pixel_array.reshape(shape)
        assert is_native(header)
        for index in range(shape[0]):
            assert np.array_equal(native_frame(header, index), expected[index])


def test_compressed_pixels_are_left_to_decoders(tmp_path: Path) -> None:
    (path,) = save(tmp_path, ct_stack([0]))
    image = dcmread(path)
    image.compress(RLELossless)
    image.save_as(path)
    header = read_header(path, (*FRAME_KEYWORDS, *PIXEL_KEYWORDS))
    assert not is_native(header)


def test_a_file_that_ends_while_it_is_read_is_named(tmp_path: Path) -> None:
    (path,) = save(tmp_path, ct_stack([0]))
    header = read_header(path, (*FRAME_KEYWORDS, *PIXEL_KEYWORDS))
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(UnreadableImage, match="truncated"):
        native_frame(header, 0)
