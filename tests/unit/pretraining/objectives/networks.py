"""Small encoders and crops for the objectives' tests."""

import torch
from torch import Tensor, nn

FEATURES = 6
DIMENSION = 5


class TinyEncoder(nn.Module):
    """A convolution, an optional batch normalisation, tanh, the mean over space, a linear layer."""

    def __init__(self, dimensions: int, *, batch_norm: bool = False, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            convolution = (nn.Conv2d if dimensions == 2 else nn.Conv3d)(1, 4, 3)
            self.output = nn.Linear(4, FEATURES)
        normalisation = nn.BatchNorm2d if dimensions == 2 else nn.BatchNorm3d
        norm = normalisation(4) if batch_norm else nn.Identity()
        self.stem = nn.Sequential(convolution, norm, nn.Tanh())

    def maps(self, images: Tensor) -> Tensor:
        """(batch, 4, *spatial − 2)."""
        return self.stem(4 * images)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, FEATURES)."""
        return self.output(self.maps(images).flatten(2).mean(dim=2))


class Flat(nn.Module):
    """An encoder whose features are the image itself: (batch, 1, FEATURES, 1[, 1]) → (batch, FEATURES)."""

    def forward(self, images: Tensor) -> Tensor:
        """The elements in a row."""
        return images.flatten(1)


class Constant(nn.Module):
    """A collapsed encoder: the same features for every image."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Parameter(torch.arange(1.0, 1.0 + FEATURES))

    def forward(self, images: Tensor) -> Tensor:
        """(batch, FEATURES), all rows alike."""
        return self.features.expand(len(images), -1)


def as_images(vectors: Tensor, dimensions: int) -> Tensor:
    """(batch, n) → (batch, 1, n, 1[, 1]), which ``Flat`` turns back."""
    return vectors.reshape(len(vectors), 1, -1, *([1] * (dimensions - 1)))


def random_crops(
    dimensions: int, batch: int, sides: tuple[int, ...], seed: int, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, ...]:
    """One crop for each side length, each (batch, 1, side, side + 1[, side + 2]), in 0 to 1.

    Samples differ in brightness, or the mean over space would make all features alike.
    """
    generator = torch.Generator().manual_seed(seed)
    brightness = torch.rand(batch, 1, *[1] * dimensions, generator=generator, dtype=dtype)
    shapes = [(batch, 1, *(side + i for i in range(dimensions))) for side in sides]
    return tuple(brightness * torch.rand(shape, generator=generator, dtype=dtype) for shape in shapes)
