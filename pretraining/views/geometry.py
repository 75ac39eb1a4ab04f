"""Where a crop's pixels come from: window, rotation, zoom, shift, flip and lens distortion as one map for a sample.

A random `Geometry` draws `GeometryParams`; these give one affine map (`SourceMap`) from the crop's pixels to the
image's. Resampling happens once, whatever was drawn.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from pretraining.views.draws import Bounds, check_bounds, check_probability, happens, uniform
from pretraining.views.windows import Scale, place


@dataclass(frozen=True)
class GeometryParams:
    """What was drawn for a batch; everything on the CPU, (batch, …).

    Attributes:
        lower, extent: (batch, axes) float64, the window's lower edges and extents in source pixels.
        angles: (batch, planes) float64, radians; see `Geometry.rotation_deg`.
        zoom: (batch,) float64, above 1 shows things larger.
        shift: (batch, axes) float64, by how many pixels of the crop the content moves towards higher indices.
        flip: (batch, axes) bool.
        distortion: (batch,) float64; see `Geometry.distortion`.
    """

    lower: Tensor
    extent: Tensor
    angles: Tensor
    zoom: Tensor
    shift: Tensor
    flip: Tensor
    distortion: Tensor


@dataclass(frozen=True)
class SourceMap:
    """Crop pixel to image pixel: position = centre + factor(y) · matrix @ y, y the offset from the crop's centre.

    factor(y) = 1 + distortion · (|y| / half the crop's longest side)². Positions are pixel indices (0 is the middle
    of the first pixel). All float64 on the CPU.

    Attributes:
        matrix: (batch, axes, axes), source pixels for one pixel of the crop.
        centre: (batch, axes), where the middle of the crop lies in the image.
        distortion: (batch,).
    """

    matrix: Tensor
    centre: Tensor
    distortion: Tensor


@dataclass(frozen=True)
class Geometry:
    """Random geometry of views, in 2-D and 3-D.

    Attributes:
        border: up to this share of the image is cut off on every side (seed 001, table 1).
        rotation_deg: largest angle in each plane, either way: one number for (rows, columns); in 3-D one to three,
            for (rows, columns), (depth, rows), (depth, columns). Positive turns as `torch.rot90` does.
        zoom: factor about the middle of the crop.
        shift: largest translation either way, as a share of the crop's size.
        flip: probability for each axis, the last ones if there are fewer than axes: (0.5,) mirrors left and right.
        distortion: share by which a point at half the crop's longest side is pulled in from outside (below zero:
            pushed out), as one radial coefficient of a lens.
        distorted: probability that a sample is distorted at all.
    """

    border: float = 0.0
    rotation_deg: tuple[float, ...] = ()
    zoom: Bounds = (1.0, 1.0)
    shift: float = 0.0
    flip: tuple[float, ...] = ()
    distortion: Bounds = (0.0, 0.0)
    distorted: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.border < 0.5:
            raise ValueError(f"border is {self.border}, expected a share from 0 to below 0.5 of the image a side")
        check_bounds("zoom", self.zoom)
        if self.zoom[0] <= 0:
            raise ValueError(f"zoom is {self.zoom}, expected factors above 0")
        check_bounds("distortion", self.distortion)
        if self.distortion[0] <= -0.1:
            raise ValueError(
                f"distortion is {self.distortion}: at -0.1 and below the corners of a crop would fold back"
            )
        for probability in (*self.flip, self.distorted):
            check_probability("flip or distorted", probability)

    def sample(self, images: Tensor, size: tuple[int, ...], scale: Scale, generator: torch.Generator) -> GeometryParams:
        """Draw for images of these sizes, (batch, axes), and crops of ``size`` pixels."""
        count, axes = images.shape
        planes = axes * (axes - 1) // 2
        if len(self.rotation_deg) > planes or len(self.flip) > axes:
            raise ValueError(
                f"rotation_deg {self.rotation_deg} and flip {self.flip} name more than the {planes} planes and "
                f"{axes} axes of the images"
            )
        lower, extent = place(images, size, scale, self.border, generator)
        limits = torch.zeros(planes, dtype=torch.float64)
        limits[: len(self.rotation_deg)] = torch.tensor(self.rotation_deg, dtype=torch.float64)
        mirrored = torch.zeros(axes, dtype=torch.float64)
        mirrored[axes - len(self.flip) :] = torch.tensor(self.flip, dtype=torch.float64)
        return GeometryParams(
            lower=lower,
            extent=extent,
            angles=uniform((count, planes), (-1, 1), generator) * torch.deg2rad(limits),
            zoom=uniform((count,), self.zoom, generator),
            shift=uniform((count, axes), (-self.shift, self.shift), generator)
            * torch.tensor(size, dtype=torch.float64),
            flip=uniform((count, axes), (0, 1), generator) < mirrored,
            distortion=uniform((count,), self.distortion, generator) * happens((count,), self.distorted, generator),
        )


def source_map(params: GeometryParams, size: tuple[int, ...]) -> SourceMap:
    """The map of crops of ``size`` pixels: the window is turned, zoomed, shifted, then mirrored."""
    step = params.extent / torch.tensor(size, dtype=torch.float64)
    turn = _rotation(params.angles, len(size)) / params.zoom[:, None, None]
    mirror = torch.where(params.flip, -1.0, 1.0).to(torch.float64)
    middle = params.lower + params.extent / 2 - 0.5
    offset = (turn @ params.shift[:, :, None]).squeeze(-1)
    return SourceMap(
        matrix=step[:, :, None] * turn * mirror[:, None, :],
        centre=middle - step * offset,
        distortion=params.distortion,
    )


def _rotation(angles: Tensor, axes: int) -> Tensor:
    """(batch, axes, axes) from angles in the planes (rows, columns), (depth, rows), (depth, columns)."""
    count = len(angles)
    total = torch.eye(axes, dtype=torch.float64).repeat(count, 1, 1)
    pairs = sorted(itertools.combinations(range(axes), 2), key=lambda pair: (-pair[0], pair[1]))
    for plane, (first, second) in enumerate(pairs):
        turn = torch.eye(axes, dtype=torch.float64).repeat(count, 1, 1)
        cosine, sine = angles[:, plane].cos(), angles[:, plane].sin()
        turn[:, first, first] = turn[:, second, second] = cosine
        turn[:, first, second], turn[:, second, first] = sine, -sine
        total = total @ turn
    return total


def reach(source: SourceMap, size: tuple[int, ...]) -> Tensor:
    """How far from its centre a crop reaches into the image, (batch, axes) in source pixels; never too small."""
    half = (torch.tensor(size, dtype=torch.float64) - 1) / 2
    corner = sum(float(h) ** 2 for h in half) / (max(size) / 2) ** 2
    most = torch.clamp(1 + source.distortion * corner, min=1.0)
    return (source.matrix.abs() @ half) * most[:, None]


def shrinkage(source: SourceMap) -> Tensor:
    """Source pixels that one pixel of the crop spans on each axis of the image, (batch, axes)."""
    return source.matrix.square().sum(dim=2).sqrt()


def radius_squared(size: tuple[int, ...], device: torch.device) -> Tensor:
    """(*size) float32: squared distance from the crop's middle, in halves of its longest side."""
    half = max(size) / 2
    total = torch.zeros(size, device=device)
    for axis, n in enumerate(size):
        shape = [1] * len(size)
        shape[axis] = n
        offset = (torch.arange(n, dtype=torch.float64, device=device) - (n - 1) / 2) / half
        total = total + offset.square().to(torch.float32).view(shape)
    return total
