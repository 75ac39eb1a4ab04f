"""Three kinds of images: each picture once, no head on both sides, a split that tests on several heads."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundles.common.metrics.cases import patient_id
from pretraining.data.errors import ArchiveError
from pretraining.experiments.layout import SHARES
from pretraining.experiments.mixture import balanced, ct_single, ct_slices


def slice_of(seed: int, side: int = 48) -> np.ndarray:
    """A picture of its own."""
    coarse = np.random.default_rng(seed).integers(0, 255, (12, 12), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def single(folder: Path, pictures: list[np.ndarray], labels: list[int]) -> Path:
    """As the set of single slices lies in the folder of real images."""
    (folder / "images").mkdir(parents=True)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / "images" / f"{number:03d}.png")
    lines = [f"{number},{label}" for number, label in enumerate(labels)]
    (folder / "labels.csv").write_text("\n".join(["id, hemorrhage", *lines]) + "\n")
    return folder


def test_equal_slices_are_taken_once_and_nearly_equal_ones_are_of_one_head(tmp_path: Path) -> None:
    larger = np.asarray(Image.fromarray(slice_of(2)).resize((96, 96), Image.Resampling.BICUBIC))
    rows = ct_single(single(tmp_path, [slice_of(1), slice_of(1), slice_of(2), larger, slice_of(3)], [1, 1, 0, 0, 0]))
    assert [row["path"].name for row in rows] == ["000.png", "002.png", "003.png", "004.png"]
    assert [row["patient"] for row in rows] == ["head0", "head2", "head2", "head4"]


def test_coloured_slices_are_told_apart(tmp_path: Path) -> None:
    coloured = [np.repeat(slice_of(seed)[..., None], 3, axis=2) for seed in (1, 2, 2)]
    assert len(ct_single(single(tmp_path, coloured, [0, 0, 0]))) == 2


def test_equal_slices_with_different_labels_and_lost_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"001\.png is equal to 000\.png and has another label"):
        ct_single(single(tmp_path / "labels", [slice_of(1), slice_of(1)], [0, 1]))
    folder = single(tmp_path / "lost", [slice_of(1), slice_of(2)], [0, 1])
    (folder / "images" / "001.png").unlink()
    with pytest.raises(ArchiveError, match=r"001\.png: No such file"):
        ct_single(folder)


def test_a_large_prefix_is_learnt_from_and_several_are_tested_on(tmp_path: Path) -> None:
    counts = {"210": 40, **{str(n): 3 + n % 3 for n in range(20)}}
    (tmp_path / "train" / "images").mkdir(parents=True)
    (tmp_path / "train" / "labels").mkdir()
    seed = 0
    for prefix, count in counts.items():
        for number in range(count):
            seed += 1
            stem = f"{prefix}_{number}"
            Image.fromarray(slice_of(seed)).save(tmp_path / "train" / "images" / f"{stem}.jpg")
            box = "0 0.5 0.5 0.1 0.1" if int(prefix) % 2 == 0 else ""
            (tmp_path / "train" / "labels" / f"{stem}.txt").write_text(box)
    rows = ct_slices(tmp_path)
    assert len(rows) == sum(counts.values())
    of = {row["path"].name.split("_")[0]: row["patient"] for row in rows}
    assert len(set(of.values())) == len(counts)
    splits = {prefix: SHARES.split_of(patient_id(name)) for prefix, name in of.items()}
    assert splits["210"] == "train"
    for parity in (0, 1):
        found = [split for prefix, split in splits.items() if int(prefix) % 2 == parity]
        assert found.count("test") >= 2
        assert found.count("train") > found.count("test")
        assert "validate" in found


def test_the_split_is_the_same_whatever_the_order() -> None:
    groups = {f"g{n}": [n % 2] * (1 + n) for n in range(12)}
    assert balanced(groups) == balanced(dict(reversed(groups.items())))
    assert set(balanced(groups)) == set(groups)
