"""The issue's bounds on the time of one study and on the worker's memory."""

import pytest

from tests.benchmarks.turnaround import bench


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_turnaround_keeps_its_bounds() -> None:
    assert [bound for bound in bench().bounds if not bound.holds] == []
