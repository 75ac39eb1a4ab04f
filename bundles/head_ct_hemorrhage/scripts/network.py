"""The network of Ghesu et al. §4.5 (brain hemorrhage detection in CT): a small 3-D dense network with three heads.

What the paper says: variable input size, five dense blocks with (1, 2, 3, 3, 3) units, each unit a 3-D convolution, 3-D
batch normalisation and LeakyReLU; 16 initial features, growth rate 7; the first two blocks have (1, 3, 3) kernels and
downsample only in plane, the last three (3, 3, 3); adaptive max and average pooling give 1024 features; the main task
is hemorrhage in the volume, the auxiliary ones are its five types and its presence in every slice.

What the paper leaves open, and what is chosen here:

- The stem is one (1, 3, 3) unit with in-plane stride 2: 16 features at half the in-plane resolution keep a 40×224×192
  box near 1.7 GMAC, so that a CPU answers within a second.
- Between blocks lies average pooling without a compressing convolution: (1, 2, 2) after blocks 1 and 2, (2, 2, 2)
  after blocks 3 and 4, none after block 5. Concatenation therefore grows 16 → 23 → 37 → 58 → 79 → 100 features.
- 1024 features: a 1×1×1 unit widens block 5 to 512 channels; their maximum and their average are concatenated.
- The slice head pools every block's output in plane (maximum and average), brings it back to the input's depth by
  linear interpolation and applies two 1-D convolutions along the depth.

Axes of the input (batch, 1, depth, rows, columns): depth = axial slices from inferior to superior, rows from anterior
to posterior, columns from the patient's right to the left. Values: HU mapped to (0, 1) with centre 55 and width 200.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

BLOCK_UNITS = (1, 2, 3, 3, 3)
IN_PLANE_BLOCKS = 2
INITIAL_FEATURES = 16
GROWTH = 7
POOLED_FEATURES = 1024
TYPES = ("subarachnoid", "subdural", "epidural", "intraventricular", "intraparenchymal")
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
    """

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


class SliceHead(nn.Module):
    """Presence in every slice, from the in-plane pooled features of all blocks."""

    def __init__(self, block_channels: tuple[int, ...], hidden: int = 64) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv1d(2 * sum(block_channels), hidden, 1),
            nn.BatchNorm1d(hidden),
            nn.LeakyReLU(0.01, inplace=True),
            nn.Conv1d(hidden, 1, 3, padding=1),
        )

    def forward(self, blocks: list[Tensor], depth: int) -> Tensor:
        """Blocks' outputs → logits (batch, depth)."""
        profiles = []
        for block in blocks:
            profile = torch.cat((largest(block, 3), block.mean(dim=(3, 4))), dim=1)
            if profile.shape[2] != depth:
                profile = functional.interpolate(profile, size=depth, mode="linear", align_corners=False)
            profiles.append(profile)
        logits: Tensor = self.convolutions(torch.cat(profiles, dim=1))
        return logits.squeeze(1)


class HemorrhageNet(nn.Module):
    """The paper's network with its three heads.

    Args:
        encoder_weights: State dict of `Encoder` from self-supervised pretraining (a file that loads with
            `weights_only=True`); None starts from random weights.
        dropout: On the 1024 features, before the volume and type heads; 0 is none.

    Raises:
        RuntimeError: The encoder weights do not fit.
    """

    def __init__(self, encoder_weights: str | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.dropout = nn.Dropout(dropout)
        self.volume = nn.Linear(POOLED_FEATURES, 1)
        self.types = nn.Linear(POOLED_FEATURES, len(TYPES))
        self.slices = SliceHead(self.encoder.block_channels)
        if encoder_weights:
            state = torch.load(Path(encoder_weights), map_location="cpu", weights_only=True)
            self.encoder.load_state_dict(state)

    def features(self, x: Tensor) -> Tensor:
        """(batch, 1, depth, rows, columns) → the paper's 1024 features."""
        pooled: Tensor = self.encoder(x)
        return pooled

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Logits of the three tasks.

        Args:
            x: (batch, 1, depth, rows, columns), any size; axes and values as the module says.

        Returns:
            `hemorrhage` (batch, 1), `types` (batch, 5) in the order of `TYPES`, `slices` (batch, depth).
        """
        return self.heads(self.encoder.blocks_of(x), x.shape[2])

    def heads(self, blocks: list[Tensor], depth: int) -> dict[str, Tensor]:
        """Outputs of the five blocks → logits; see `forward`."""
        pooled = self.dropout(self.encoder.pool(blocks[-1]))
        return {
            "hemorrhage": self.volume(pooled),
            "types": self.types(pooled),
            "slices": self.slices(blocks, depth),
        }


class JoinedLogits(nn.Module):
    """The same network with one output tensor, for tools that expect one (`verify_net_in_out`, class activation maps).

    Args:
        network: A `HemorrhageNet`; a new one when None.
    """

    def __init__(self, network: HemorrhageNet | None = None) -> None:
        super().__init__()
        self.network = network if network is not None else HemorrhageNet()

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 1, depth, rows, columns) → (batch, 1 + 5 + depth): volume, types, slices."""
        logits = self.network(x)
        return torch.cat((logits["hemorrhage"], logits["types"], logits["slices"]), dim=1)
