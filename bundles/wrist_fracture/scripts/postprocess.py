"""From logit and heat map to the probability of a fracture, and the region of Grad-CAM in pixels of the source."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import Transform

from bundles.common.gradcam import SHARE
from bundles.common.radiograph.attention import over_source, point_of, region_of
from bundles.common.radiograph.placement import Placement
from bundles.wrist_fracture.scripts.network import FINDING


class FractureRegiond(Transform):  # type: ignore[misc]  # MONAI is untyped
    """Turn `pred`, an item of `GradCamInferer`, into `probabilities` (1,), and add where the network looked: `boxes`,
    `scores`, `classes`, and `attention` (rows, columns), the heat map over the source from 0 to 1.

    `boxes` (0 or 1, 4) are edges x0, y0, x1, y1 in pixels of the source, x to the right, y down; the only score is the
    probability of the image, the only class 0. There is none where nothing spoke for a fracture. The region is a hint
    for the eye and means nothing on an image that is called normal. All on the CPU.

    Args:
        scale: `{"fracture": (factor, offset)}` of Platt scaling (logit · factor + offset), fitted on validation images;
            without it the probability is the network's own.
        share: Of the hottest value; see `hottest_box`.
        heat: Also add `heat` (rows, columns) of the network's input, and `pointed` (0 or 1, 2), the middle of its
            hottest pixel as (x, y) in pixels of the source.
    """

    def __init__(
        self,
        scale: Mapping[str, tuple[float, float]] | None = None,
        share: float = SHARE,
        *,
        heat: bool = False,
    ) -> None:
        self.share, self.heat = share, heat
        self.factor, self.offset = (scale or {}).get(FINDING, (1.0, 0.0))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item with `placement` and `pred`: `logits` (1,) and `heat` (rows, columns) of the input."""
        item = dict(data)
        logit, heat = (torch.as_tensor(item["pred"][name]).float().cpu() for name in ("logits", "heat"))
        probability = (logit * self.factor + self.offset).sigmoid()
        placement = Placement.from_tensor(item["placement"])
        box = region_of(heat, placement, self.share)
        item["probabilities"] = probability
        edges = [] if box is None else [[box.x0, box.y0, box.x1, box.y1]]
        item["boxes"] = torch.tensor(edges, dtype=torch.float32).reshape(-1, 4)
        item["scores"] = probability.expand(len(edges)).clone()
        item["classes"] = torch.zeros(len(edges), dtype=torch.int64)
        item["attention"] = over_source(heat, placement)
        if self.heat:
            item["heat"], item["pointed"] = heat, point_of(heat, placement)
        return item
