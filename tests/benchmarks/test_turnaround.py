"""The issues' bounds on the time of one study and on the worker's memory."""

import pytest

from tests.benchmarks.turnaround import bench


@pytest.mark.bench
@pytest.mark.timeout(900)
@pytest.mark.parametrize("bundle", ["head_ct_hemorrhage", "brain_metastasis", "chest_radiograph", "wrist_fracture"])
def test_turnaround_keeps_its_bounds(bundle: str) -> None:
    assert [bound for bound in bench(bundle).bounds if not bound.holds] == []
