"""From logits to the probability of each view."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import Transform


class Viewsd(Transform):  # type: ignore[misc]  # MONAI is untyped
    """Turn `pred` (views,) into `probabilities` (views,) that add up to 1, on the CPU."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item."""
        item = dict(data)
        item["probabilities"] = torch.as_tensor(item["pred"]).float().cpu().reshape(-1).softmax(dim=0)
        return item
