"""Energy bands (Philipsen et al., IEEE TMI 34(9), 2015; seed 001, section 3.3, Eq. 8).

An image is the sum of bands of detail, from fine to coarse, and a residual. Each band's energy is its standard
deviation over the whole image (Ω). Scaling the bands to reference energies takes away what one device or institute
does to images; drawing the reference energies around their mean makes views that differ in that.

Two things the papers leave open: the residual keeps its scale (it holds the anatomy's mean brightness, and the bands
alone are detail), and a gain is limited to `MAX_GAIN`, because a crop of plain background has no energy to scale.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from pretraining.views.filters import gaussian

SIGMAS = (1.0, 2.0, 4.0, 8.0, 16.0)
MAX_GAIN = 4.0
SILENT = 1e-6  # below this energy a band is rounding, and keeps its scale


def bands(images: Tensor, sigmas: tuple[float, ...] = SIGMAS) -> tuple[Tensor, ...]:
    """Split images into bands and the residual, fine to coarse; their sum is the image.

    Band i is I_{i-1} - G_i * I_{i-1}, a cascade: I_0 is the image, I_i what the filter of width sigma_i leaves.

    Args:
        images: (batch, 1, *spatial), 2-D or 3-D.
        sigmas: widths of the filters in pixels.

    Returns:
        ``len(sigmas) + 1`` tensors of the images' shape, the residual last.
    """
    parts = []
    for sigma in sigmas:
        smooth = gaussian(images, torch.full((len(images),), sigma, dtype=torch.float64))
        parts.append(images - smooth)
        images = smooth
    return (*parts, images)


def energies(parts: tuple[Tensor, ...]) -> Tensor:
    """Standard deviation of every band over its image, (batch, bands), without the residual."""
    return torch.stack([part.flatten(1).std(dim=1, correction=0) for part in parts[:-1]], dim=1)


def rescale_bands(images: Tensor, wanted: Tensor, sigmas: tuple[float, ...] = SIGMAS) -> Tensor:
    """Give the bands of (batch, 1, *spatial) images the energies ``wanted``, (batch, bands) (Eq. 8)."""
    parts = bands(images, sigmas)
    found = energies(parts)
    wanted = wanted.to(found)
    gains = torch.where(found > SILENT, wanted / found.clamp(min=SILENT), 1.0).clamp(max=MAX_GAIN)
    total = parts[-1].clone()
    for band, part in enumerate(parts[:-1]):
        total.addcmul_(part, gains[:, band].view(-1, *[1] * (images.ndim - 1)))
    return total


@dataclass(frozen=True)
class EnergyReference:
    """Energies of reference images: a Gaussian for each band (seed 001: R = 1000 images).

    Attributes:
        sigmas: widths of the cascade's filters in pixels.
        mean, deviation: of the energies over the reference images, one a band.
        images: how many there were (R).
    """

    sigmas: tuple[float, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    images: int

    def __post_init__(self) -> None:
        if not len(self.sigmas) == len(self.mean) == len(self.deviation) > 0:
            raise ValueError(
                f"energy reference with {len(self.sigmas)} widths, {len(self.mean)} means and {len(self.deviation)} "
                "deviations: expected one of each for every band"
            )
        if not all(value >= 0 for value in (*self.mean, *self.deviation)) or min(self.sigmas) <= 0:
            raise ValueError("energy reference with a negative or unknown number: fit it again")

    @classmethod
    def fit(cls, images: Iterable[Tensor], sigmas: tuple[float, ...] = SIGMAS) -> EnergyReference:
        """Measure reference images, (1, *spatial) each with values from 0 to 1; sizes may differ, one at a time.

        The pixel's size decides what a band is: fit on images (or crops) of the resolution to be used.
        """
        measured = [energies(bands(image[None].to(torch.float32), sigmas))[0].cpu() for image in images]
        if len(measured) < 2:
            raise ValueError(f"{len(measured)} reference images: at least 2 are needed to know how energies vary")
        table = torch.stack(measured).to(torch.float64)
        if not bool(table.isfinite().all()):
            raise ValueError("a reference image holds NaN or infinite values: leave it out and fit again")
        return cls(sigmas, tuple(table.mean(dim=0).tolist()), tuple(table.std(dim=0).tolist()), len(measured))

    def save(self, path: Path) -> None:
        """Write as JSON; the file is replaced as a whole."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        temporary.write_text(json.dumps(asdict(self), indent=2) + "\n")
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path | str) -> EnergyReference:
        """Read what `save` wrote; ValueError names the file if it is something else."""
        try:
            found = json.loads(Path(path).read_text())
            lists = {key: tuple(float(value) for value in found.pop(key)) for key in ("sigmas", "mean", "deviation")}
            return cls(images=int(found.pop("images")), **lists)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{path} is no energy reference ({error}): write one with EnergyReference.save") from error

    def normalise(self, images: Tensor) -> Tensor:
        """Give (batch, 1, *spatial) images the mean energies: the same look whichever institute they come from."""
        mean = torch.tensor(self.mean, dtype=torch.float64)
        return rescale_bands(images, mean.expand(len(images), -1), self.sigmas)
