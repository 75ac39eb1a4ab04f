"""The encoders of pretraining as a backbone: feature maps C3 to C5 of a ResNet for one channel."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import structlog
from monai.networks.nets import ResNet
from torch import Tensor, nn

from bundles.common.encoder_weights import load_encoder
from bundles.common.strict import nearest

log = structlog.get_logger()

STAGE_CHANNELS = (64, 128, 256, 512)
# Block, blocks a stage, factor on all channels, channels out for each channel in; as `pretraining.backbones` has them.
DESIGNS: Mapping[str, tuple[str, tuple[int, int, int, int], int, int]] = MappingProxyType(
    {
        "resnet18": ("basic", (2, 2, 2, 2), 1, 1),
        "resnet50": ("bottleneck", (3, 4, 6, 3), 1, 4),
        "resnet50w2": ("bottleneck", (3, 4, 6, 3), 2, 4),
    }
)


class Backbone(nn.Module):
    """MONAI's ResNet without its pooling.

    Args:
        name: One of `DESIGNS`; "resnet50w2" is the paper's.
        encoder_weights: File from `python -m pretraining export`; None starts from random weights.

    Attributes:
        channels: Of C3, C4 and C5.

    Raises:
        ValueError: No such backbone.
        ConfigurationError: The weights are those of another backbone, or differ from their manifest.
    """

    def __init__(self, name: str = "resnet18", encoder_weights: str | None = None) -> None:
        super().__init__()
        if name not in DESIGNS:
            raise ValueError(f"no backbone is called '{name}'{nearest(name, list(DESIGNS))}")
        block, layers, width, expansion = DESIGNS[name]
        self.encoder: Any = ResNet(
            block=block,
            layers=list(layers),
            block_inplanes=list(STAGE_CHANNELS),
            spatial_dims=2,
            n_input_channels=1,
            conv1_t_stride=2,
            shortcut_type="B",
            bias_downsample=False,
            widen_factor=width,
            feed_forward=False,
        )
        self.channels = tuple(stage * width * expansion for stage in STAGE_CHANNELS[1:])
        if encoder_weights:
            report = load_encoder(self.encoder, encoder_weights).require_complete()
            log.info("backbone_loaded", backbone=name, what=report.summary())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(batch, 1, rows, columns) → C3, C4, C5 at strides 8, 16 and 32."""
        encoder = self.encoder
        x = encoder.maxpool(encoder.act(encoder.bn1(encoder.conv1(x))))
        c3 = encoder.layer2(encoder.layer1(x))
        c4 = encoder.layer3(c3)
        return c3, c4, encoder.layer4(c4)
