"""Small synthetic chests with a datalist: a disc is a lesion, a bright lower third an effusion."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monai.bundle import ConfigParser
from PIL import Image

SIDE = 120
CLASSES = ["lung_lesion", "pleural_effusion"]
CONFIGS = "bundles/chest_classification/configs"
SMALL = {"size": 64, "bfloat16": False, "device": "$torch.device('cpu')", "classes": CLASSES}


def drawn(generator: np.random.Generator, *, lesion: bool, effusion: bool) -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    image = 60 + 5 * generator.standard_normal((SIDE, SIDE))
    if lesion:
        x, y = generator.integers(30, 90), generator.integers(20, 60)
        image[np.hypot(rows - y, columns - x) < 14] += 120
    if effusion:
        image[rows > 85] += 90
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture
def make_datalist() -> Callable[[Path], Path]:
    """Writes twelve images, three of each combination, and a datalist that trains and validates on them."""

    def write(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        generator, rows = np.random.default_rng(5), []
        for number in range(12):
            lesion, effusion = bool(number % 2), bool(number // 2 % 2)
            image = drawn(generator, lesion=lesion, effusion=effusion)
            Image.fromarray(image).save(folder / f"{number}.png")
            labels = {"lung_lesion": int(lesion), "pleural_effusion": int(effusion)}
            rows.append({"image": f"{number}.png", "labels": labels})
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

    def read(*names: str, **overrides: Any) -> ConfigParser:
        parser = ConfigParser()
        parser.read_config([str(root / CONFIGS / f"{name}.yaml") for name in names])
        parser.update({**SMALL, **overrides})
        return parser

    return read


@pytest.fixture
def run_config(configured: Callable[..., ConfigParser]) -> Callable[..., ConfigParser]:
    """Runs a configuration in this process, as `python -m monai.bundle run` does, and returns its parser."""

    def run(*names: str, **overrides: Any) -> ConfigParser:
        parser = configured(*names, **overrides)
        parser.get_parsed_content("initialize")
        parser.get_parsed_content("run")
        return parser

    return run
