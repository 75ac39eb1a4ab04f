"""Heat maps of classifiers: where a network looked in an image, one small grey picture for each finding that it called
present there.

They are for the page of a study alone, and in no document; so they lie beside the documents in the folder of results
for as long as those do, and go with them. They are never part of a `Report`, which the workflow database holds.
"""

import os
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LONGEST: Final = 512
"""Pixels of the longer side: a heat map is that of a layer with far fewer."""
Grey = NDArray[np.uint8]


def heat_name(bundle: str, finding: str, sop_instance_uid: str) -> str:
    """What the heat map of a finding in an image is called; says nothing of whose it is, nor of the image's UID."""
    return sha256(f"{len(bundle)}:{bundle}{len(finding)}:{finding}{sop_instance_uid}".encode()).hexdigest()[:32]


def heat_file(folder: Path, name: str) -> Path:
    """Where a heat map lies in the folder of results of its study revision."""
    return folder / f".heat-{name}.png"


def keep_heat(path: Path, heat: Grey) -> None:
    """Write a heat map as PNG of 8 bits of grey, durably and in full or not at all.

    Args:
        path: See `heat_file`.
        heat: (rows, columns) over the whole image, 0 nothing to 255 most; averaged down to `LONGEST` where it is
            larger.

    Raises:
        OSError: The disk is full or the folder cannot be written.
    """
    picture, content = Image.fromarray(heat, "L"), BytesIO()
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.BOX)
    picture.save(content, "PNG")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content.getvalue())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
