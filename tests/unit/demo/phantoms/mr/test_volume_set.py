"""Training sets: what the datalist says is what the files hold; the rule without learning sees blobs."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from app.demo.phantoms.mr.baseline import blob_score, compact_score
from app.demo.phantoms.mr.metastases import sample_count
from app.demo.phantoms.mr.volume_set import write_case

SPACING = 4.0


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], int]:
    folder = tmp_path_factory.mktemp("set")
    seed = next(seed for seed in range(100) if sample_count(seed) >= 2)
    return folder, write_case(folder, SPACING, seed), seed


def test_a_case_holds_what_its_line_says(written: tuple[Path, dict[str, Any], int]) -> None:
    folder, line, seed = written
    image, mask = nibabel.load(folder / line["image"]), nibabel.load(folder / line["mask"])
    labels = np.asarray(mask.dataobj)
    assert mask.get_data_dtype() == np.uint8
    assert image.shape == labels.shape
    np.testing.assert_allclose(mask.affine, image.affine)
    np.testing.assert_allclose(np.linalg.norm(image.affine[:3, :3], axis=0), SPACING, rtol=1e-5)
    assert line["slices"] == [int(flag) for flag in (labels > 0).any(axis=(0, 1))]
    assert (line["label"], line["seed"], line["patient"]) == (1, seed, f"PHANTOM-MR-{seed}")
    for lesion in line["lesions"]:
        index = np.argwhere(labels == lesion["number"])
        assert len(index) == lesion["voxels"]
        ras = (image.affine @ [*index.mean(axis=0), 1])[:3]
        np.testing.assert_allclose(ras * [-1, -1, 1], lesion["centre_mm"], atol=0.01)
        assert lesion["diameter_mm"] >= 2


def test_a_case_that_is_there_is_kept_and_another_spacing_refused(written: tuple[Path, dict[str, Any], int]) -> None:
    folder, line, seed = written
    before = (folder / line["image"]).stat().st_mtime_ns
    assert write_case(folder, SPACING, seed) == line
    assert (folder / line["image"]).stat().st_mtime_ns == before
    with pytest.raises(ValueError, match=r"4\.0 mm, not 2\.0 mm"):
        write_case(folder, 2.0, seed)


def _ball(around: tuple[float, float, float], radius_mm: float) -> np.ndarray:
    """A ball, 1 inside, on a grid of 2 mm; positions (z, y, x) from its middle, mm."""
    axis = np.arange(72) * 2.0 - 72
    away = np.sqrt(
        sum((mesh - at) ** 2 for mesh, at in zip(np.meshgrid(axis, axis, axis, indexing="ij"), around, strict=True))
    )
    return (away < radius_mm).astype(np.float32)


def test_the_baselines_see_a_ball_whatever_the_scale_and_one_of_them_no_vessel() -> None:
    steps = (2.0, 2.0, 2.0)
    noise = 0.02 * np.random.default_rng(1).normal(size=(72, 72, 72)).astype(np.float32)
    head = _ball((0, 0, 0), 66) + noise
    blob, vessel = head + _ball((9, 0, -14), 6), head.copy()
    vessel[30:34, 20:50, 40:42] += 1
    assert blob_score(blob, steps) > 3 * blob_score(head, steps)
    assert blob_score(vessel, steps) > 3 * blob_score(head, steps)
    assert compact_score(head, steps) == compact_score(vessel, steps) == 0
    assert compact_score(blob, steps) == pytest.approx(4 / 3 * np.pi * 6**3, rel=0.35)
    for score in (blob_score, compact_score):
        assert score(400 * blob, steps) == pytest.approx(score(blob, steps), rel=1e-3)
        assert score(np.zeros((20, 20, 20)), steps) == 0.0
