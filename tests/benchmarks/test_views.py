"""The issue's bound on the rate of views."""

import pytest

from tests.benchmarks.views import bench


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_views_keep_their_bound() -> None:
    assert [bound for bound in bench().bounds if not bound.holds] == []
