"""Thorat et al. 2024 (seed 000): a ResNet-18 for one channel and a classification head with one logit, fracture.

Values are 0 to 1, bright is dense, any size; the paper's is 512 × 512.
"""

from bundles.common.radiograph.classifier import RadiographClassifier

FINDING = "fracture"


class WristFractureNet(RadiographClassifier):
    """Encoder and a linear head with one logit; the paper says "an appropriate classification head".

    Args:
        backbone: The paper's "resnet18", or another of `bundles.common.radiograph.encoder.DESIGNS`.
        encoder_weights: File from `python -m pretraining export`; None starts from random weights.
        dropout: On the features, before the head; 0 is none.

    Raises:
        ValueError: No such backbone.
        ConfigurationError: The encoder weights are those of another backbone, or differ from their manifest.
    """

    def __init__(self, backbone: str = "resnet18", encoder_weights: str | None = None, dropout: float = 0.0) -> None:
        super().__init__(1, backbone, encoder_weights, dropout)
