"""Where in an image a classifier looked: Grad-CAM as a heat map, and its hottest part as a box in the source image.

A heat map shows what moved the output, which need not be the finding. A box from it is a hint for the eye, no
measurement.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer
from monai.visualize.class_activation_maps import default_upsampler
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


class GradCamInferer(Inferer):  # type: ignore[misc]  # MONAI is untyped
    """A classifier's logits and its Grad-CAM (Selvaraju et al. 2017) from one forward pass.

    Nothing before the layer needs a gradient: the graph begins at the layer's output, so a heat map costs little more
    than the pass itself. MONAI's `GradCAM` would be a second pass, and goes back through the whole network.

    The network stays as it is: mode (evaluation, in whose forward pass alone a heat map means something), gradients of
    parameters and their `requires_grad`. It works within `torch.inference_mode`, as in the service, as long as the
    network was not built there. Calls wait for each other.

    Args:
        layer: Name in `named_modules` of the layer whose output is weighted, mostly the last with a spatial extent.
        select: From the network's output to logits (batch, classes) or (batch,); None where it gives them itself.
        class_index: Of the logit to explain; None explains every one, each with a map of its own.
    """

    def __init__(self, layer: str, select: Callable[[Any], Tensor] | None = None, class_index: int | None = 0) -> None:
        super().__init__()
        self.layer, self.select, self.class_index = layer, select, class_index
        self._one_at_a_time = Lock()

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Analyse a batch.

        Args:
            inputs: (batch, channel, *spatial).
            network: In evaluation mode.
            *args: For the network, as are keywords.
            **kwargs: See `args`.

        Returns:
            `logits` (batch, classes), and `heat` (batch, *spatial) float32 from 0 to 1, scaled to the hottest place of
            each image; 0 everywhere where nothing spoke for the class. With `class_index` None it is (batch, classes,
            *spatial).

        Raises:
            ValueError: The network has no such layer or does not come by it, the layer's output has no spatial extent,
                or the gradient is not finite.
        """
        names = [name for name, _ in network.named_modules() if name]
        if self.layer not in names:
            shown = ", ".join(names[-SHOWN:])
            raise ValueError(f"the network has no layer {self.layer!r}; its last ones are {shown}")
        with self._one_at_a_time, torch.inference_mode(mode=False), torch.no_grad():
            # A copy: tensors of inference mode can take no gradient.
            own = inputs.as_subclass(Tensor).detach().clone()
            with _graph_after(network.get_submodule(self.layer)) as kept:
                output = network(own, *args, **kwargs)
                logits = output if self.select is None else self.select(output)
                logits = logits[:, None] if logits.ndim == 1 else logits
                # One column each, while gradients are recorded: what follows works outside of the graph.
                explained = logits.unbind(dim=1) if self.class_index is None else [logits[:, self.class_index]]
            if not kept:
                raise ValueError(f"the network does not come by its layer {self.layer!r}")
            heat = torch.stack([_heat(kept[-1], each, own.shape[2:]) for each in explained], dim=1)
            return {"logits": logits.detach(), "heat": heat if self.class_index is None else heat[:, 0]}


@contextmanager
def _graph_after(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Within `no_grad`: record gradients from a layer's output on, and give those outputs."""
    kept: list[Tensor] = []

    def begin(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> Tensor:
        torch.set_grad_enabled(mode=True)
        kept.append(output.detach().requires_grad_())
        # A copy: what follows may work in place.
        return kept[-1].clone()

    handle = layer.register_forward_hook(begin)
    try:
        yield kept
    finally:
        handle.remove()
        torch.set_grad_enabled(mode=False)


def _heat(maps: Tensor, scores: Tensor, size: Sequence[int]) -> Tensor:
    """Weight maps (batch, channel, *spatial) by the mean gradient of scores (batch,), and scale the sum up to a size.

    Source: equations 1 and 2 of the paper.
    """
    if maps.ndim != len(size) + 2:
        raise ValueError(f"the layer's output has no spatial extent to show in the image: {tuple(maps.shape)}")
    (gradient,) = torch.autograd.grad(scores, maps, torch.ones_like(scores), retain_graph=True)
    weights = gradient.flatten(2).mean(dim=2).reshape(*gradient.shape[:2], *[1] * len(size))
    heat = (weights * maps.detach()).sum(dim=1, keepdim=True).relu().float()
    if not torch.isfinite(heat).all():
        raise ValueError("the heat map is not finite: activations or gradients overflow on this image")
    scaled: Tensor = default_upsampler(size)(heat)[:, 0]
    hottest = scaled.flatten(1).amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny)
    return scaled / hottest.reshape(-1, *[1] * len(size))


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
