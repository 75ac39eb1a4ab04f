"""The detector of Ghesu et al. §4.3: fully convolutional, multi-scale, without anchors, after FCOS (Tian et al. 2019).

The whole radiograph goes through in one pass. Values are 0 to 1, bright is dense, any size.
"""

from torch import Tensor, nn

from bundles.chest_radiograph.scripts.backbone import Backbone
from bundles.chest_radiograph.scripts.heads import ImageHead, LocationHeads
from bundles.chest_radiograph.scripts.pyramid import Pyramid

CLASSES = ("lesion", "pneumothorax")
"""In the order of the outputs; a box's class in a datalist is the index."""


class ChestDetector(nn.Module):
    """Backbone, feature pyramid and heads.

    Args:
        backbone: "resnet18", "resnet50", or the paper's "resnet50w2".
        channels: Width of the pyramid and of the heads.
        depth: Convolutions in a head's tower.
        encoder_weights: File from `python -m pretraining export`; None starts from random weights.
    """

    def __init__(
        self,
        backbone: str = "resnet18",
        channels: int = 96,
        depth: int = 4,
        encoder_weights: str | None = None,
    ) -> None:
        super().__init__()
        self.backbone = Backbone(backbone, encoder_weights)
        self.pyramid = Pyramid(self.backbone.channels, channels)
        self.heads = LocationHeads(channels, len(CLASSES), depth)
        self.image = ImageHead(self.backbone.channels[-1], len(CLASSES))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(batch, 1, rows, columns) → logits and distances.

        Returns:
            `classes` (batch, locations, 2) logits; `boxes` (batch, locations, 4) distances from the location to the
            left, upper, right and lower side, in pixels of the input; `centre` (batch, locations) logits; `image`
            (batch, 2) logits. The locations are those of `bundles.chest_radiograph.scripts.grid.grid_of`.
        """
        maps = self.backbone(x)
        outputs: dict[str, Tensor] = self.heads(self.pyramid(maps))
        return {**outputs, "image": self.image(maps[-1], outputs["classes"])}


class ImageLogits(nn.Module):
    """The same network with the image's logits alone, for tools that expect one tensor (`verify_net_in_out`, Grad-CAM).

    Args:
        network: A `ChestDetector`; a new one when None.
    """

    def __init__(self, network: ChestDetector | None = None) -> None:
        super().__init__()
        self.network = network if network is not None else ChestDetector()

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 1, rows, columns) → (batch, 2)."""
        logits: Tensor = self.network(x)["image"]
        return logits
