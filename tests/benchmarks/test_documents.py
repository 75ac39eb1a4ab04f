"""Documents are made and delivered about as fast as their peers in the same run."""

import pytest

from tests.benchmarks.documents import bench


@pytest.mark.bench
@pytest.mark.timeout(300)
def test_documents_keep_their_bounds() -> None:
    assert [bound for bound in bench().bounds if not bound.holds] == []
