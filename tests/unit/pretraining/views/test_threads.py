"""Threads share the samples of a batch; what they make is the same."""

import threading
from collections.abc import Iterator

import pytest
import torch

from pretraining.samples import RawBatch
from pretraining.views.geometry import Geometry
from pretraining.views.intensity import Blur, Gamma, Linear, Noise
from pretraining.views.pipeline import CropSpec, ViewPipeline
from pretraining.views.threads import run_all
from tests.unit.pretraining.views import reference


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def images() -> RawBatch:
    generator = torch.Generator().manual_seed(0)
    return reference.batch_of(*(torch.rand(300, 200 + 9 * place, generator=generator) for place in range(9)))


def test_views_are_the_same_with_any_number_of_threads() -> None:
    pipeline = ViewPipeline(
        [CropSpec(2, (224, 224))],
        Geometry(rotation_deg=(15.0,)),
        [Gamma((0.7, 1.5)), Linear((0.9, 1.1)), Blur((0.5, 1.5), probability=0.5), Noise((0.01, 0.05))],
    )
    batch = images()
    two = pipeline(batch, torch.Generator().manual_seed(0))
    torch.set_num_threads(1)
    one = pipeline.apply(batch, two.params)
    assert all(torch.equal(a, b) for a, b in zip(one.crops, two.crops, strict=True))


def test_each_thread_computes_alone_and_the_caller_as_before() -> None:
    found: list[tuple[str, int]] = []

    def task() -> None:
        torch.ones(10) + 1
        found.append((threading.current_thread().name, torch.get_num_threads()))

    run_all([task] * 20)
    assert len(found) == 20
    assert {threads for _, threads in found} == {1}
    assert threading.current_thread().name not in {name for name, _ in found}
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_threads_work_in_the_mode_of_their_caller(mode: type) -> None:
    found: list[tuple[bool, bool]] = []

    def task() -> None:
        found.append((torch.is_inference_mode_enabled(), torch.is_grad_enabled()))

    with mode():
        expected = (torch.is_inference_mode_enabled(), torch.is_grad_enabled())
        run_all([task] * 8)
        crops = ViewPipeline([CropSpec(1, (224, 224))])(images(), torch.Generator().manual_seed(0)).crops
    assert found == [expected] * 8
    assert crops[0].is_inference() == (mode is torch.inference_mode)


def test_what_a_thread_raises_reaches_the_caller() -> None:
    def task() -> None:
        raise ValueError("the third crop")

    with pytest.raises(ValueError, match="the third crop"):
        run_all([list, list, task, list])
