"""Whom a probe learns from and whom it is measured on."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundles.common.metrics.cases import case_id
from pretraining.data.errors import ArchiveError
from pretraining.data.index import Settings, build_index
from pretraining.data.patients import Patients, Shares
from pretraining.data.shards import StoreSettings, build_store
from pretraining.data.store import ImageStore
from pretraining.evaluation import sections

NAMES = [f"{n}.png" for n in range(6)]


def store_of(tmp: Path, shares: Shares) -> ImageStore:
    """Six pictures of six patients."""
    (tmp / "images").mkdir()
    for number, name in enumerate(NAMES):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp / "images" / name)
    settings = Settings(patients=Patients(pattern=r"(\d)"), shares=shares)
    build_index(tmp / "images", tmp / "index.parquet", settings)
    build_store(tmp / "images", tmp / "index.parquet", tmp / "store", StoreSettings())
    return ImageStore(tmp / "store")


def datalist_of(tmp: Path) -> Path:
    """One learned from, two that choose, three that are measured."""
    parts = {"training": NAMES[:1], "validation": NAMES[1:3], "test": NAMES[3:]}
    content = {part: [{"image": name} for name in names] for part, names in parts.items()}
    (tmp / "datalist.json").write_text(json.dumps(content))
    return tmp / "datalist.json"


def test_a_probe_learns_from_the_training_section_alone(tmp_path: Path) -> None:
    found = sections(store_of(tmp_path, Shares(0, 0, 1)), datalist_of(tmp_path))
    assert found == {
        "learn": frozenset([case_id(NAMES[0])]),
        "test": frozenset(case_id(name) for name in NAMES[3:]),
    }


def test_test_images_that_encoders_see_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="3 test images are in the split 'train' of"):
        sections(store_of(tmp_path, Shares(1, 0, 0)), datalist_of(tmp_path))
