"""Training in bfloat16: a wrapper for networks that give one tensor or several by name."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bundles.common.careful_convolutions import make_convolutions_careful


class Autocast(nn.Module):
    """Runs a network in bfloat16 where that is sound (`torch.autocast`); parameters stay float32.

    Args:
        network: Whose parameters are trained; its state dict is what gets saved, never this wrapper's.
        device: Its type chooses the kind of autocast.
        enabled: False runs in float32.
    """

    def __init__(self, network: nn.Module, device: torch.device | str, *, enabled: bool = True) -> None:
        super().__init__()
        self.network = network
        self.device_type = torch.device(device).type
        self.enabled = enabled
        if enabled and self.device_type == "cpu":
            make_convolutions_careful(network)

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        """Same as the network, which gives one tensor or several by name; outputs in float32."""
        with torch.autocast(self.device_type, dtype=torch.bfloat16, enabled=self.enabled):
            outputs = self.network(x)
        if isinstance(outputs, Tensor):
            return outputs.float()
        return {key: value.float() for key, value in outputs.items()}
