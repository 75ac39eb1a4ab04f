"""Every preset makes the views that its paper describes."""

import pytest
import torch

from pretraining.samples import RawBatch
from pretraining.views import presets
from pretraining.views.energy import EnergyReference
from tests.unit.pretraining.views import reference

ENERGY = EnergyReference((1.0, 2.0, 4.0, 8.0, 16.0), (0.1, 0.08, 0.06, 0.05, 0.04), (0.02,) * 5, 1000)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def images(*shapes: tuple[int, ...]) -> RawBatch:
    return reference.batch_of(
        *(torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator()) for shape in shapes)
    )


@pytest.mark.parametrize(
    ("pipeline", "sizes"),
    [
        (presets.wrist_simclr(), [(512, 512)] * 2),
        (presets.ghesu_2d(ENERGY), [(224, 224)] * 2 + [(92, 92)] * 6),
        (presets.ghesu_2d(None), [(224, 224)] * 2 + [(92, 92)] * 6),
        (presets.thesis_moco(), [(224, 224)] * 2),
        (presets.thesis_simclr(), [(224, 224)] * 2),
        (presets.chess_moco(), [(512, 512)] * 2),
    ],
)
def test_presets_in_2d_make_their_papers_crops(pipeline, sizes: list[tuple[int, int]]) -> None:
    crops = pipeline(images((500, 400), (180, 260)), generator()).crops
    assert [tuple(crop.shape) for crop in crops] == [(2, 1, *size) for size in sizes]
    for crop in crops:
        assert bool(crop.isfinite().all())
        assert bool((crop.flatten(1).std(dim=1) > 0.005).all())
        assert float(crop.min()) > -2
        assert float(crop.max()) < 3


def test_the_3d_preset_has_its_papers_crops_and_runs_shrunk() -> None:
    assert [(spec.count, spec.size) for spec in presets.ghesu_3d(ENERGY).specs] == [
        (1, (224, 224, 192)),
        (4, (112, 112, 96)),
    ]
    shrunk = presets.ghesu_3d(ENERGY, sizes=((32, 32, 24), (16, 16, 12)), image_size=((16, 16, 12), (40, 40, 32)))
    crops = shrunk(images((30, 60, 50), (10, 48, 48)), generator()).crops
    assert [tuple(crop.shape) for crop in crops] == [(2, 1, 32, 32, 24)] + [(2, 1, 16, 16, 12)] * 4
    assert all(bool(crop.isfinite().all()) for crop in crops)


def test_presets_go_by_their_names() -> None:
    assert sorted(presets.PRESETS) == [
        "chess_moco",
        "ghesu_2d",
        "ghesu_3d",
        "thesis_moco",
        "thesis_simclr",
        "wrist_simclr",
    ]
    assert presets.PRESETS["thesis_moco"](size=64).specs[0].size == (64, 64)
