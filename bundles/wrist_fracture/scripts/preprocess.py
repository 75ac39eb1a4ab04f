"""From a scaled radiograph (`bundles.common.radiograph.scaling`) to an item of training."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import Transform
from torch import Tensor

from bundles.common.boxes.geometry import as_boxes
from bundles.common.radiograph.placement import Placement
from bundles.wrist_fracture.scripts.places import UNKNOWN, places_of


class TrainingItemd(Transform):  # type: ignore[misc]  # MONAI is untyped
    """Keeps what training needs: `image` in half precision, `label` (1,) float32 and `places` (1, size, size) int8, as
    `bundles.wrist_fracture.scripts.places.places_of` draws them; plain tensors for a cache.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to an item of `load_wrists` after `Radiographd`."""
        image = torch.as_tensor(data["image"].as_tensor()).half()
        return {
            "image": image,
            "label": torch.tensor([data["label"]], dtype=torch.float32),
            "places": _places(data, image),
        }


def _places(data: Mapping[Hashable, Any], image: Tensor) -> Tensor:
    if data["label"] and not data["boxes"]:
        return torch.full(image.shape, UNKNOWN, dtype=torch.int8)
    boxes = as_boxes(data["boxes"], str(data["name"]))
    return places_of(Placement.from_tensor(data["placement"]).to_input(boxes), (image.shape[-2], image.shape[-1]))
