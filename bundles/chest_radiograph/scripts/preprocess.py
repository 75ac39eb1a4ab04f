"""From a scaled radiograph (`bundles.common.radiograph.scaling`) to an item of training; boxes follow."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import Transform

from bundles.common.boxes.geometry import as_boxes, inside_image
from bundles.common.radiograph.placement import Placement


class TrainingItemd(Transform):  # type: ignore[misc]
    """Keeps what training needs: `image` in half precision, `boxes` in pixels of the input, `classes`, `labels`,
    `boxed` (for each class), `name` and `patient`. Plain tensors and values, so that a cache holds them.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to an item of `load_radiographs` after `Radiographd`.

        Raises:
            ValueError: A box without area or outside of the image; the message names the file.
        """
        placement, name = Placement.from_tensor(data["placement"]), str(data["name"])
        rows, columns = placement.source
        boxes = inside_image(as_boxes(data["boxes"], name), rows, columns, name)
        return {
            "image": torch.as_tensor(data["image"].as_tensor()).half(),
            "boxes": placement.to_input(boxes).float(),
            "classes": torch.tensor(data["classes"], dtype=torch.int64),
            "labels": torch.tensor(data["labels"]),
            "boxed": torch.full((len(data["labels"]),), bool(data["boxed"])),
            "name": name,
            "patient": str(data["patient"]),
        }
