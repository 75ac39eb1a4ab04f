"""Where in an image a classifier looked: Grad-CAM as a heat map, and its hottest part as a box in the source image.

A heat map shows what moved the output, which need not be the finding. A box from it is a hint for the eye, no
measurement.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.visualize import GradCAM
from numpy.typing import NDArray
from scipy.ndimage import label
from torch import Tensor, nn

SHARE = 0.5
SHOWN = 8


@dataclass(frozen=True, slots=True)
class Box:
    """Edges in pixels, x to the right, y down: pixel 0 covers 0 to 1."""

    x0: float
    y0: float
    x1: float
    y1: float


class OneOutput(nn.Module):
    """A network of several heads as one that gives the logits of one of them, as Grad-CAM needs it.

    Args:
        network: Shared, not copied.
        select: From its output to logits (batch, classes) or (batch,).
    """

    def __init__(self, network: nn.Module, select: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.network = network
        self.select = select

    def forward(self, images: Tensor) -> Tensor:
        """(batch, channel, *spatial) → (batch, classes)."""
        logits = self.select(self.network(images))
        return logits[:, None] if logits.ndim == 1 else logits


class HeatMaps:
    """Grad-CAM (Selvaraju et al. 2017) by MONAI for a network of one or several heads.

    It hooks into the layer once and for all, so keep one object a network; it must not be called from two threads at
    once. The network's mode, the gradients of its parameters and their `requires_grad` are as before after each call,
    and it works within `torch.inference_mode`, as in the service, as long as the network was not built there.

    Args:
        network: In whatever mode; heat maps are those of evaluation.
        layer: Name in `named_modules` of the layer whose output is weighted, mostly the last with a spatial extent.
        select: From the network's output to logits (batch, classes) or (batch,); None where it gives them itself.

    Raises:
        ValueError: The network has no such layer.
    """

    def __init__(self, network: nn.Module, layer: str, select: Callable[[Any], Tensor] | None = None) -> None:
        names = [name for name, _ in network.named_modules() if name]
        if layer not in names:
            raise ValueError(f"the network has no layer {layer!r}; its last ones are {', '.join(names[-SHOWN:])}")
        self.network = network
        self._layer = network.get_submodule(layer)
        whole = OneOutput(network, select or (lambda output: output))
        self._cam = GradCAM(nn_module=whole, target_layers=f"network.{layer}", postprocessing=lambda heat: heat)

    def __call__(self, images: Tensor, class_index: int = 0) -> Tensor:
        """Heat of every image, scaled to its own hottest place.

        Args:
            images: (batch, channel, *spatial), as the network takes them.
            class_index: Of the output to explain.

        Returns:
            (batch, *spatial) float32 from 0 to 1; 0 everywhere where nothing spoke for the class.

        Raises:
            ValueError: The layer's output has no spatial extent, or the gradient is not finite.
        """
        with torch.inference_mode(mode=False), torch.enable_grad(), _as_before(self.network), _graph_from(self._layer):
            # A copy: tensors of inference mode can take no gradient.
            own = images.as_subclass(Tensor).detach().clone()
            heat = self._cam(own, class_idx=class_index).detach()[:, 0].float()
            hooked = self._cam.nn_module
            hooked.activations.clear()
            hooked.gradients.clear()
            hooked.score = None
        if not torch.isfinite(heat).all():
            raise ValueError("the heat map is not finite: activations or gradients overflow on this image")
        hottest = heat.flatten(1).amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny)
        scaled: Tensor = heat / hottest.reshape(-1, *[1] * (heat.ndim - 1))
        return scaled


@contextmanager
def _graph_from(layer: nn.Module) -> Iterator[None]:
    """Let gradients begin at a layer's input: what lies before it is costly to go back through and needs none."""

    def begin(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(each.detach().requires_grad_() for each in inputs)

    handle = layer.register_forward_pre_hook(begin)
    try:
        yield
    finally:
        handle.remove()


def hottest_box(heat: NDArray[Any], share: float = SHARE, content: Box | None = None) -> Box | None:
    """The box around the connected part of a heat map that holds its hottest place.

    Args:
        heat: (rows, columns), 0 or above.
        share: Of the hottest value: places at or above belong to the part. Neighbours by edge connect.
        content: Part of the input that is image and not padding; heat elsewhere is ignored. None takes all.

    Returns:
        Edges in pixels of the heat map; None where there is no heat.

    Raises:
        ValueError: Not rows and columns of finite values of 0 or above, or a share outside of 0 (excluded) to 1.
    """
    values = _within(heat, content)
    if not 0 < share <= 1:
        raise ValueError(f"the share of the hottest value lies above 0 and at most at 1, got {share}")
    if not values.size or values.max() == 0:
        return None
    parts, _ = label(values >= share * values.max())
    own = parts == parts[np.unravel_index(int(values.argmax()), values.shape)]
    rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
    return Box(float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


def hottest_pixel(heat: NDArray[Any], content: Box | None = None) -> Box | None:
    """The hottest pixel of a heat map, for the pointing game (Zhang et al. 2018); None where there is no heat.

    Args:
        heat: (rows, columns), 0 or above.
        content: Part of the input that is image and not padding; heat elsewhere is ignored. None takes all.

    Raises:
        ValueError: Not rows and columns of finite values of 0 or above.
    """
    values = _within(heat, content)
    if not values.size or values.max() == 0:
        return None
    row, column = (float(place) for place in np.unravel_index(int(values.argmax()), values.shape))
    return Box(column, row, column + 1, row + 1)


def to_source(box: Box, content: Box, source: tuple[int, int]) -> Box:
    """A box of the network's input in pixels of the source image, cut at its border.

    Args:
        box: In pixels of the input.
        content: Where the whole source image lies in the input, each axis scaled by itself.
        source: (rows, columns) of the source image.

    Raises:
        ValueError: The content has no area.
    """
    width, height = content.x1 - content.x0, content.y1 - content.y0
    if width <= 0 or height <= 0:
        raise ValueError(f"the image has no extent in the input: {content}")
    rows, columns = source
    across = [(x - content.x0) * columns / width for x in (box.x0, box.x1)]
    down = [(y - content.y0) * rows / height for y in (box.y0, box.y1)]
    x0, x1 = (min(max(x, 0.0), float(columns)) for x in across)
    y0, y1 = (min(max(y, 0.0), float(rows)) for y in down)
    return Box(x0, y0, x1, y1)


def _within(heat: NDArray[Any], content: Box | None) -> NDArray[np.float64]:
    """The heat as float64, 0 outside of the content."""
    values = np.array(heat, dtype=np.float64)
    if values.ndim != 2 or not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(f"expected heat of 0 or above in rows and columns, got shape {values.shape}")
    if content is not None:
        rows, columns = np.indices(values.shape) + 0.5
        inside = (columns > content.x0) & (columns < content.x1) & (rows > content.y0) & (rows < content.y1)
        values[~inside] = 0
    return values


@contextmanager
def _as_before(network: nn.Module) -> Iterator[None]:
    """Evaluation without gradients of parameters; afterwards modes, gradients and flags are back."""
    modes = [(module, module.training) for module in network.modules()]
    parameters = [(p, p.requires_grad, p.grad) for p in network.parameters()]
    network.eval()
    for parameter, _, _ in parameters:
        parameter.requires_grad_(False)
        parameter.grad = None
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter, required, gradient in parameters:
            parameter.requires_grad_(required)
            parameter.grad = gradient
