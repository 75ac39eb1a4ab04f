"""A ResNet for one channel and a linear head, one logit a class (Cho et al., CheSS, 2023: ResNet-50, 512 × 512)."""

from collections.abc import Sequence

from bundles.common.radiograph.classifier import RadiographClassifier


class ChestClassifier(RadiographClassifier):
    """Encoder and a linear head.

    Args:
        classes: Names, in the order of the logits.
        backbone: "resnet18" or CheSS's "resnet50"; also others of `bundles.common.radiograph.encoder.DESIGNS`.
        encoder_weights: File from `python -m pretraining export`; None starts from random weights.
        dropout: On the features, before the head; 0 is none.

    Raises:
        ValueError: No such backbone.
        ConfigurationError: The encoder weights are those of another backbone, or differ from their manifest.
    """

    def __init__(
        self,
        classes: Sequence[str],
        backbone: str = "resnet18",
        encoder_weights: str | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(len(classes), backbone, encoder_weights, dropout)
        self.classes = tuple(classes)
