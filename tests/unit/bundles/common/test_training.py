"""What trainings of several bundles share."""

import pytest
import torch
from ignite.engine import Engine
from torch import nn

from bundles.common.training import prepare_image, shuffle_every_epoch, synchronised, warm_cosine


def test_learning_rate_rises_then_falls() -> None:
    values = [warm_cosine(100, warm=0.2)(step) for step in range(130)]
    assert values[0] == pytest.approx(0.04)
    assert max(values) == values[20] == pytest.approx(1)
    assert values[20:101] == sorted(values[20:101], reverse=True)
    assert values[100] == values[129] == pytest.approx(0.001)


def test_a_sampler_learns_of_every_epoch() -> None:
    class Sampler:
        def __init__(self) -> None:
            self.seen: list[int] = []

        def set_epoch(self, epoch: int) -> None:
            self.seen.append(epoch)

    engine, sampler = Engine(lambda *_: None), Sampler()
    shuffle_every_epoch(engine, sampler)
    engine.run([0], max_epochs=3)
    assert sampler.seen == [1, 2, 3]


def test_batch_statistics_stay_as_they_are_on_a_cpu() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    assert synchronised(network) is network
    assert type(network[1]) is nn.BatchNorm2d


def test_a_batch_for_inference_has_no_label() -> None:
    image, label = prepare_image({"image": torch.ones(1, 1, 2, 2)}, "cpu")
    assert (image.sum(), label) == (4, None)
