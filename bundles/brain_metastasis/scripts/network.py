"""Ghesu et al. §4.4 (brain metastases in MRI): a 2.5-D encoder-decoder, and a 2.5-D classifier that looks at its mask.

What the paper says: the encoder-decoder takes five neighbouring slices and gives the mask of suspected metastases; its
output is an attention channel beside the five slices; these six channels are compressed to three by a 1×1 convolution,
and a network after ResNet-50w2 scores the slice.

What the paper leaves open, and what is chosen here:

- The encoder-decoder is MONAI's `BasicUNet` with small widths. Group normalisation, as a batch has few heads, whose
  slices are alike; instance normalisation took two and a half times as long on a CPU. A mask means the probability,
  the sigmoid of its logit.
- The classifier is MONAI's ResNet for three channels with a linear head of one logit.
- The 1×1 convolution begins as the slices below, in and above the middle, each brightened where the mask points: an
  encoder from pretraining then sees images like its own from the first step. An export has one input channel; its first
  convolution is repeated for the three channels and divided by three.

Input (batch, 5, rows, columns): axial slices from inferior to superior, rows from anterior to posterior, columns from
the patient's right to the left, values 0 to 1 with brain near 0.4; sides in multiples of 32.
"""

from collections.abc import Sequence
from typing import Self

import torch
from monai.networks.nets import BasicUNet
from torch import Tensor, nn

from bundles.brain_metastasis.scripts.slices import CHANNELS, NEIGHBOURS
from bundles.common.radiograph.encoder import make_encoder

COMPRESSED = 3
WIDTHS = (16, 16, 32, 64, 128, 16)
"""Features of the encoder-decoder: five levels, and the last. 0.5 million parameters."""
GROUPS = 4
RARE = -4.0
"""First bias of the mask's logit: metastases fill few voxels."""
STEPS = {"joint": (True, True), "segmenter": (True, False), "classifier": (False, True)}
"""What each step of a training changes: (encoder-decoder, classifier)."""


class BrainMetastasisNet(nn.Module):
    """Encoder-decoder, attention channel and classifier.

    Args:
        backbone: Of the classifier; the paper's is "resnet50w2", or another of
            `bundles.common.radiograph.encoder.DESIGNS`.
        encoder_weights: File from `python -m pretraining export` for the classifier's encoder; None starts from random
            weights.
        widths: Six, of `BasicUNet`; multiples of 4.
        dropout: On the classifier's features; 0 is none.

    Raises:
        ValueError: No such backbone, or other widths.
        ConfigurationError: The encoder weights are those of another backbone, or differ from their manifest.
    """

    def __init__(
        self,
        backbone: str = "resnet18",
        encoder_weights: str | None = None,
        widths: Sequence[int] = WIDTHS,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(widths) != 6 or any(width < 1 or width % GROUPS for width in widths):
            raise ValueError(f"widths are six multiples of {GROUPS}, got {tuple(widths)}")
        self.segmenter = BasicUNet(
            spatial_dims=2,
            in_channels=CHANNELS,
            out_channels=1,
            features=tuple(widths),
            norm=("group", {"num_groups": GROUPS, "affine": True}),
            upsample="nontrainable",
        )
        nn.init.constant_(self.segmenter.final_conv.bias, RARE)
        self.compress = nn.Conv2d(CHANNELS + 1, COMPRESSED, 1)
        _begin_with_middle_slices(self.compress)
        self.encoder, features = make_encoder(backbone, encoder_weights, channels=COMPRESSED)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(features[-1], 1)
        self.step = "joint"

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Logits of the middle slice's mask and of whether it shows a metastasis.

        Args:
            x: (batch, 5, rows, columns), as the module says.

        Returns:
            `mask` (batch, 1, rows, columns) and `slices` (batch, 1). While the encoder-decoder alone is trained the
            classifier does not run: `slices` is 0.
        """
        mask: Tensor = self.segmenter(x)
        if self.training and self.step == "segmenter":
            return {"mask": mask, "slices": mask.new_zeros(len(x), 1)}
        return {"mask": mask, "slices": self.classify(x, mask)}

    def classify(self, x: Tensor, mask: Tensor) -> Tensor:
        """Five slices and the logits of the mask (batch, 1, rows, columns) → logits (batch, 1)."""
        six = torch.cat((x, torch.sigmoid(mask).to(x.dtype)), dim=1)
        logits: Tensor = self.head(self.dropout(self.encoder(self.compress(six))))
        return logits

    def train_only(self, step: str) -> None:
        """Hold what a step of training does not change: no gradients, and normalisation keeps its statistics.

        Args:
            step: One of `STEPS`.

        Raises:
            ValueError: No such step.
        """
        if step not in STEPS:
            raise ValueError(f"no step of training is called '{step}', expected {', '.join(STEPS)}")
        self.step = step
        segmenter, classifier = STEPS[step]
        self.segmenter.requires_grad_(segmenter)
        for part in self._classifier:
            part.requires_grad_(classifier)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Switch to training; a held part stays in evaluation, whoever calls this."""
        super().train(mode)
        segmenter, classifier = STEPS[self.step]
        self.segmenter.train(mode and segmenter)
        for part in self._classifier:
            part.train(mode and classifier)
        return self

    @property
    def _classifier(self) -> tuple[nn.Module, ...]:
        return (self.compress, self.encoder, self.dropout, self.head)


class JoinedLogits(nn.Module):
    """The same network with one output tensor, for tools that expect one (`verify_net_in_out`).

    Args:
        network: A `BrainMetastasisNet`; a new one when None.
    """

    def __init__(self, network: BrainMetastasisNet | None = None) -> None:
        super().__init__()
        self.network = network if network is not None else BrainMetastasisNet()

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 5, rows, columns) → (batch, 2, rows, columns): the mask's logits, and the slice's everywhere."""
        logits = self.network(x)
        return torch.cat((logits["mask"], logits["slices"][:, :, None, None].expand_as(logits["mask"])), dim=1)


def _begin_with_middle_slices(compress: nn.Conv2d) -> None:
    with torch.no_grad():
        compress.weight.zero_()
        if compress.bias is not None:
            compress.bias.zero_()
        for channel in range(COMPRESSED):
            compress.weight[channel, NEIGHBOURS - 1 + channel] = 1.0
            compress.weight[channel, CHANNELS] = 1.0
