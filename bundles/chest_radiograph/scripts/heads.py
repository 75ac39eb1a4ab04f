"""The heads: class, box and centre-ness at every location, the same for all levels, and each class in the image."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bundles.chest_radiograph.scripts.grid import STRIDES

PRIOR = 0.01
CHANNELS_A_GROUP = 8
LARGEST_EXPONENT = 8.0
"""exp(8) · 8 pixels is far beyond any radiograph, and finite."""


class LocationHeads(nn.Module):
    """Two towers of convolutions with GroupNorm, shared by all levels; a factor for each level scales its distances.

    Centre-ness sits on the tower of the boxes, as in the second version of FCOS.

    Args:
        channels: Of the pyramid, a multiple of 8.
        classes: How many.
        depth: Convolutions in a tower.
    """

    def __init__(self, channels: int, classes: int, depth: int = 4) -> None:
        super().__init__()
        if channels % CHANNELS_A_GROUP:
            raise ValueError(f"channels of the pyramid: {channels}; expected a multiple of {CHANNELS_A_GROUP}")
        self.class_tower, self.box_tower = _tower(channels, depth), _tower(channels, depth)
        self.classes = nn.Conv2d(channels, classes, 3, padding=1)
        self.boxes = nn.Conv2d(channels, 4, 3, padding=1)
        self.centre = nn.Conv2d(channels, 1, 3, padding=1)
        self.scales = nn.Parameter(torch.ones(len(STRIDES)))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.01)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        # Nearly everything is background; starting there, the first steps are not all about it (RetinaNet §4.1).
        nn.init.constant_(self.classes.get_parameter("bias"), -math.log((1 - PRIOR) / PRIOR))

    def forward(self, levels: Sequence[Tensor]) -> dict[str, Tensor]:
        """P3 to P7 → `classes` (batch, locations, classes) logits, `boxes` (batch, locations, 4) distances to the
        sides in pixels, positive, float32, and `centre` (batch, locations) logits; locations as in `grid_of`.
        """
        parts: dict[str, list[Tensor]] = {"classes": [], "boxes": [], "centre": []}
        for level, scale, stride in zip(levels, self.scales, STRIDES, strict=True):
            about_boxes = self.box_tower(level)
            exponent = (self.boxes(about_boxes).float() * scale).clamp(max=LARGEST_EXPONENT)
            parts["classes"].append(_flat(self.classes(self.class_tower(level))))
            parts["boxes"].append(_flat(exponent.exp() * stride))
            parts["centre"].append(_flat(self.centre(about_boxes))[..., 0])
        return {name: torch.cat(part, dim=1) for name, part in parts.items()}


class ImageHead(nn.Module):
    """Presence of each class in the whole image: the strongest location, and the pooled features of C5.

    The strongest location alone sees the smallest nodule, but the focal loss leaves it uncalibrated and learns nothing
    from images that have a label and no boxes. Pooled features alone lose what is a few pixels wide. So both are added,
    logit = gain · (largest class logit) + linear(pooled), and trained on image labels, through both.

    Args:
        features: Channels of C5.
        classes: How many.
    """

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(classes))
        self.linear = nn.Linear(2 * features, classes)
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.zeros_(self.linear.bias)

    def forward(self, c5: Tensor, classes: Tensor) -> Tensor:
        """C5 (batch, features, rows, columns), class logits (batch, locations, classes) → (batch, classes) logits."""
        flat = c5.flatten(2)
        pooled = torch.cat((flat.mean(dim=2), flat.max(dim=2).values), dim=1)
        logits: Tensor = self.gain * classes.max(dim=1).values + self.linear(pooled)
        return logits


def _tower(channels: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.GroupNorm(channels // CHANNELS_A_GROUP, channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)


def _flat(each: Tensor) -> Tensor:
    """(batch, channels, rows, columns) → (batch, rows · columns, channels)."""
    return each.flatten(2).transpose(1, 2)
