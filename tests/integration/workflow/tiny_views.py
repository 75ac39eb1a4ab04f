"""A minimal real MONAI bundle that tells views apart by brightness: bright is a frontal chest, dark a wrist."""

import hashlib
import io
import json
from pathlib import Path

import torch

CHEST, UNSURE, WRIST = 0.8, 0.5, 0.1
"""Bright parts of an image."""

SCRIPT = '''
import torch


class MeanNet(torch.nn.Module):
    """Four logits from the brightness of an image."""

    def __init__(self):
        super().__init__()
        self.unit = torch.nn.Linear(1, 4)

    def forward(self, image):
        return self.unit(image.mean(dim=(2, 3)))


class Answer:
    """Probabilities; an image of `broken_columns` columns cannot be told."""

    def __init__(self, broken_columns=0):
        self.broken_columns = broken_columns

    def __call__(self, item):
        if int(item["placement"][1]) == self.broken_columns:
            raise RuntimeError("broken")
        return {**item, "probabilities": torch.as_tensor(item["pred"]).float().softmax(dim=0)}
'''

CONTRACT = """
views: [frontal_chest, lateral_chest, wrist, other]
least_certainty: 0.8
"""


def write_view_bundle(folder: Path, name: str = "views", *, broken_columns: int = 0) -> Path:
    """Write the bundle below `folder`."""
    root = folder / name
    for part in ("configs", "models", "scripts"):
        (root / part).mkdir(parents=True)
    (root / "scripts" / "__init__.py").write_text("")
    (root / "scripts" / "mean.py").write_text(SCRIPT)
    module = f"bundles.{name}.scripts.mean"
    load = {
        "_target_": "LoadImaged",
        "keys": "image",
        "reader": "bundles.common.monai_reader.SeriesReader",
        "image_only": True,
    }
    scale = {"_target_": "bundles.common.radiograph.scaling.Radiographd", "keys": "image", "size": 64}
    inference = {
        "network_def": {"_target_": f"{module}.MeanNet"},
        "preprocessing": {"_target_": "Compose", "transforms": [load, scale]},
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {"_target_": f"{module}.Answer", "broken_columns": broken_columns},
    }
    (root / "configs" / "inference.json").write_text(json.dumps(inference, indent=1))
    (root / "configs" / "metadata.json").write_text(json.dumps({"kind": "view", "version": "0.1.0"}))
    (root / "configs" / "view.yaml").write_text(CONTRACT)
    # Bright: logits 8, 0, 0, 0 at 1; dark: 0, 0, 8, 0 at 0.
    state = {
        "unit.weight": torch.tensor([[16.0], [0.0], [-16.0], [0.0]]),
        "unit.bias": torch.tensor([-8.0, -9.0, 8.0, -9.0]),
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    (root / "models" / "model.pt").write_bytes(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    (root / "models" / "manifest.json").write_text(json.dumps({"sha256": digest, "training_data": "phantom squares"}))
    return root
