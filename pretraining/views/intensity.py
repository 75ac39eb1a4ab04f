"""Changes of brightness and detail, batched over crops, with parameters of its own for each sample.

Every change is a pair: ``sample(count, generator)`` draws parameters (frozen, on the CPU) and ``apply(crops, params)``
is deterministic. Crops are (batch, 1, *spatial) float32 with 0 black and 1 white; a change may leave that range.
Sizes of filters are in pixels of the crop.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from pretraining.views.draws import Bounds, check_bounds, check_probability, happens, seeds, uniform
from pretraining.views.energy import EnergyReference, rescale_bands
from pretraining.views.filters import gaussian
from pretraining.views.noise import normal

P = TypeVar("P")


class Change(ABC, Generic[P]):
    """A random change of crops with parameters of type ``P``."""

    @abstractmethod
    def sample(self, count: int, generator: torch.Generator) -> P:
        """Draw parameters for this many samples from a CPU generator."""

    def apply(self, crops: Tensor, params: P) -> Tensor:
        """Change (batch, 1, *spatial) crops; the input is left as it was."""
        return self.apply_(crops.clone(), params)

    @abstractmethod
    def apply_(self, crops: Tensor, params: P) -> Tensor:
        """As `apply`, but the input's memory may be used for the result."""


def _where_(chosen: Tensor, crops: Tensor, change: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Change the chosen samples only, in place: ``change(their crops, their indices on the CPU)``."""
    rows = chosen.nonzero().flatten()
    if not len(rows):
        return crops
    if len(rows) == len(crops):
        return change(crops, rows)
    at = rows.to(crops.device, non_blocking=True)
    return crops.index_copy_(0, at, change(crops.index_select(0, at), rows))


def _column(values: Tensor, crops: Tensor) -> Tensor:
    """(batch,) values that broadcast over crops."""
    return values.to(crops.dtype).to(crops.device, non_blocking=True).view(-1, *[1] * (crops.ndim - 1))


@dataclass(frozen=True)
class GammaParams:
    """(batch,) float64 exponents; 1 leaves a sample alone."""

    exponent: Tensor


@dataclass(frozen=True)
class Gamma(Change[GammaParams]):
    """I ↦ I^γ, γ uniform (seed 001, section 3.3); values are cut to [0, 1] before."""

    exponent: Bounds
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_bounds("exponent of gamma", self.exponent, 0)
        check_probability("probability of gamma", self.probability)

    def sample(self, count: int, generator: torch.Generator) -> GammaParams:
        """Draw exponents."""
        exponent = uniform((count,), self.exponent, generator)
        return GammaParams(torch.where(happens((count,), self.probability, generator), exponent, 1.0))

    def apply_(self, crops: Tensor, params: GammaParams) -> Tensor:
        """Raise to the power."""

        def change(part: Tensor, rows: Tensor) -> Tensor:
            # As 2^(γ log2 I), which takes half as long as a power; 0 times minus infinity would be no number.
            exponent = _column(params.exponent[rows].clamp(min=1e-30), part)
            return part.clamp_(0, 1).log2_().mul_(exponent).exp2_()

        return _where_(params.exponent != 1, crops, change)


@dataclass(frozen=True)
class LinearParams:
    """(batch,) float64 each: factor and offset."""

    factor: Tensor
    offset: Tensor


@dataclass(frozen=True)
class Linear(Change[LinearParams]):
    """I ↦ a·I + b, both uniform (seed 001, section 3.3); b is a share of the range from black to white."""

    factor: Bounds = (1.0, 1.0)
    offset: Bounds = (0.0, 0.0)
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_bounds("factor", self.factor)
        check_bounds("offset", self.offset)
        check_probability("probability of linear", self.probability)

    def sample(self, count: int, generator: torch.Generator) -> LinearParams:
        """Draw factors and offsets."""
        factor, offset = uniform((count,), self.factor, generator), uniform((count,), self.offset, generator)
        chosen = happens((count,), self.probability, generator)
        return LinearParams(torch.where(chosen, factor, 1.0), torch.where(chosen, offset, 0.0))

    def apply_(self, crops: Tensor, params: LinearParams) -> Tensor:
        """Multiply and add."""

        def change(part: Tensor, rows: Tensor) -> Tensor:
            return part.mul_(_column(params.factor[rows], part)).add_(_column(params.offset[rows], part))

        return _where_((params.factor != 1) | (params.offset != 0), crops, change)


@dataclass(frozen=True)
class BlurParams:
    """(batch,) float64 widths in pixels; 0 leaves a sample alone."""

    sigma: Tensor


@dataclass(frozen=True)
class Blur(Change[BlurParams]):
    """Gaussian blur of a width drawn uniformly, in pixels of the crop."""

    sigma: Bounds
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_bounds("sigma of blur", self.sigma, 0)
        check_probability("probability of blur", self.probability)

    def sample(self, count: int, generator: torch.Generator) -> BlurParams:
        """Draw widths."""
        sigma = uniform((count,), self.sigma, generator)
        return BlurParams(sigma * happens((count,), self.probability, generator))

    def apply_(self, crops: Tensor, params: BlurParams) -> Tensor:
        """Blur."""
        return _where_(params.sigma > 0, crops, lambda part, rows: gaussian(part, params.sigma[rows]))


@dataclass(frozen=True)
class SharpenParams:
    """(batch,) float64: how much of the detail is added; 0 leaves a sample alone."""

    amount: Tensor


@dataclass(frozen=True)
class Sharpen(Change[SharpenParams]):
    """Unsharp mask: I ↦ I + amount · (I - G * I), with a Gaussian G of fixed width in pixels."""

    amount: Bounds
    sigma: float = 1.0
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_bounds("amount of sharpening", self.amount, 0)
        check_bounds("sigma of sharpening", (self.sigma, self.sigma), 0)
        check_probability("probability of sharpening", self.probability)

    def sample(self, count: int, generator: torch.Generator) -> SharpenParams:
        """Draw amounts."""
        amount = uniform((count,), self.amount, generator)
        return SharpenParams(amount * happens((count,), self.probability, generator))

    def apply_(self, crops: Tensor, params: SharpenParams) -> Tensor:
        """Sharpen."""

        def change(part: Tensor, rows: Tensor) -> Tensor:
            smooth = gaussian(part, torch.full((len(part),), self.sigma, dtype=torch.float64))
            return part.addcmul_(_column(params.amount[rows], part), smooth.neg_().add_(part))

        return _where_(params.amount > 0, crops, change)


@dataclass(frozen=True)
class NoiseParams:
    """(batch,) each: standard deviation (float64, 0 leaves a sample alone) and seed (int64)."""

    sigma: Tensor
    seed: Tensor


@dataclass(frozen=True)
class Noise(Change[NoiseParams]):
    """Gaussian noise; its standard deviation is drawn uniformly, as a share of the range from black to white."""

    sigma: Bounds
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_bounds("sigma of noise", self.sigma, 0)
        check_probability("probability of noise", self.probability)

    def sample(self, count: int, generator: torch.Generator) -> NoiseParams:
        """Draw standard deviations and a seed for each sample."""
        sigma = uniform((count,), self.sigma, generator) * happens((count,), self.probability, generator)
        return NoiseParams(sigma, seeds(count, generator))

    def apply_(self, crops: Tensor, params: NoiseParams) -> Tensor:
        """Add the noise that belongs to the seeds."""

        def change(part: Tensor, rows: Tensor) -> Tensor:
            noise = normal(params.seed[rows], tuple(part.shape[1:]), part.device)
            return part.addcmul_(noise, _column(params.sigma[rows], part))

        return _where_(params.sigma > 0, crops, change)


@dataclass(frozen=True)
class EnergyParams:
    """(batch, bands) float64: the energies wanted; (batch,) bool: which samples are changed."""

    energy: Tensor
    chosen: Tensor


@dataclass(frozen=True)
class EnergyBands(Change[EnergyParams]):
    """Energy-based augmentation (seed 001, section 3.3): the reference energy of each band within ±σ of its mean.

    The draw is from the Gaussian fit, cut at ±σ. Ω is the crop, not the whole image: fit the reference on crops of
    the same scale (views without this change), and the two agree.
    """

    reference: EnergyReference
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_probability("probability of energy bands", self.probability)

    def sample(self, count: int, generator: torch.Generator) -> EnergyParams:
        """Draw the energies wanted."""
        mean = torch.tensor(self.reference.mean, dtype=torch.float64)
        deviation = torch.tensor(self.reference.deviation, dtype=torch.float64)
        edges = torch.special.ndtr(torch.tensor([-1.0, 1.0], dtype=torch.float64)).tolist()
        draws = torch.special.ndtri(uniform((count, len(mean)), (edges[0], edges[1]), generator))
        wanted = (mean + deviation * draws).clamp(min=0)
        return EnergyParams(wanted, happens((count,), self.probability, generator))

    def apply_(self, crops: Tensor, params: EnergyParams) -> Tensor:
        """Rescale the bands."""

        def change(part: Tensor, rows: Tensor) -> Tensor:
            return rescale_bands(part, params.energy[rows], self.reference.sigmas)

        return _where_(params.chosen, crops, change)
