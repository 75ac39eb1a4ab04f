"""Encoders by name: MONAI's ResNets for one channel, and the 3-D dense network of the detectors.

Every encoder maps (batch, 1, *spatial) to (batch, features); spatial is (rows, columns) or (depth, rows, columns). It
is MONAI's network or `bundles.common.dense3d.Encoder` itself, not a wrapper, so its plain state dict loads there.

MONAI's defaults differ from the published ResNet in three places, which are set right here: the stem's stride is 2, the
shortcuts are 1×1 convolutions (type "A" computes on `.data` and blocks the gradient) and have no bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from monai.networks.nets import ResNet
from torch import Tensor, nn

from bundles.common import dense3d
from bundles.common.strict import nearest

STAGE_CHANNELS = (64, 128, 256, 512)
EXPANSION = MappingProxyType({"basic": 1, "bottleneck": 4})


@dataclass(frozen=True, slots=True)
class ResNetDesign:
    """One ResNet.

    Attributes:
        block: "basic" (two 3×3 convolutions) or "bottleneck" (1×1, 3×3, 1×1).
        layers: Blocks in each of the four stages.
        dimensions: Spatial axes.
        width: Factor on all channels. 2 and 4 are the 50w2 and 50w4 of SwAV (Caron et al. 2020), which widen every
            convolution; torchvision's `wide_resnet50_2` widens only the inner ones and is another network.
    """

    block: str
    layers: tuple[int, int, int, int]
    dimensions: int = 2
    width: int = 1

    @property
    def features(self) -> int:
        """Length of the output vector."""
        return STAGE_CHANNELS[-1] * self.width * EXPANSION[self.block]

    def monai_arguments(self) -> dict[str, Any]:
        """Keyword arguments of `monai.networks.nets.ResNet` that make this network, for a bundle's configuration."""
        return {
            "block": self.block,
            "layers": list(self.layers),
            "block_inplanes": list(STAGE_CHANNELS),
            "spatial_dims": self.dimensions,
            "n_input_channels": 1,
            "conv1_t_stride": 2,
            "shortcut_type": "B",
            "bias_downsample": False,
            "widen_factor": self.width,
            "feed_forward": False,
        }


RESNETS: Mapping[str, ResNetDesign] = MappingProxyType(
    {
        "resnet18": ResNetDesign("basic", (2, 2, 2, 2)),
        "resnet50": ResNetDesign("bottleneck", (3, 4, 6, 3)),
        "resnet50w2": ResNetDesign("bottleneck", (3, 4, 6, 3), width=2),
        "resnet50w4": ResNetDesign("bottleneck", (3, 4, 6, 3), width=4),
        "resnet152": ResNetDesign("bottleneck", (3, 8, 36, 3)),
        "resnet18_3d": ResNetDesign("basic", (2, 2, 2, 2), dimensions=3),
        "resnet50_3d": ResNetDesign("bottleneck", (3, 4, 6, 3), dimensions=3),
    }
)
NAMES = (*RESNETS, "dense3d")


def make_encoder(name: str) -> nn.Module:
    """A new encoder with random weights from torch's global generator (seed it, or fork it, for a fixed start).

    Args:
        name: One of `NAMES`.

    Returns:
        The network, with the attributes `features` (length of its output) and `dimensions` (2 or 3); `features_of` and
        `dimensions_of` read them with their type.

    Raises:
        ValueError: No such encoder.
    """
    if name == "dense3d":
        return dense3d.Encoder()
    if name not in RESNETS:
        raise ValueError(f"no encoder is called '{name}'{nearest(name, list(NAMES))}")
    design = RESNETS[name]
    network: Any = ResNet(**design.monai_arguments())
    network.features = design.features
    network.dimensions = design.dimensions
    encoder: nn.Module = network
    return encoder


def features_of(encoder: nn.Module) -> int:
    """Length of an encoder's output vector.

    Raises:
        TypeError: It does not say.
    """
    return _said(encoder, "features")


def dimensions_of(encoder: nn.Module) -> int:
    """Spatial axes of an encoder's input, 2 or 3.

    Raises:
        TypeError: It does not say.
    """
    return _said(encoder, "dimensions")


def feature_maps(encoder: nn.Module, x: Tensor) -> list[Tensor]:
    """Maps before pooling, finest first, for dense heads.

    Args:
        encoder: From `make_encoder`.
        x: (batch, 1, *spatial).

    Returns:
        ResNet: five maps (batch, channels, *spatial) at strides 2 (stem), 4, 8, 16, 32. Dense network: its five blocks,
        at in-plane strides 2, 4, 8, 16, 32 and strides along the depth of 1, 1, 1, 2, 4.

    Raises:
        TypeError: The encoder is neither.
    """
    if isinstance(encoder, dense3d.Encoder):
        return encoder.blocks_of(x)
    if not isinstance(encoder, ResNet):
        raise TypeError(f"feature maps are known of ResNet and dense3d, not of {type(encoder).__name__}")
    network: Any = encoder
    x = network.act(network.bn1(network.conv1(x)))
    maps = [x]
    x = network.maxpool(x)
    for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
        x = stage(x)
        maps.append(x)
    return maps


def _said(encoder: nn.Module, what: str) -> int:
    value = getattr(encoder, what, None)
    if not isinstance(value, int):
        raise TypeError(
            f"{type(encoder).__name__} has no whole number '{what}'; take an encoder of make_encoder, or set it"
        )
    return value
