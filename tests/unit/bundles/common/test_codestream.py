"""What a compressed image claims of its own size."""

from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.encaps import get_frame

from bundles.common.codestream import claimed_size, ends_early

FILES = Path(pydicom.__file__).parent / "data" / "test_files"


@pytest.mark.parametrize(
    "name",
    [
        "JPEG2000.dcm",
        "JPGExtended.dcm",
        "JPEGLSNearLossless_16.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
    ],
)
def test_size_of_real_codestreams(name: str) -> None:
    dataset = pydicom.dcmread(FILES / name)
    assert claimed_size(dataset.PixelData) == (dataset.Rows, dataset.Columns)


def test_rle_tells_no_size() -> None:
    assert claimed_size(pydicom.dcmread(FILES / "MR_small_RLE.dcm").PixelData) is None


@given(st.binary(max_size=60), st.sampled_from([b"", b"\xff\xd8\xff", b"\xff\x4f\xff\x51"]))
def test_anything_else_tells_a_size_or_none(data: bytes, start: bytes) -> None:
    size = claimed_size(start + data)
    assert size is None or len(size) == 2


@pytest.mark.parametrize(
    "name",
    [
        "JPGExtended.dcm",  # padded with ones
        "JPEGLSNearLossless_08.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        "SC_rgb_small_odd_jpeg.dcm",
    ],
)
def test_a_real_codestream_has_an_end_until_it_is_cut(name: str) -> None:
    frame = get_frame(pydicom.dcmread(FILES / name).PixelData, 0, number_of_frames=1)
    assert not ends_early(frame)
    assert not ends_early(frame + b"\0")
    for keep in (0.99, 0.5, 0.1):
        assert ends_early(frame[: int(len(frame) * keep)])


@pytest.mark.parametrize("name", ["JPEG2000.dcm", "MR_small_RLE.dcm"])
def test_of_other_codestreams_their_decoders_tell(name: str) -> None:
    frame = get_frame(pydicom.dcmread(FILES / name).PixelData, 0, number_of_frames=1)
    assert not ends_early(frame[: len(frame) // 2])
