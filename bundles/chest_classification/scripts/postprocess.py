"""From logits and heat maps to the probability of each class, and where the network looked, in pixels of the source."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.transforms import Transform

from bundles.chest_classification.scripts.task import Task, probabilities, scaled
from bundles.common.gradcam import SHARE
from bundles.common.radiograph.attention import over_source, region_of
from bundles.common.radiograph.placement import Placement


class Classesd(Transform):  # type: ignore[misc]  # MONAI is untyped
    """Turn `pred`, an item of `GradCamInferer` for all classes, into `probabilities` (classes,), and add `boxes`,
    `scores`, `classes`: where it looked for each class, and `attention` (classes, rows, columns), the heat maps over
    the source from 0 to 1.

    `boxes` (regions, 4) are edges x0, y0, x1, y1 in pixels of the source, x to the right, y down; the score of each is
    the probability of its class in the image. A class for which nothing spoke has none. A region is a hint for the eye
    and means nothing where the class is not present. All on the CPU.

    Args:
        classes: Names, in the order of the logits.
        task: `multi_label` or `multi_class`.
        scale: `{class: (factor, offset)}` of the logits, fitted on validation images; a class without is left as it is.
        share: Of the hottest value; see `hottest_box`.
        heat: Keep `heat` (classes, rows, columns) of the network's input.
    """

    def __init__(
        self,
        classes: Sequence[str],
        task: str,
        scale: Mapping[str, tuple[float, float]] | None = None,
        share: float = SHARE,
        *,
        heat: bool = False,
    ) -> None:
        self.task, self.share, self.heat = Task.parse(task), share, heat
        self.scale = [(scale or {}).get(name, (1.0, 0.0)) for name in classes]

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item with `placement` and `pred`: `logits` (classes,) and `heat` (classes, rows, columns)."""
        item = dict(data)
        logits, heat = (torch.as_tensor(item["pred"][name]).float().cpu() for name in ("logits", "heat"))
        found = probabilities(scaled(logits, self.scale), self.task)
        placement = Placement.from_tensor(item["placement"])
        regions = {place: region_of(one, placement, self.share) for place, one in enumerate(heat)}
        boxes = {place: box for place, box in regions.items() if box is not None}
        item["probabilities"] = found
        edges = [[box.x0, box.y0, box.x1, box.y1] for box in boxes.values()]
        item["boxes"] = torch.tensor(edges, dtype=torch.float32).reshape(-1, 4)
        item["classes"] = torch.tensor(list(boxes), dtype=torch.int64)
        item["scores"] = found[item["classes"]]
        item["attention"] = over_source(heat, placement)
        if self.heat:
            item["heat"] = heat
        return item
