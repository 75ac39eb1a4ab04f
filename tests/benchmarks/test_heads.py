"""MR heads: reading beside MONAI's own reader, and what a worker needs for the largest volume that is taken.

Both readers take 300 uncompressed slices of 512×512 that the page cache holds, to a tensor in RAS: ours turns slices as
it reads them, MONAI's are turned by `Orientation`. Same values, same affine. In turn, a round each; the first does not
count.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import nibabel
import numpy as np
import pytest
from monai.data import MetaTensor, PydicomReader
from monai.transforms import Compose, LoadImage, Orientation

from app.demo.phantoms.dicom_writer import write_series
from bundles.common.monai_reader import SeriesReader
from tests.e2e.heads import ENHANCED, from_nifti

ROUNDS = 7
SLICES, SIDE = 300, 512
LEAST = 3.0


def series(folder: Path, slices: int = SLICES) -> Path:
    """An MR series of noise with an affine that turns over two axes of RAS, as axial series of scanners do."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 4096, (SIDE, SIDE, slices), dtype=np.int16)
    affine = np.diag([-0.45, -0.45, 0.6, 1.0])
    affine[:3, 3] = 115, 115, -90
    nibabel.save(nibabel.Nifti1Image(values, affine), folder / "volume.nii")
    write_series(from_nifti(folder / "volume.nii", ENHANCED), folder / "series")
    return folder / "series"


def _timed(read: Callable[[str], MetaTensor], folder: Path) -> tuple[float, MetaTensor]:
    start = time.perf_counter()
    image = read(str(folder))
    return time.perf_counter() - start, image


@pytest.mark.bench
def test_a_series_is_oriented_in_a_third_of_monais_time(tmp_path: Path) -> None:
    folder = series(tmp_path)
    ours = LoadImage(reader=SeriesReader(axcodes="RAS"), image_only=True, ensure_channel_first=True)
    load = LoadImage(reader=PydicomReader(), image_only=True, ensure_channel_first=True)
    theirs = Compose([load, Orientation(axcodes="RAS", labels=None)])
    ratios, seconds = [], []
    for number in range(ROUNDS + 1):
        peer_s, expected = _timed(theirs, folder)
        own_s, image = _timed(ours, folder)
        if number == 0:
            assert image.shape == expected.shape == (1, SIDE, SIDE, SLICES)
            assert np.array_equal(image.numpy(), expected.numpy())
            assert np.allclose(image.affine.numpy(), expected.affine.numpy(), atol=1e-6)
        else:
            ratios.append(peer_s / own_s)
            seconds.append((peer_s, own_s))
        del image, expected
    slow, fast = (median(column) for column in zip(*seconds, strict=True))
    print(f"\n{SLICES} slices of {SIDE}²: MONAI {slow:.2f} s, ours {fast:.2f} s, {median(ratios):.1f} ×")
    assert median(ratios) >= LEAST
