"""What our networks add to the layers that they are made of."""

import pytest

from tests.benchmarks.forward import bench


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_wrappers_cost_next_to_nothing() -> None:
    assert [each.bound for each in bench() if not each.bound.holds] == []
