"""The encoders of pretraining: MONAI's ResNets for one channel, random or filled from an export; also for several."""

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import structlog
import torch
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


def make_encoder(
    name: str, encoder_weights: str | None = None, *, channels: int = 1
) -> tuple[Any, tuple[int, int, int, int]]:
    """MONAI's ResNet, (batch, channels, rows, columns) → (batch, features), and the channels of its stages C2 to C5.

    Pretraining sees one channel. Where more are wanted, its first convolution is repeated for each and divided by their
    number, so that the same image in all channels gives what it gave in one; the log says so.

    Args:
        name: One of `DESIGNS`.
        encoder_weights: File from `python -m pretraining export`; None starts from random weights. The log says which
            tensors were loaded, by part of the network.
        channels: Of the images.

    Raises:
        ValueError: No such backbone.
        ConfigurationError: The weights are those of another backbone, or differ from their manifest.
    """
    if name not in DESIGNS:
        raise ValueError(f"no backbone is called '{name}'{nearest(name, list(DESIGNS))}")
    block, layers, width, expansion = DESIGNS[name]
    encoder: Any = ResNet(
        block=block,
        layers=list(layers),
        block_inplanes=list(STAGE_CHANNELS),
        spatial_dims=2,
        n_input_channels=1 if encoder_weights else channels,
        conv1_t_stride=2,
        shortcut_type="B",
        bias_downsample=False,
        widen_factor=width,
        feed_forward=False,
    )
    if encoder_weights:
        report = load_encoder(encoder, encoder_weights).require_complete()
        parts = Counter(tensor.partition(".")[0] for tensor in report.matched)
        tensors = ", ".join(f"{part} {count}" for part, count in parts.items())
        log.info("backbone_loaded", backbone=name, tensors=tensors, what=report.summary())
        if channels != 1:
            spread_stem(encoder, channels)
            log.info("stem_spread", channels=channels, how="first convolution repeated and divided by the channels")
    first, second, third, fourth = (stage * width * expansion for stage in STAGE_CHANNELS)
    return encoder, (first, second, third, fourth)


def spread_stem(encoder: Any, channels: int) -> None:
    """Let the first convolution of a one-channel ResNet take several: repeated, and divided by their number."""
    stem: nn.Conv2d = encoder.conv1
    weight: Tensor = stem.weight.detach()
    wide = nn.Conv2d(
        channels,
        stem.out_channels,
        (weight.shape[2], weight.shape[3]),
        stride=(stem.stride[0], stem.stride[1]),
        padding=(int(stem.padding[0]), int(stem.padding[1])),
        bias=False,
    )
    with torch.no_grad():
        wide.weight.copy_(weight.repeat(1, channels, 1, 1) / channels)
    encoder.conv1 = wide
