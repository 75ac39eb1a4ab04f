"""The network of Ghesu et al. §4.5 (brain hemorrhage detection in CT): a small 3-D dense network with its heads.

The encoder, shared with pretraining, is `bundles/common/dense3d.py`: five dense blocks and 1024 features. Here are the
heads: the main task is hemorrhage in the volume, the auxiliary ones are its five types, its presence in every slice
and its outline (`segmentation.py`).

What the paper leaves open, and what is chosen here: the slice head pools every block's output in plane (maximum and
average), brings it back to the input's depth by linear interpolation and applies two 1-D convolutions along the depth.

Axes of the input (batch, 1, depth, rows, columns): depth = axial slices from inferior to superior, rows from anterior
to posterior, columns from the patient's right to the left. Values: HU mapped to (0, 1) with centre 55 and width 200.
"""

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from bundles.common.dense3d import POOLED_FEATURES, Encoder, largest
from bundles.common.encoder_weights import load_encoder
from bundles.head_ct_hemorrhage.scripts.segmentation import SegmentationHead

TYPES = ("subarachnoid", "subdural", "epidural", "intraventricular", "intraparenchymal")
PARTS = ("encoder", "volume", "types", "slices", "segmentation")


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
    """The paper's network with its heads.

    Args:
        encoder_weights: File of `Encoder` weights from `python -m pretraining export`; None starts from random weights.
        dropout: On the 1024 features, before the volume and type heads; 0 is none.
        segmentation: Whether there is a segmentation head.

    Raises:
        ConfigurationError: The encoder weights do not fit this encoder, or differ from their manifest.
    """

    def __init__(self, encoder_weights: str | None = None, dropout: float = 0.0, *, segmentation: bool = False) -> None:
        super().__init__()
        self._trained: str | None = None
        self.encoder = Encoder()
        self.dropout = nn.Dropout(dropout)
        self.volume = nn.Linear(POOLED_FEATURES, 1)
        self.types = nn.Linear(POOLED_FEATURES, len(TYPES))
        self.slices = SliceHead(self.encoder.block_channels)
        self.segmentation = SegmentationHead(self.encoder.block_channels) if segmentation else None
        if encoder_weights:
            load_encoder(self.encoder, encoder_weights).require_complete()

    def features(self, x: Tensor) -> Tensor:
        """(batch, 1, depth, rows, columns) → the paper's 1024 features."""
        pooled: Tensor = self.encoder(x)
        return pooled

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Logits of all tasks.

        Args:
            x: (batch, 1, depth, rows, columns), any size; axes and values as the module says.

        Returns:
            `hemorrhage` (batch, 1), `types` (batch, 5) in the order of `TYPES`, `slices` (batch, depth), and with that
            head `segmentation` (batch, 1, depth, rows, columns).
        """
        blocks = self.encoder.blocks_of(x)
        logits = self.heads(blocks, x.shape[2])
        if self.segmentation is not None:
            logits["segmentation"] = self.segmentation(blocks, (x.shape[2], x.shape[3], x.shape[4]))
        return logits

    def heads(self, blocks: list[Tensor], depth: int) -> dict[str, Tensor]:
        """Outputs of the five blocks → logits of volume, types and slices; see `forward`."""
        pooled = self.dropout(self.encoder.pool(blocks[-1]))
        return {
            "hemorrhage": self.volume(pooled),
            "types": self.types(pooled),
            "slices": self.slices(blocks, depth),
        }

    def train_only(self, part: str | None) -> Self:
        """Train one part alone, such as `segmentation`; None trains all.

        Everything else keeps its numbers bit by bit: no gradient, and no batch statistics, since it stays in evaluation
        even when the network is put into training.

        Raises:
            ValueError: No such part, or this network has none.
        """
        if part is not None and (part not in PARTS or getattr(self, part) is None):
            raise ValueError(f"expected one of {', '.join(PARTS)} that the network has, got {part!r}")
        self._trained = part
        for name, child in self.named_children():
            child.requires_grad_(part is None or name == part)
        return self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As in torch, but what `train_only` leaves out stays in evaluation."""
        super().train(mode)
        if self._trained is not None:
            for name, child in self.named_children():
                child.train(mode and name == self._trained)
        return self


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
