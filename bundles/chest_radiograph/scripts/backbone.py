"""The encoders of pretraining as a backbone: feature maps C3 to C5 of a ResNet for one channel."""

from torch import Tensor, nn

from bundles.common.radiograph.encoder import make_encoder


class Backbone(nn.Module):
    """MONAI's ResNet without its pooling.

    Args:
        name: One of `bundles.common.radiograph.encoder.DESIGNS`; "resnet50w2" is the paper's.
        encoder_weights: File from `python -m pretraining export`; None starts from random weights.

    Attributes:
        channels: Of C3, C4 and C5.

    Raises:
        ValueError: No such backbone.
        ConfigurationError: The weights are those of another backbone, or differ from their manifest.
    """

    def __init__(self, name: str = "resnet18", encoder_weights: str | None = None) -> None:
        super().__init__()
        self.encoder, channels = make_encoder(name, encoder_weights)
        self.channels = channels[1:]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(batch, 1, rows, columns) → C3, C4, C5 at strides 8, 16 and 32."""
        encoder = self.encoder
        x = encoder.maxpool(encoder.act(encoder.bn1(encoder.conv1(x))))
        c3 = encoder.layer2(encoder.layer1(x))
        c4 = encoder.layer3(c3)
        return c3, c4, encoder.layer4(c4)
