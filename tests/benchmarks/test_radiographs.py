"""The issue's bound on the time from a radiograph's file to a network's input."""

import pytest

from tests.benchmarks.radiographs import bench


@pytest.mark.bench
@pytest.mark.timeout(600)
def test_a_radiograph_is_read_in_time() -> None:
    assert [bound for reading in bench() for bound in reading.bounds if not bound.holds] == []
