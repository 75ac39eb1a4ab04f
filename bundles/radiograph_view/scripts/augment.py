"""Batches of phantoms made to look otherwise, so that what is learned of them holds on real radiographs.

Limbs lie on the detector at any angle, chests stand upright but for a few that were stored turned. A picture is cut out
anew (angle, size, shape, mirror), then its tones change: gamma, shading, blur, noise, letters, a forgotten inversion.
What a picture holds of nothing at all (noise, a page, a slice of a head) is drawn here too, and is `other`.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from bundles.common.radiograph.grey import CLIPPED
from bundles.common.views import VIEWS

OTHER = VIEWS.index("other")
UPRIGHT = (VIEWS.index("frontal_chest"), VIEWS.index("lateral_chest"))


@dataclass(frozen=True, slots=True)
class Strength:
    """How much is changed.

    Attributes:
        junk: Share of pictures replaced by something that is no radiograph.
        turned: Share of chests turned by a quarter or half.
        tilt: Standard deviation of a chest's angle, radians.
        zoom: Smallest and largest part of the picture that is shown, by its longer side. Limbs are cut out freely.
        zoom_upright: The same of chests, which are framed alike nearly everywhere.
        shift: Standard deviation of the centre, of the longer side.
        stretch: Standard deviation of the logarithm of height over width.
        inverted: Share with dense dark.
        framed: Share with the collimator's border, bright as where nothing was exposed, or black.
        noise: Largest standard deviation of white noise.
    """

    junk: float = 0.08
    turned: float = 0.06
    tilt: float = 0.10
    zoom: tuple[float, float] = (0.65, 1.25)
    zoom_upright: tuple[float, float] = (0.8, 1.4)
    shift: float = 0.08
    stretch: float = 0.12
    inverted: float = 0.08
    framed: float = 0.3
    noise: float = 0.05


def augment(
    images: Tensor, sizes: Tensor, labels: Tensor, size: int, strength: Strength | None = None
) -> tuple[Tensor, Tensor]:
    """Change a batch; torch's global generator draws.

    Args:
        images: (batch, 1, side, side), 0 to 1, in the upper left corner.
        sizes: (batch, 2) rows and columns of the pictures in them.
        labels: (batch,) indices in `VIEWS`.
        size: Side of the result.
        strength: Of the changes.

    Returns:
        (batch, 1, size, size) of 0 to 1, in the upper left corner, and the labels.
    """
    how = strength or Strength()
    upright = torch.isin(labels, torch.tensor(UPRIGHT, device=labels.device))
    cut, inside = cut_out(images.float(), sizes.float(), upright, size, how)
    made_up = torch.rand(len(cut), device=cut.device) < how.junk
    if made_up.any():
        cut[made_up] = junk(int(made_up.sum()), size).to(cut)
    return recoloured(cut, inside, how), torch.where(made_up, torch.full_like(labels, OTHER), labels)


def cut_out(images: Tensor, sizes: Tensor, upright: Tensor, size: int, how: Strength) -> tuple[Tensor, Tensor]:
    """Another rectangle of each picture, turned and mirrored, and its mask, both (batch, 1, size, size)."""
    count, side = len(images), images.shape[-1]
    quarter = torch.randint(4, (count,)) * (math.pi / 2) * (torch.rand(count) < how.turned)
    angle = torch.where(upright.cpu(), torch.randn(count) * how.tilt + quarter, torch.rand(count) * 2 * math.pi)
    mirror = torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    longer = sizes.amax(dim=1).cpu()
    zoom = torch.where(upright.cpu(), _zoom(count, how.zoom_upright), _zoom(count, how.zoom)) * longer
    ratio = (sizes[:, 0] / sizes[:, 1]).cpu() * torch.exp(torch.randn(count) * 2 * how.stretch)
    height, width = torch.clamp(ratio, max=1.0) * size, torch.clamp(1 / ratio, max=1.0) * size
    squeeze = torch.exp(torch.randn(count) * how.stretch / 2)
    centre = sizes.cpu() / 2 + torch.randn(count, 2) * how.shift * longer[:, None]
    place = torch.arange(size) + 0.5
    v = ((place[None] - height[:, None] / 2) / size)[:, :, None] * squeeze[:, None, None]
    u = ((place[None] - width[:, None] / 2) / size)[:, None, :] * (mirror / squeeze)[:, None, None]
    c, s = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
    scale = zoom[:, None, None]
    x = centre[:, 1, None, None] + scale * (c * u - s * v)
    y = centre[:, 0, None, None] + scale * (s * u + c * v)
    grid = torch.stack([x, y], dim=-1) * (2 / side) - 1
    cut = functional.grid_sample(images, grid.to(images), mode="bilinear", padding_mode="zeros", align_corners=False)
    inside = (place[None, :, None] < height[:, None, None]) & (place[None, None, :] < width[:, None, None])
    mask = inside[:, None].to(images)
    return cut * mask, mask


def recoloured(images: Tensor, inside: Tensor, how: Strength) -> Tensor:
    """Other tones within the mask, black outside of it."""
    count = len(images)
    value = _normalised(images, inside)
    value = value ** torch.exp(_uniform(count, -1.2, 0.7)).to(value)
    value = _hazed(value)
    shade = functional.interpolate(torch.randn(count, 1, 3, 3), size=images.shape[-2:], mode="bicubic")
    value = value * (1 + shade.to(value) * _uniform(count, 0, 0.2).to(value))
    value = torch.where((torch.rand(count, 1, 1, 1) < 0.35).to(value.device), _blurred(value), value)
    value = value + torch.randn(value.shape).to(value) * _uniform(count, 0, how.noise).to(value)
    value = torch.maximum(value, _letters(count, images.shape[-1]).to(value))
    hidden = _border(count, images.shape[-1], how.framed).to(value)
    bright = (torch.rand(count, 1, 1, 1) < 0.6).to(value)
    value = torch.where(hidden > 0, bright, value)
    value = torch.where((torch.rand(count, 1, 1, 1) < how.inverted).to(value.device), 1 - value, value)
    return _normalised(value * inside, inside)


def junk(count: int, size: int) -> Tensor:
    """What is no radiograph, (count, 1, size, size): clouds and noise, slices with a shell, pages of rectangles."""
    shape = (count, 1, size, size)
    clouds = sum(
        functional.interpolate(torch.randn(count, 1, knots, knots), size=(size, size), mode="bilinear") * weight
        for knots, weight in zip((2, 4, 8, 16, 32, size), torch.rand(6).tolist(), strict=True)
    )
    clouds = torch.as_tensor(clouds)
    axis = torch.linspace(-1, 1, size)
    across = (axis[None, None, None] - _uniform(count, -0.2, 0.2)) / _uniform(count, 0.4, 0.9)
    down = (axis[None, None, :, None] - _uniform(count, -0.2, 0.2)) / _uniform(count, 0.4, 0.9)
    radius = torch.sqrt(across**2 + down**2)
    shell = (radius < 1) * (0.4 + 0.1 * clouds) + ((radius > 0.9) & (radius < 1)) * _uniform(count, 0, 0.6)
    page = torch.zeros(shape)
    for _ in range(12):
        page = torch.maximum(page, _rectangle(count, size, 0.7, 0.12))
    page = torch.where(torch.rand(count, 1, 1, 1) < 0.5, page, 1 - page)
    which = torch.randint(3, (count, 1, 1, 1))
    return torch.where(which == 0, clouds, torch.where(which == 1, shell, page))


def _normalised(images: Tensor, inside: Tensor) -> Tensor:
    """0 to 1 within the mask, the brightest clipped as the reader does (`radiograph.grey`), by every fourth pixel."""
    flat, mask = images[..., ::2, ::2].flatten(1), inside[..., ::2, ::2].flatten(1) > 0
    black = torch.where(mask, flat, torch.inf).amin(dim=1)
    ordered = torch.where(mask, flat, -torch.inf).sort(dim=1, descending=True).values
    place = (mask.sum(dim=1) * CLIPPED).long()
    white = ordered.gather(1, place[:, None])[:, 0]
    spread = (white - black).clamp_min(1e-3)
    value = (images - black[:, None, None, None]) / spread[:, None, None, None]
    return value.clamp(0, 1) * inside


def _zoom(count: int, limits: tuple[float, float]) -> Tensor:
    return torch.exp(torch.empty(count).uniform_(math.log(limits[0]), math.log(limits[1])))


def _uniform(count: int, low: float, high: float) -> Tensor:
    return torch.empty(count, 1, 1, 1).uniform_(low, high)


def _hazed(images: Tensor) -> Tensor:
    """In half of the pictures, lift what is dark within the body here and there: stout people, fluid, low contrast."""
    count = len(images)
    field = functional.interpolate(torch.rand(count, 1, 4, 4), size=images.shape[-2:], mode="bilinear").to(images)
    strength = (_uniform(count, 0, 1.0) * (torch.rand(count, 1, 1, 1) < 0.5)).to(images)
    within = (images * 8).clamp(0, 1)
    return images + strength * field * within * (1 - images)


def _blurred(images: Tensor) -> Tensor:
    small = functional.avg_pool2d(images, 2)
    return functional.interpolate(small, size=images.shape[-2:], mode="bilinear", align_corners=False)


def _rectangle(count: int, size: int, longest: float, highest: float) -> Tensor:
    """One bright rectangle a picture, its sides up to these shares of the picture."""
    axis = (torch.arange(size) + 0.5) / size
    left, top = _uniform(count, 0, 0.95), _uniform(count, 0, 0.95)
    right, bottom = left + _uniform(count, 0.02, longest), top + _uniform(count, 0.015, highest)
    columns = (axis[None, None, None] > left) & (axis[None, None, None] < right)
    rows = (axis[None, None, :, None] > top) & (axis[None, None, :, None] < bottom)
    return (columns & rows).float()


def _border(count: int, size: int, share: float) -> Tensor:
    """1 where the collimator hides a picture: on each side up to 28 % of it, on about half of the sides."""
    axis = ((torch.arange(size) + 0.5) / size)[None]
    margin = torch.rand(4, count, 1) * 0.28 * (torch.rand(4, count, 1) < 0.5) * (torch.rand(count, 1) < share)
    columns = (axis < margin[0]) | (axis > 1 - margin[1])
    rows = (axis < margin[2]) | (axis > 1 - margin[3])
    return (columns[:, None, None, :] | rows[:, None, :, None]).float()


def _letters(count: int, size: int) -> Tensor:
    """In some pictures a few small bright marks, as side letters and burned-in text are."""
    marks = torch.zeros(count, 1, size, size)
    for _ in range(3):
        some = (torch.rand(count, 1, 1, 1) < 0.3).float()
        marks = torch.maximum(marks, some * _rectangle(count, size, 0.12, 0.06))
    return marks
