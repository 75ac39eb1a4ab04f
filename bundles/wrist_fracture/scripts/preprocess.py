"""From a scaled radiograph (`bundles.common.radiograph.scaling`) to an item of training."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import Transform


class TrainingItemd(Transform):  # type: ignore[misc]  # MONAI is untyped
    """Keeps what training needs: `image` in half precision and `label` (1,) float32; plain tensors for a cache."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to an item of `load_wrists` after `Radiographd`."""
        return {
            "image": torch.as_tensor(data["image"].as_tensor()).half(),
            "label": torch.tensor([data["label"]], dtype=torch.float32),
        }
