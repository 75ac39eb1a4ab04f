"""Pieces that the configurations of radiograph bundles share: what to read, precision, batch statistics."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bundles.common import embedding


def find_images(source: str, limit: int = 0) -> list[dict[str, Any]]:
    """Radiographs below a folder, of one file, or of a datalist, as `{"image": path, "name": name}`.

    Raises:
        ConfigurationError: There is nothing to read.
    """
    found = embedding.find_images(source, dimensions=2, limit=limit)
    return [{"image": item["image"][0], "name": item["name"]} for item in found]


def prepare_batch(
    batch: Mapping[str, Any], device: torch.device | str | None = None, non_blocking: bool = False, **_: Any
) -> tuple[Tensor, None]:
    """The image on the device; there is no label."""
    return batch["image"].to(device, non_blocking=non_blocking), None


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

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        """Same as the network, which gives one tensor or several by name; outputs in float32."""
        with torch.autocast(self.device_type, dtype=torch.bfloat16, enabled=self.enabled):
            outputs = self.network(x)
        if isinstance(outputs, Tensor):
            return outputs.float()
        return {key: value.float() for key, value in outputs.items()}


def synchronised(network: nn.Module) -> nn.Module:
    """Batch statistics over all processes where the devices allow it (CUDA); on CPU each process keeps its own."""
    if not next(network.parameters()).is_cuda:
        return network
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    return converted
