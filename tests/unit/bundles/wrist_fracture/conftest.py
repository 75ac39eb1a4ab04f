"""Small synthetic wrists with a datalist: two bones, and a bright disc on one of them is the fracture."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monai.bundle import ConfigParser
from PIL import Image

ROWS, COLUMNS = 160, 110
RADIUS = 13
CONFIGS = "bundles/wrist_fracture/configs"
SMALL = {"size": 64, "bfloat16": False, "device": "$torch.device('cpu')"}


def drawn(generator: np.random.Generator, *, broken: bool) -> tuple[np.ndarray, list[list[float]]]:
    """An image and the box of its fracture."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    image = 40 + 5 * generator.standard_normal((ROWS, COLUMNS))
    image[:, 20:45] += 60
    image[:, 62:90] += 60
    if not broken:
        return np.clip(image, 0, 255).astype(np.uint8), []
    x, y = generator.choice([32, 76]), generator.integers(RADIUS, ROWS - RADIUS)
    image[np.hypot(rows - y, columns - x) < RADIUS] += 90
    return np.clip(image, 0, 255).astype(np.uint8), [[x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS]]


@pytest.fixture
def make_datalist() -> Callable[[Path], Path]:
    """Writes eight images, every second with a fracture, and a datalist that trains and validates on them."""

    def write(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        generator, rows = np.random.default_rng(5), []
        for number in range(8):
            broken = number % 2 == 0
            image, boxes = drawn(generator, broken=broken)
            Image.fromarray(image).save(folder / f"{number}.png")
            boxes = [[float(edge) for edge in box] for box in boxes]
            row = {"image": f"{number}.png", "boxes": boxes, "classes": [0] * len(boxes)}
            rows.append({**row, "labels": {"fracture": int(broken)}})
        sections = {
            section: [{**row, "patient": f"{section} {number}"} for number, row in enumerate(rows)]
            for section in ("training", "validation", "test")
        }
        path = folder / "datalist.json"
        path.write_text(json.dumps(sections))
        return path

    return write


@pytest.fixture
def configured(root: Path) -> Callable[..., ConfigParser]:
    """A configuration of the bundle at 64 × 64 pixels on the CPU, with overrides."""

    def read(name: str, **overrides: Any) -> ConfigParser:
        parser = ConfigParser()
        parser.read_config(str(root / CONFIGS / f"{name}.yaml"))
        parser.update({**SMALL, **overrides})
        return parser

    return read


@pytest.fixture
def run_config(configured: Callable[..., ConfigParser]) -> Callable[..., ConfigParser]:
    """Runs a configuration in this process, as `python -m monai.bundle run` does, and returns its parser."""

    def run(name: str, **overrides: Any) -> ConfigParser:
        parser = configured(name, **overrides)
        parser.get_parsed_content("initialize")
        parser.get_parsed_content("run")
        return parser

    return run
