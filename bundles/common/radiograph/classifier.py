"""An encoder of pretraining with a linear head: what classifiers of whole radiographs are made of.

Values are 0 to 1, bright is dense, any size.
"""

from typing import Self

from torch import Tensor, nn

from bundles.common.radiograph.encoder import make_encoder


class RadiographClassifier(nn.Module):
    """Encoder and a linear head.

    The head begins with a batch normalisation without weights, as in linear probing after He et al. 2022 (Masked
    autoencoders, A.1): features of another encoder have another scale, and one learning rate shall fit them all.

    Args:
        outputs: Logits.
        backbone: One of `bundles.common.radiograph.encoder.DESIGNS`.
        encoder_weights: File from `python -m pretraining export`; None starts from random weights.
        dropout: On the features, before the head; 0 is none.

    Raises:
        ValueError: No such backbone.
        ConfigurationError: The encoder weights are those of another backbone, or differ from their manifest.
    """

    def __init__(
        self, outputs: int, backbone: str = "resnet18", encoder_weights: str | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.encoder, channels = make_encoder(backbone, encoder_weights)
        self.head = nn.Sequential(
            nn.BatchNorm1d(channels[-1], affine=False), nn.Dropout(dropout), nn.Linear(channels[-1], outputs)
        )
        self.channels = channels[-1]
        self.encoder_is_frozen = False

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 1, rows, columns) → logits (batch, outputs)."""
        logits: Tensor = self.head(self.encoder(x))
        return logits

    def features(self, x: Tensor) -> Tensor:
        """(batch, 1, rows, columns) → the encoder's last maps (batch, channels, rows / 32, columns / 32)."""
        encoder = self.encoder
        x = encoder.maxpool(encoder.act(encoder.bn1(encoder.conv1(x))))
        maps: Tensor = encoder.layer4(encoder.layer3(encoder.layer2(encoder.layer1(x))))
        return maps

    def freeze_encoder(self, *, frozen: bool = True) -> None:
        """Hold the encoder: no gradients, and the statistics of its batch normalisation stay as they are."""
        self.encoder_is_frozen = frozen
        self.encoder.requires_grad_(not frozen)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Switch to training; a frozen encoder stays in evaluation, whoever calls this."""
        super().train(mode)
        if self.encoder_is_frozen:
            self.encoder.eval()
        return self
