"""Headers: what is refused before anything large is read."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from bundles.common import headers
from bundles.common.headers import UnreadableImage, frames_of, read_header
from tests.unit.bundles.common.dicom import ct_slice, save


def deflated(folder: Path) -> Path:
    image = ct_slice(pixels=np.zeros((512, 512), np.int16))
    image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return save(folder, [image])[0]


def test_deflate_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = deflated(tmp_path)
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(headers, "MAX_INFLATED_BYTES", 100_000)
    with pytest.raises(UnreadableImage, match="deflated data grow beyond 100000 bytes"):
        read_header(path)


def test_deflated_header_reads(tmp_path: Path) -> None:
    header = read_header(deflated(tmp_path))
    assert header.problem is None
    assert [(frame.rows, frame.columns) for frame in frames_of(header)] == [(512, 512)]


@pytest.mark.parametrize(
    "orientation",
    [[1, 0, 0, 0, 0, 0], [2, 0, 0, 0, 1, 0], [1, 0, 0, 1, 0, 0], [1, 0, 0], [0] * 6],
)
def test_impossible_orientation_is_no_place(tmp_path: Path, orientation: list[float]) -> None:
    image = ct_slice()
    image.ImageOrientationPatient = orientation
    (frame,) = frames_of(read_header(save(tmp_path, [image])[0]))
    assert frame.orientation is None
    assert not frame.located


def test_zero_pixel_spacing_is_no_spacing(tmp_path: Path) -> None:
    (frame,) = frames_of(read_header(save(tmp_path, [ct_slice(spacing=(0, 0))])[0]))
    assert frame.pixel_spacing_mm is None
