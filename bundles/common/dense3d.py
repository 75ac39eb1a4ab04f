"""The 3-D dense encoder of Ghesu et al. §4.5: five dense blocks and 1024 features.

What the paper says: variable input size, five dense blocks with (1, 2, 3, 3, 3) units, each unit a 3-D convolution, 3-D
batch normalisation and LeakyReLU; 16 initial features, growth rate 7; the first two blocks have (1, 3, 3) kernels and
downsample only in plane, the last three (3, 3, 3); adaptive max and average pooling give 1024 features. The paper
pretrains this network for 3-D (its Table 1) and uses it for hemorrhage in head CT.

What the paper leaves open, and what is chosen here:

- The stem is one (1, 3, 3) unit with in-plane stride 2: 16 features at half the in-plane resolution keep a 40×224×192
  box near 1.7 GMAC, so that a CPU answers within a second.
- Between blocks lies average pooling without a compressing convolution: (1, 2, 2) after blocks 1 and 2, (2, 2, 2)
  after blocks 3 and 4, none after block 5. Concatenation therefore grows 16 → 23 → 37 → 58 → 79 → 100 features.
- 1024 features: a 1×1×1 unit widens block 5 to 512 channels; their maximum and their average are concatenated.
"""

import torch
from torch import Tensor, nn

BLOCK_UNITS = (1, 2, 3, 3, 3)
IN_PLANE_BLOCKS = 2
INITIAL_FEATURES = 16
GROWTH = 7
POOLED_FEATURES = 1024
DOWNSAMPLING = ((1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2))


def unit(
    in_channels: int, out_channels: int, kernel: tuple[int, int, int], stride: tuple[int, int, int]
) -> nn.Sequential:
    """One unit of the paper: 3-D convolution, batch normalisation, LeakyReLU; padded to keep the size at stride 1."""
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    return nn.Sequential(
        nn.Conv3d(in_channels, out_channels, kernel, stride, padding, bias=False),
        nn.BatchNorm3d(out_channels),
        nn.LeakyReLU(0.01, inplace=True),
    )


def largest(x: Tensor, first: int) -> Tensor:
    """Maximum over all axes from `first` on, whose gradient goes to one place.

    `amax` shares the gradient among all equal values: many in bfloat16, and none at all (0/0) where a compiled graph
    computes the same value twice in different precision.
    """
    return x.flatten(first).max(dim=first).values


class DenseBlock(nn.Module):
    """Units that each read everything before them and add `GROWTH` channels."""

    def __init__(self, in_channels: int, units: int, kernel: tuple[int, int, int]) -> None:
        super().__init__()
        self.units = nn.ModuleList(unit(in_channels + i * GROWTH, GROWTH, kernel, (1, 1, 1)) for i in range(units))
        self.out_channels = in_channels + units * GROWTH

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in_channels, depth, rows, columns) → (batch, out_channels, depth, rows, columns)."""
        for layer in self.units:
            x = torch.cat((x, layer(x)), dim=1)
        return x


class Encoder(nn.Module):
    """Stem and five dense blocks; the part that self-supervised pretraining trains.

    Attributes:
        block_channels: Channels after each of the five blocks.
        features: Length of the output vector.
        dimensions: Spatial axes of the input.
    """

    features = POOLED_FEATURES
    dimensions = 3

    def __init__(self) -> None:
        super().__init__()
        self.stem = unit(1, INITIAL_FEATURES, (1, 3, 3), (1, 2, 2))
        blocks, channels = [], INITIAL_FEATURES
        for index, units in enumerate(BLOCK_UNITS):
            blocks.append(DenseBlock(channels, units, (1, 3, 3) if index < IN_PLANE_BLOCKS else (3, 3, 3)))
            channels = blocks[-1].out_channels
        self.blocks = nn.ModuleList(blocks)
        self.downsample = nn.ModuleList(nn.AvgPool3d(size, ceil_mode=True) for size in DOWNSAMPLING)
        self.block_channels = tuple(block.out_channels for block in blocks)
        self.widen = unit(channels, POOLED_FEATURES // 2, (1, 1, 1), (1, 1, 1))

    def blocks_of(self, x: Tensor) -> list[Tensor]:
        """Output of every block, each (batch, block_channels[i], depth_i, rows_i, columns_i)."""
        x = self.stem(x)
        outputs = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            outputs.append(x)
            if index < len(self.downsample):
                x = self.downsample[index](x)
        return outputs

    def pool(self, last: Tensor) -> Tensor:
        """Block 5's output → (batch, 1024): maximum and average of 512 channels over the volume."""
        wide = self.widen(last)
        return torch.cat((largest(wide, 2), wide.mean(dim=(2, 3, 4))), dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 1, depth, rows, columns) → (batch, 1024)."""
        return self.pool(self.blocks_of(x)[-1])
