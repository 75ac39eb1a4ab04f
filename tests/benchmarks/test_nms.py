"""Suppression of boxes beside MONAI's loop: the same boxes, many times as fast.

MONAI's loop goes round once for each box that stays: boxes spread out are its worst case, clusters its best. Twenty
times is asked in both, in calls that follow each other. The first call after other work finds cold caches; where the
work itself takes less than a millisecond, that is half of it. The ratio of such calls is printed beside.
"""

import time
from collections.abc import Callable
from statistics import median

import pytest
import torch
from monai.data.box_utils import non_max_suppression
from torch import Tensor

from bundles.common.boxes.suppression import batched_nms, non_maximum_suppression

BOXES = 2000


def spread(generator: torch.Generator) -> Tensor:
    """Boxes anywhere in a radiograph of 1024 pixels: most survive, so MONAI's loop goes round most often."""
    low = torch.rand(BOXES, 2, generator=generator) * 1024
    return torch.cat((low, low + torch.rand(BOXES, 2, generator=generator) * 112 + 8), dim=1)


def clustered(generator: torch.Generator) -> Tensor:
    """A hundred boxes around each of twenty places, as a detector gives them: few survive."""
    places = torch.rand(20, 2, generator=generator) * 900
    low = places.repeat_interleave(BOXES // 20, dim=0) + torch.randn(BOXES, 2, generator=generator) * 4
    return torch.cat((low, low + 60 + torch.randn(BOXES, 2, generator=generator) * 6), dim=1)


CALLS = 10
ROUNDS = 5
LEAST = 20


def _seconds(work: Callable[[], object]) -> list[float]:
    seconds = []
    for _ in range(CALLS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return seconds


@pytest.mark.bench
@pytest.mark.parametrize("scene", [spread, clustered])
def test_suppression_is_many_times_as_fast_as_monais(scene: Callable[[torch.Generator], Tensor]) -> None:
    generator = torch.Generator().manual_seed(0)
    boxes, scores = scene(generator), torch.rand(BOXES, generator=generator)

    def theirs() -> Tensor:
        kept: Tensor = non_max_suppression(boxes, scores, 0.5)
        return kept

    def ours() -> Tensor:
        return non_maximum_suppression(boxes, scores, 0.5)

    expected = theirs()
    assert torch.equal(ours(), expected)
    assert torch.equal(batched_nms(boxes, scores, torch.zeros(BOXES), 0.5), expected)
    rounds = [(_seconds(theirs), _seconds(ours)) for _ in range(ROUNDS)]
    slow, fast = (median(each for calls in column for each in calls) * 1e3 for column in zip(*rounds, strict=True))
    first = median(calls[0][0] / calls[1][0] for calls in rounds)
    print(
        f"\n{scene.__name__}: {len(expected)} of {BOXES} stay; MONAI {slow:.2f} ms, ours {fast:.2f} ms, "
        f"{slow / fast:.0f} × (first calls {first:.0f} ×)"
    )
    assert slow / fast >= LEAST
