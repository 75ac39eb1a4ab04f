"""The issue's bounds on a whole step of pretraining."""

import pytest

from tests.benchmarks.pretraining import bench


@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_a_step_keeps_its_bounds() -> None:
    assert [bound for bound in bench().bounds if not bound.holds] == []
