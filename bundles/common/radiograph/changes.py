"""Change test images as machines and positioning do, to measure what a network loses by it (seed 001, Fig. 7)."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import MapTransform

from bundles.common.metrics.robustness import Change, changed
from bundles.common.radiograph.placement import Placement


class ChangedRadiographd(MapTransform):  # type: ignore[misc]  # MONAI is untyped
    """Change the radiograph within the network's input; by default nothing, bit by bit. Comes after `Radiographd`.

    Writes `moved`, whether the image no longer lies as its boxes say.

    Args:
        keys: Of images (1, rows, columns) of 0 to 1, in the upper left corner of which lies what `placement` says.
        gamma: Exponent of the values, above 0.
        rotation_deg: About the radiograph's centre, counter-clockwise on the screen.
        scale: About that centre; above 1 enlarges.

    Raises:
        ValueError: A gamma or a scale that is not above 0.
    """

    def __init__(self, keys: Hashable, gamma: float = 1.0, rotation_deg: float = 0.0, scale: float = 1.0) -> None:
        super().__init__(keys)
        if not (gamma > 0 and scale > 0):
            raise ValueError(f"gamma and scale of changed images are above 0, got {gamma} and {scale}")
        self.change = Change(float(gamma), float(rotation_deg), float(scale))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item."""
        item = dict(data)
        item["moved"] = (self.change.rotation_deg, self.change.scale) != (0.0, 1.0)
        if self.change == Change():
            return item
        rows, columns = Placement.from_tensor(item["placement"]).scaled
        for key in self.key_iterator(item):
            image = item[key].clone()
            image[0, :rows, :columns] = torch.from_numpy(changed(image[0, :rows, :columns].numpy(), self.change))
            item[key] = image
        return item
