"""Bundle folders without a network: what the catalogue reads."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

SERVICE = """
title: Hemorrhage
accepts: {Modality: CT}
findings:
  - {finding: intracranial_hemorrhage, probability: presence, threshold: 0.4, slices: in_slice}
  - {finding: subdural_hemorrhage, probability: types, index: 1}
window: {center: 40, width: 80}
"""


@pytest.fixture
def write_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Write `<tmp>/bundles/<name>`; keywords replace single files (None leaves one out)."""

    def write(name: str = "bleeds", **changed: str | None) -> Path:
        files: dict[str, str | None] = {
            "configs/service.yaml": SERVICE,
            "configs/metadata.json": json.dumps({"version": "1.2.3"}),
            "models/model.pt": "weights",
            "models/manifest.json": json.dumps(
                {"sha256": hashlib.sha256(b"weights").hexdigest(), "training_data": "phantom head CT"}
            ),
        }
        keys = {Path(path).name.partition(".")[0]: path for path in files}
        files.update({keys[key]: content for key, content in changed.items()})
        root = tmp_path / "bundles" / name
        for path, content in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            if content is not None:
                (root / path).write_text(content)
        return root

    return write
