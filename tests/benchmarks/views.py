"""Views of SimCLR against the same ones as MONAI transforms, in the same run: `python -m tests.benchmarks.views`.

Two views of 224² of each of 32 images of 512², 8 bit, from memory: random resized crop, rotation, mirror, gamma,
linear intensity, Gaussian blur and noise. Ours with two threads; MONAI's image by image in a `DataLoader` with two
workers, tensors without metadata, with the grid of its affine transform cached. MONAI's crops vary as the edges'
lengths do, not as areas, and are shrunk without averaging, which is less work than ours. Rounds of both alternate; the
ratio is the median over the rounds.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from monai.transforms import (
    Compose,
    RandAdjustContrast,
    RandAffine,
    RandFlip,
    RandGaussianNoise,
    RandGaussianSmooth,
    RandScaleIntensity,
    RandShiftIntensity,
    RandSpatialCrop,
    Resize,
    ScaleIntensityRange,
)
from rich.console import Console
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pretraining.samples import RawBatch
from pretraining.views.geometry import Geometry
from pretraining.views.intensity import Blur, Gamma, Linear, Noise
from pretraining.views.pipeline import CropSpec, ViewPipeline
from pretraining.views.windows import Share
from tests.benchmarks.ingest import Bound
from tests.benchmarks.rates import THREADS, Rates, compared, keep, show

BATCH = 32
BATCHES = 4
IMAGE = 512
SIZE = 224
ROUNDS = 5
AREA = 0.2
DEGREES = 15.0


class Result(Rates):
    """Images (two views each) a second in each round."""

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """What the issue promises."""
        return (Bound("views, ours over MONAI's in a DataLoader with 2 workers", self.ratio, 2.0),)


def images() -> tuple[Tensor, ...]:
    """Smooth fields with noise, (1, 512, 512) uint8."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(BATCH, 1, 16, 16, generator=generator)
    fields = torch.nn.functional.interpolate(coarse, size=(IMAGE, IMAGE), mode="bilinear")
    fields += 0.1 * torch.rand(fields.shape, generator=generator)
    return tuple((field / 1.1 * 255).to(torch.uint8) for field in fields)


def pipeline() -> ViewPipeline:
    """Ours."""
    return ViewPipeline(
        [CropSpec(2, (SIZE, SIZE), Share(area=(AREA, 1.0), aspect=(3 / 4, 4 / 3)))],
        Geometry(rotation_deg=(DEGREES,), flip=(0.5,)),
        [
            Gamma((0.7, 1.5)),
            Linear((0.9, 1.1), (-0.1, 0.1)),
            Blur((0.5, 1.5), probability=0.5),
            Noise((0.01, 0.05), probability=0.5),
        ],
    )


class MonaiViews(Dataset[tuple[Tensor, Tensor]]):
    """The same with MONAI, one image at a time."""

    def __init__(self, stored: tuple[Tensor, ...], repeats: int) -> None:
        self.stored = stored * repeats
        edge = round(IMAGE * AREA**0.5)
        self.transform = Compose(
            [
                RandSpatialCrop(edge, max_roi_size=IMAGE, random_size=True),
                ScaleIntensityRange(0, 255, 0, 1, clip=True),
                Resize((SIZE, SIZE), mode="bilinear"),
                RandAffine(
                    prob=1.0,
                    rotate_range=float(np.deg2rad(DEGREES)),
                    padding_mode="zeros",
                    spatial_size=(SIZE, SIZE),
                    cache_grid=True,
                ),
                RandFlip(prob=0.5, spatial_axis=1),
                RandAdjustContrast(prob=1.0, gamma=(0.7, 1.5)),
                RandScaleIntensity(0.1, prob=1.0),
                RandShiftIntensity(0.1, prob=1.0),
                RandGaussianSmooth((0.5, 1.5), (0.5, 1.5), prob=0.5),
                RandGaussianNoise(prob=0.5, std=0.05),
            ]
        )

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = self.stored[index]
        return self.transform(image), self.transform(image)


def rate(make: Callable[[], int]) -> float:
    """Images a second."""
    start = time.perf_counter()
    made = make()
    return made / (time.perf_counter() - start)


def run() -> Result:
    """Measure both in turn."""
    stored = images()
    keys = tuple(f"image{place}" for place in range(BATCH))
    batch = RawBatch(stored, torch.tensor([[0.0, 255.0]] * BATCH), torch.zeros(BATCH, dtype=torch.int64), keys)
    views, generator = pipeline(), torch.Generator().manual_seed(0)
    loader = DataLoader(
        MonaiViews(stored, BATCHES), batch_size=BATCH, shuffle=True, num_workers=2, persistent_workers=True
    )

    def ours() -> int:
        return sum(len(views(batch, generator).crops[0]) for _ in range(BATCHES))

    def monai() -> int:
        return sum(len(first) for first, _ in loader)

    ours(), monai()  # workers start, memory is mapped
    rounds = [(rate(ours), rate(monai)) for _ in range(ROUNDS)]
    return Result(tuple(a for a, _ in rounds), tuple(b for _, b in rounds))


def bench() -> Result:
    """Measure, show and keep the numbers below var/bench."""
    with compared():
        result = run()
    title = f"Two views of {SIZE}² from {IMAGE}², batch {BATCH}, {THREADS} threads or workers"
    show(title, "MONAI in a DataLoader", result, result.bounds, Console())
    keep("views", result, result.bounds)
    return result


if __name__ == "__main__":
    raise SystemExit(0 if all(bound.holds for bound in bench().bounds) else 1)
