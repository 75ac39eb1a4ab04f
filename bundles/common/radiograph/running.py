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


def synchronised(network: nn.Module) -> nn.Module:
    """Batch statistics over all processes where the devices allow it (CUDA); on CPU each process keeps its own."""
    if not next(network.parameters()).is_cuda:
        return network
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    return converted
