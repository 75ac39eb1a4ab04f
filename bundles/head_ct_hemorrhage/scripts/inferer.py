"""Run the segmentation head only where the volume head suspects a hemorrhage: most heads have none."""

import math
from typing import Any

from monai.inferers import Inferer
from torch import Tensor, nn

from bundles.head_ct_hemorrhage.scripts.network import HemorrhageNet

Scale = dict[str, tuple[float, float]]


class SegmentSuspected(Inferer):  # type: ignore[misc]
    """All logits of a `HemorrhageNet`; `segmentation` only where a head of the batch is suspected.

    Args:
        suspicion: Probability of a hemorrhage in the volume from which the segmentation head runs; 0 always runs it.
            Keep it below the service's threshold: a finding that is present wants its outline.
        scale: Platt scaling by output; of `hemorrhage` it makes the probability.

    Raises:
        ValueError: That is no probability.
    """

    def __init__(self, suspicion: float = 0.0, scale: Scale | None = None) -> None:
        super().__init__()
        if not 0 <= suspicion < 1:
            raise ValueError(f"suspicion is a probability, 0 to below 1, got {suspicion}")
        factor, offset = (scale or {}).get("hemorrhage", (1.0, 0.0))
        self.scale = (float(factor), float(offset))
        self.logit = math.log(suspicion / (1 - suspicion)) if suspicion > 0 else -math.inf

    def __call__(self, inputs: Tensor, network: nn.Module, *_: Any, **__: Any) -> dict[str, Tensor]:
        """(batch, 1, depth, rows, columns) → logits as `HemorrhageNet.forward` names them."""
        if not isinstance(network, HemorrhageNet):
            raise TypeError(f"expected a HemorrhageNet, got {type(network).__name__}")
        blocks = network.encoder.blocks_of(inputs)
        logits = network.heads(blocks, inputs.shape[2])
        factor, offset = self.scale
        if network.segmentation is not None and bool((logits["hemorrhage"] * factor + offset >= self.logit).any()):
            logits["segmentation"] = network.segmentation(blocks, (inputs.shape[2], inputs.shape[3], inputs.shape[4]))
        return logits
