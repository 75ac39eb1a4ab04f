"""Heads drawn from ellipsoids with bright balls in them, in any orientation: enough for geometry and for training."""

import json
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor

CONFIGS = "bundles/brain_metastasis/configs"
ORIENTATIONS = [(axes, signs) for axes in permutations(range(3)) for signs in np.ndindex(2, 2, 2)]
"""All 48 ways in which array axes may lie to the patient."""


def affine_of(axes: Any, signs: Any, spacing: Any, shape: Any, turn: np.ndarray | None = None) -> np.ndarray:
    """Index to RAS, the middle of the array at the patient's origin."""
    directions = np.zeros((3, 3))
    for index, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        directions[axis, index] = -1.0 if sign else 1.0
    matrix = np.eye(4)
    matrix[:3, :3] = (np.eye(3) if turn is None else turn) @ directions * np.asarray(spacing)
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return matrix


def points_of(affine: np.ndarray, shape: Any) -> np.ndarray:
    """RAS millimetres of every voxel, (*shape, 3)."""
    indices = np.moveaxis(np.indices(shape), 0, -1)
    return indices @ affine[:3, :3].T + affine[:3, 3]


def head_values(points: np.ndarray, lesions: Any = (), seed: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Values and lesion mask at RAS points; a lesion is (x, y, z, radius)."""

    def inside(grow: float) -> np.ndarray:
        return (points / (np.array([62.0, 78.0, 58.0]) + grow)) ** 2

    values = np.full(points.shape[:-1], 12.0, np.float32)
    for grow, level in ((14, 900.0), (8, 60.0), (2, 400.0)):
        values[inside(grow).sum(axis=-1) < 1] = level
    # A mark on the patient's left at the front: mirrored or turned heads are others.
    values[np.linalg.norm(points - [-30.0, 40.0, 10.0], axis=-1) < 9] = 120.0
    mask = np.zeros(points.shape[:-1], np.uint8)
    for x, y, z, radius in lesions:
        mask[np.linalg.norm(points - [x, y, z], axis=-1) <= radius] = 1
    values[mask > 0] = 800.0
    if seed is not None:
        values += np.random.default_rng(seed).normal(0, 15, values.shape).astype(np.float32)
    return values, mask


def as_read(values: np.ndarray, affine: np.ndarray) -> MetaTensor:
    """As `LoadImaged` with the one reader hands it over."""
    return MetaTensor(torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)), affine=torch.from_numpy(affine))


@pytest.fixture
def make_datalist() -> Callable[[Path], Path]:
    """Writes eight small heads, every second with a metastasis, and a datalist that trains and validates on them."""

    def write(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        shape, generator, rows = (40, 48, 38), np.random.default_rng(3), []
        affine = affine_of((0, 1, 2), (1, 1, 0), (4.0, 4.0, 4.0), shape)
        for number in range(8):
            ill = number % 2 == 0
            place = (*generator.uniform(-25, 25, 3), 10.0)
            values, mask = head_values(points_of(affine, shape), [place] if ill else (), seed=number)
            nibabel.save(nibabel.Nifti1Image(values, affine), folder / f"{number}.nii.gz")
            nibabel.save(nibabel.Nifti1Image(mask, affine), folder / f"{number}_mask.nii.gz")
            row = {"image": f"{number}.nii.gz", "label": int(ill), "patient": f"PHANTOM-{number}"}
            rows.append({**row, "mask": f"{number}_mask.nii.gz"} if ill or number == 1 else {**row, "mask": None})
        sections = {
            section: [{**row, "patient": f"{row['patient']}-{section}"} for row in rows]
            for section in ("training", "validation", "test")
        }
        path = folder / "datalist.json"
        path.write_text(json.dumps(sections))
        return path

    return write


@pytest.fixture
def configured(root: Path) -> Callable[..., ConfigParser]:
    """A configuration of the bundle at 4 mm and 64 × 64 pixels on the CPU, with overrides."""

    def parse(name: str, **overrides: Any) -> ConfigParser:
        parser = ConfigParser()
        parser.read_config(str(root / CONFIGS / f"{name}.yaml"))
        small = {"spacing_mm": [4.0, 4.0, 4.0], "box": [64, 64], "bfloat16": False, "device": "$torch.device('cpu')"}
        for key, value in {**small, **overrides}.items():
            if key in parser or "::" in key:
                parser[key] = value
        return parser

    return parse


@pytest.fixture
def run_config(configured: Callable[..., ConfigParser]) -> Callable[..., ConfigParser]:
    """Run a configuration as `monai.bundle run` does."""

    def run(name: str, **overrides: Any) -> ConfigParser:
        parser = configured(name, **overrides)
        parser.get_parsed_content("initialize")
        parser.get_parsed_content("run")
        return parser

    return run
