"""The rules without learning find what is plain, and cannot be asked about the wrong kind."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.demo.phantoms.radiographs.baselines import apex_score, baseline_aucs, blob_score, read_picture, ridge_score
from app.demo.phantoms.radiographs.writer import SYSTEMS, to_dataset
from tests.unit.demo.phantoms.radiographs.test_writer import ramp


def _chest() -> np.ndarray:
    picture = np.random.default_rng(0).normal(0.8, 0.01, (256, 256)).astype(np.float32)
    picture[50:200, 40:115] -= 0.5
    picture[50:200, 141:216] -= 0.5
    return picture


def test_a_bright_blob_scores() -> None:
    plain, blob = _chest(), _chest()
    blob[116:132, 70:86] += 0.4
    assert blob_score(blob) > 1.5 * blob_score(plain)


def test_one_dark_apex_scores() -> None:
    plain, dark = _chest(), _chest()
    dark[50:90, 40:115] -= 0.2
    assert apex_score(dark) > 5 * apex_score(plain)


def test_a_dark_line_across_bone_scores() -> None:
    plain = np.random.default_rng(1).normal(0.3, 0.01, (256, 160)).astype(np.float32)
    plain[100:, 50:110] += 0.4
    broken = plain.copy()
    broken[160:163, 50:110] -= 0.2
    assert ridge_score(broken) > 1.5 * ridge_score(plain)


def test_pictures_of_both_formats_are_read_alike(tmp_path: Path) -> None:
    radiograph = ramp()
    Image.fromarray(np.rint(radiograph.picture * 65535).astype(np.uint16)).save(tmp_path / "one.png")
    to_dataset(radiograph, system=SYSTEMS["agfa"]).save_as(tmp_path / "two.dcm", enforce_file_format=True)
    for name in ("one.png", "two.dcm"):
        np.testing.assert_allclose(read_picture(tmp_path / name), radiograph.picture, atol=1e-3)


def test_sets_of_other_kinds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "datalist.json"
    path.write_text(json.dumps({"test": [{"kind": "hip", "image": "x", "labels": {}}]}))
    with pytest.raises(ValueError, match="chests and wrists"):
        baseline_aucs(path)
