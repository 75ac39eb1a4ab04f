"""Is a picture on both sides of a split? By the hash of its values, and by what is left of it when it is shrunk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from bundles.common.metrics.cases import case_id
from bundles.common.reader import read_stack
from pretraining.data.errors import ArchiveError
from pretraining.experiments.datalists import Datalist

SIDE = 24
SHOWN = 5
BLOCK = 512


@dataclass(frozen=True, slots=True)
class Leaks:
    """Test images that learning has seen.

    Attributes:
        same: Pairs (learning, test) of `case_id` with equal pixels.
        near: Pairs whose shrunk pictures correlate above the limit, without those of `same`.
        highest: Largest correlation over the pairs that are not the same.
    """

    same: tuple[tuple[str, str], ...]
    near: tuple[tuple[str, str], ...]
    highest: float


def look(datalist: Datalist, near: float) -> Leaks:
    """Compare every test image with every one of training and validation.

    Args:
        datalist: Of images.
        near: Correlation of the pictures, shrunk to 24×24, from which two are near-duplicates.
    """
    learn = [str(row["image"]) for row in datalist.rows("training", "validation")]
    test = [str(row["image"]) for row in datalist.rows("test")]
    seen, asked = (_signatures(datalist.images, names) for names in (learn, test))
    same, close = [], []
    highest = -1.0
    for start in range(0, len(test), BLOCK):
        correlation = asked[1][start : start + BLOCK] @ seen[1].T
        equal = np.array(asked[0][start : start + BLOCK])[:, None] == np.array(seen[0])[None]
        same += [(case_id(learn[j]), case_id(test[start + i])) for i, j in np.argwhere(equal)]
        close += [(case_id(learn[j]), case_id(test[start + i])) for i, j in np.argwhere(~equal & (correlation >= near))]
        highest = max(highest, float(correlation[~equal].max(initial=-1)))
    return Leaks(tuple(same), tuple(close), highest)


def refuse(datalist: Datalist, leaks: Leaks, *, allow_near: bool) -> None:
    """Stop where there are any.

    Raises:
        ArchiveError: Same pictures, or near-duplicates that are not allowed.
    """
    for what, pairs, allowed in (("equal", leaks.same, False), ("nearly equal", leaks.near, allow_near)):
        if pairs and not allowed:
            some = "; ".join(f"{one} and {other}" for one, other in pairs[:SHOWN])
            raise ArchiveError(
                f"{datalist.path}: {len(pairs)} pairs of images to learn from and to test on are {what} ({some}, by "
                "hash of the name); put both on one side, or leave one out"
            )


def signature(pixels: NDArray[np.generic]) -> tuple[str, NDArray[np.float32]]:
    """Hash of the values, and the picture shrunk to 24×24, centred, of length 1.

    Args:
        pixels: (rows, columns); of a volume its middle slice.
    """
    plane = np.ascontiguousarray(pixels)
    if plane.ndim > 2:
        plane = plane.reshape(-1, *plane.shape[-2:])[len(plane.reshape(-1, *plane.shape[-2:])) // 2]
    digest = hashlib.sha256(str(plane.shape).encode() + plane.tobytes()).hexdigest()
    image = torch.from_numpy(plane.astype(np.float32))[None, None]
    small = functional.interpolate(image, (SIDE, SIDE), mode="area").flatten().numpy()
    small = small - small.mean()
    length = float(np.linalg.norm(small))
    return digest, (small / length if length > 0 else small).astype(np.float32)


def _signatures(folder: Path, names: Sequence[str]) -> tuple[list[str], NDArray[np.float32]]:
    made = [signature(read_stack([folder / name]).array) for name in names]
    return [digest for digest, _ in made], np.stack([small for _, small in made])
