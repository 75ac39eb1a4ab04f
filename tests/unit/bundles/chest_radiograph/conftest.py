"""Small synthetic radiographs with a datalist: bright discs are lesions, dark rims are pneumothoraces."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROWS, COLUMNS = 120, 150


def drawn(generator: np.random.Generator, kinds: tuple[int, ...]) -> tuple[np.ndarray, list[list[float]]]:
    """An image with one finding of each kind, side by side, and their boxes."""
    image = 120 + 10 * generator.standard_normal((ROWS, COLUMNS))
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    boxes = []
    for place, kind in enumerate(kinds):
        radius = generator.integers(14, 24)
        x = generator.integers(25, 50) + 75 * place
        y = generator.integers(28, ROWS - 28)
        distance = np.hypot(rows - y, columns - x)
        image[(distance < radius) if kind == 0 else (distance < radius) & (distance > radius - 7)] += (90, -90)[kind]
        boxes.append([float(x - radius), float(y - radius), float(x + radius), float(y + radius)])
    return np.clip(image, 0, 255).astype(np.uint8), boxes


@pytest.fixture
def make_datalist() -> Callable[[Path], Path]:
    """Writes eight images, two of them without findings, and a datalist that trains and validates on them."""

    def write(folder: Path) -> Path:
        generator = np.random.default_rng(3)
        every = [(0,), (1,), (0, 1), (1, 0), (), (0, 0), (1,), ()]
        rows = []
        for number, kinds in enumerate(every):
            image, boxes = drawn(generator, kinds)
            Image.fromarray(image).save(folder / f"{number}.png")
            labels = {"lesion": int(0 in kinds), "pneumothorax": int(1 in kinds)}
            rows.append({"image": f"{number}.png", "boxes": boxes, "classes": list(kinds), "labels": labels})
        sections = {
            section: [{**row, "patient": f"{section} {number}"} for number, row in enumerate(rows)]
            for section in ("training", "validation", "test")
        }
        path = folder / "datalist.json"
        path.write_text(json.dumps(sections))
        return path

    return write
