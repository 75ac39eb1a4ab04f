"""From a scaled radiograph (`bundles.common.radiograph.scaling`) to an item of training."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import Transform


class TrainingItemd(Transform):  # type: ignore[misc]  # MONAI is untyped
    """Keeps what training needs as plain tensors: `image` in half precision and `label` (classes,) float32."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to an item of `load_chests` after `Radiographd`."""
        return {
            "image": torch.as_tensor(data["image"].as_tensor()).half(),
            "label": torch.tensor(data["labels"], dtype=torch.float32),
        }
