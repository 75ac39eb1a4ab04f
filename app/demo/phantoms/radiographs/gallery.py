"""A contact sheet of phantom radiographs with their boxes."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from app.demo.phantoms.radiographs.kinds import make_radiograph
from app.demo.phantoms.training_set import case_seed

_COLOURS = ((230, 159, 0), (86, 180, 233))


def contact_sheet(
    folder: Path, kind: str, seed: int = 1, count: int = 12, edge: int = 320, *, boxes: bool = True
) -> Path:
    """Draw radiographs of one kind into `folder/radiographs-<kind>.png`, four in a row.

    Args:
        folder: Receives the picture.
        kind: One of `kinds.KINDS`.
        seed: Of the set they are from.
        count: How many.
        edge: Pixels of a picture's place.
        boxes: Whether to draw the truth.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sheet = Image.new("RGB", (4 * edge, -(-count // 4) * edge))
    for index in range(count):
        radiograph = make_radiograph(kind, case_seed(seed, index), 512)
        picture = Image.fromarray((radiograph.picture * 255).astype(np.uint8)).convert("RGB")
        for mark in radiograph.marks if boxes else ():
            ImageDraw.Draw(picture).rectangle(mark.box, outline=_COLOURS[mark.index], width=2)
        picture.thumbnail((edge, edge))
        sheet.paste(picture, ((index % 4) * edge, (index // 4) * edge))
    path = folder / f"radiographs-{kind}.png"
    sheet.save(path)
    return path
