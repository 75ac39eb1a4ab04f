"""From logits to calibrated probabilities, for every source slice."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import Transform
from torch import Tensor


class Probabilitiesd(Transform):  # type: ignore[misc]
    """Turn `pred` into `hemorrhage` (1,), `types` (5,) and `slices` (source slices,), all within 0 to 1.

    A source slice takes the logit at its place among the box slices, by linear interpolation. One outside of the box
    holds no brain: its probability is 0.

    Args:
        scale: For each output the factor and offset of Platt scaling (logit · factor + offset), fitted on validation
            cases: `{"hemorrhage": [factor, offset], ...}`; missing ones are left as they are.
    """

    def __init__(self, scale: Mapping[str, tuple[float, float]] | None = None) -> None:
        self.scale = dict(scale or {})

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item that holds `pred` (a mapping of logits) and `slice_positions`."""
        item = dict(data)
        logits = item["pred"]
        positions = torch.as_tensor(item["slice_positions"]).float().cpu()
        for key in ("hemorrhage", "types"):
            item[key] = torch.sigmoid(self._scaled(key, logits[key]))
        slices, inside = slice_logits(self._scaled("slices", logits["slices"]), positions)
        item["slices"] = torch.where(inside, torch.sigmoid(slices), torch.zeros(()))
        return item

    def _scaled(self, key: str, logits: Tensor) -> Tensor:
        factor, offset = self.scale.get(key, (1.0, 0.0))
        return logits.float().cpu() * factor + offset


def slice_logits(logits: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Logit of every source slice, and whether it lies inside the box, both (source slices,).

    Args:
        logits: (depth,) of the box slices.
        positions: (source slices,) places among them; see `BrainBoxd`.
    """
    depth = logits.shape[0]
    values = np.interp(positions.numpy(), np.arange(depth), logits.numpy())
    inside = (positions >= -0.5) & (positions <= depth - 0.5)
    return torch.from_numpy(values).float(), inside
