"""What the configurations of this bundle read, and what results of inference say."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def plain_of(classes: Sequence[str]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """A function from an item of `Classesd` to what JSON takes: probabilities by class, and regions in pixels."""

    def as_plain(item: Mapping[str, Any]) -> dict[str, Any]:
        found = {name: round(float(value), 4) for name, value in zip(classes, item["probabilities"], strict=True)}
        regions = {
            classes[int(number)]: [round(float(edge), 1) for edge in box]
            for number, box in zip(item["classes"], item["boxes"], strict=True)
        }
        return {"probabilities": found, "regions": regions}

    return as_plain


def prepare_batch(
    batch: Mapping[str, Any], device: torch.device | str | None = None, non_blocking: bool = False, **_: Any
) -> tuple[Tensor, Tensor]:
    """A batch as (image, label (batch, classes)) on the device."""
    image, label = (batch[name].to(device, non_blocking=non_blocking) for name in ("image", "label"))
    return image, label
