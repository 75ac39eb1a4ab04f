"""Decoding: what is stored, to the last bit, from every format and with every kind of recipe."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from pretraining.data.decode import Recipe, decode
from tests.unit.bundles.common.dicom import save
from tests.unit.pretraining.data.archive import ct_series, radiograph, save_nifti, save_picture


def _sources(folder: Path) -> list[tuple[tuple[Path, ...], str]]:
    generator = np.random.default_rng(1)
    voxels = {
        "fractions": generator.normal(0, 3, (3, 7, 9)).astype(np.float32),
        "wide": generator.integers(-200_000, 200_000, (3, 7, 9)).astype(np.int32),
        "hounsfield": generator.integers(-1024, 3071, (4, 17, 19)).astype(np.int16),
        "high": (generator.integers(0, 300, (4, 17, 19)) + 100_000).astype(np.int32),
        "halves": (generator.integers(-40, 40, (4, 17, 19)) + 0.5).astype(np.float32),
    }
    pictures = {
        "deep": generator.integers(0, 4096, (120, 130), dtype=np.uint16),
        "bright": np.where(np.arange(900).reshape(30, 30) < 3, 200, 10).astype(np.uint8),
    }
    found = [((save_nifti(folder / f"{name}.nii.gz", values),), "unknown") for name, values in voxels.items()]
    found += [((save_picture(folder / f"{name}.png", values),), "unknown") for name, values in pictures.items()]
    found += [((path,), "DX") for path in save(folder / "dx", [radiograph("A", 1), radiograph("A", 2, "MONOCHROME1")])]
    return [*found, (tuple(save(folder / "ct", ct_series("A"))), "CT")]


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (Recipe(), "e26e1aa33846a8b0"),
        (Recipe(percentiles=(2.5, 50.0)), "600d7586f2130e70"),
        (Recipe(bits=8), "55a75d26a639f553"),
        (Recipe(windows={"CT": (-100.0, 900.0), "unknown": (0.0, 200.0)}), "865a8e70176e45e6"),
        (Recipe(bits=8, windows={"unknown": (0.0, 200.0)}), "3d182fb4bca4153e"),
    ],
)
def test_what_is_stored_is_what_always_was(tmp_path: Path, recipe: Recipe, expected: str) -> None:
    """The digests were taken when percentiles were those of `np.percentile` and values passed through float32."""
    digest = hashlib.sha256()
    for paths, modality in _sources(tmp_path):
        for image in decode(paths, modality, recipe):
            assert not isinstance(image, str)
            told = (image.pixels.shape, str(image.pixels.dtype), image.black, image.white)
            digest.update(repr(told).encode() + image.pixels.tobytes())
    assert digest.hexdigest()[:16] == expected
