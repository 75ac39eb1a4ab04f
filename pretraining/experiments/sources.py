"""Radiographs of several sources in two looks: as they are, and with the energies of their bands made alike.

The thesis asks for a normalisation that unites the images of several institutes (seed 002, section 5.4); energy bands
are one (Philipsen et al. 2015; seed 001, section 3.3, Eq. 8). What a band is depends on the size of a pixel, so that
all images are shrunk to one side first.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from bundles.common.headers import UnreadableImage
from bundles.common.metrics.cases import patient_id
from bundles.common.reader import read_stack
from pretraining.data.errors import ArchiveError
from pretraining.data.files import whole_file
from pretraining.experiments.layout import SHARES
from pretraining.views.energy import EnergyReference

WRIST = "xr_wrist_grazped"
SOURCES = ("NIH", "NIH 64", "wrist")
SIDE = 64
# Values that 16 bits hold: scaled bands leave the range from black (0) to white (1).
RANGE = (-0.5, 1.5)
PLAIN, BANDS = "plain", "bands"
# GRAZPEDWRI-DX: patient_examination_…
NUMBER = re.compile(r"^(\d+)_")
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Looks:
    """What was made.

    Attributes:
        rows: With `path` of the plain image; the other look has the same name.
        reference: Energies that the bands were given.
        clipped: Share of the normalised pixels beyond `RANGE`.
        digest: SHA-256 over the normalised images, in the order of their names.
    """

    rows: list[dict[str, Any]]
    reference: EnergyReference
    clipped: float
    digest: str

    def about(self) -> dict[str, Any]:
        """For the datalist, so that the hash of the data depends on the second look as well."""
        return {"energy": {**asdict(self.reference), "clipped": round(self.clipped, 6), "normalised": self.digest}}


def source_rows(data: Path, radiographs: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows with `source`, `view`, and labels: `finding`, `small` (64² against 1000) and `wrist` (against the 1000).

    Args:
        data: Folder of the real images.
        radiographs: Rows of `nih_rows`.

    Raises:
        ArchiveError: No wrist is there, or one whose name begins with no patient.
    """
    rows = [
        {
            "path": row["path"],
            "patient": row["patient"],
            "source": SOURCES[row["small"]],
            "view": row["view"],
            "finding": row["finding"],
            "small": row["small"],
            "wrist": "" if row["small"] else 0,
        }
        for row in radiographs
    ]
    wrists = sorted((data / WRIST).glob("*.png"))
    if not wrists:
        raise ArchiveError(f"{data / WRIST}: no images (*.png); the folder of real images must hold it")
    for path in wrists:
        number = NUMBER.match(path.name)
        if number is None:
            raise ArchiveError(f"{path}: the name begins with no number, which tells whose image it is")
        own = {"path": path, "patient": f"w{number[1]}", "source": SOURCES[2], "view": ""}
        rows.append({**own, "finding": "", "small": "", "wrist": 1})
    return rows


def make_looks(rows: Sequence[Row], folder: Path, side: int = SIDE) -> Looks:
    """Write each image twice, `FOLDER/plain` and `FOLDER/bands`, as 16-bit PNG from 0 to 65535, the ends of `RANGE`.

    The reference is the mean energy of the first source's training patients: the test patients decide nothing.

    Args:
        rows: Of `source_rows`.
        folder: Receives both.
        side: Longest side in pixels; smaller images keep theirs.

    Raises:
        ArchiveError: An image cannot be read or has one value everywhere, names that are there twice, or no image of
            the first source among the training patients.
    """
    names = [f"{str(row['source']).replace(' ', '').lower()}_{row['path'].stem}.png" for row in rows]
    if len(set(names)) < len(names):
        raise ArchiveError("two images of one source have the same name; rename one of them")
    images = [shrunk(row["path"], side) for row in rows]
    learnt = [row["source"] == SOURCES[0] and _is_training(row) for row in rows]
    if sum(learnt) < 2:
        raise ArchiveError(f"{sum(learnt)} training images of {SOURCES[0]}: at least 2 tell how energies vary")
    reference = EnergyReference.fit(image for image, taken in zip(images, learnt, strict=True) if taken)
    digest, beyond, pixels = hashlib.sha256(), 0, 0
    made: dict[str, dict[str, Any]] = {}
    for name, row, image in sorted(zip(names, rows, images, strict=True), key=lambda one: one[0]):
        normalised = reference.normalise(image[None])[0]
        beyond += int(((normalised < RANGE[0]) | (normalised > RANGE[1])).sum())
        pixels += normalised.numel()
        _write(folder / PLAIN / name, _packed(image))
        digest.update(_write(folder / BANDS / name, _packed(normalised)))
        made[name] = {**row, "path": folder / PLAIN / name}
    return Looks([made[name] for name in names], reference, beyond / pixels, digest.hexdigest())


def shrunk(path: Path, side: int) -> torch.Tensor:
    """(1, rows, columns) from 0 (the darkest) to 1 (the brightest), no side longer than this.

    Raises:
        ArchiveError: It cannot be read, or has one value everywhere.
    """
    try:
        pixels = read_stack(path).array[0].astype(np.float32)
    except UnreadableImage as error:
        raise ArchiveError(f"{path}: {error}") from error
    low, high = float(pixels.min()), float(pixels.max())
    if not low < high:
        raise ArchiveError(f"{path}: every pixel has the same value; leave the image out")
    image = torch.from_numpy((pixels - low) / (high - low))[None]
    longest = max(pixels.shape)
    if longest <= side:
        return image
    size = tuple(max(1, round(length * side / longest)) for length in pixels.shape)
    return functional.interpolate(image[None], size=size, mode="area")[0]


def _is_training(row: Row) -> bool:
    return SHARES.split_of(patient_id(str(row["patient"]))) == "train"


def _packed(image: torch.Tensor) -> NDArray[np.uint16]:
    share = (image[0].clamp(*RANGE) - RANGE[0]) / (RANGE[1] - RANGE[0])
    packed: NDArray[np.uint16] = (share.double() * 65535).round().numpy().astype(np.uint16)
    return packed


def _write(path: Path, pixels: NDArray[np.uint16]) -> bytes:
    """Write a PNG and give the pixels' bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")
    return pixels.tobytes()
