"""The issue's bounds on ingest."""

import pytest

from tests.benchmarks.ingest import bench


@pytest.mark.bench
@pytest.mark.debian
@pytest.mark.timeout(900)
def test_ingest_keeps_its_bounds() -> None:
    assert [bound for bound in bench().bounds if not bound.holds] == []
