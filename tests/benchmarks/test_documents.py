"""Documents are made and delivered about as fast as their peers in the same run."""

import pytest

from tests.benchmarks import all_documents
from tests.benchmarks.documents import bench


@pytest.mark.bench
@pytest.mark.timeout(300)
def test_documents_keep_their_bounds() -> None:
    assert [bound for bound in bench().bounds if not bound.holds] == []


@pytest.mark.bench
@pytest.mark.timeout(300)
def test_all_documents_of_a_large_study_keep_their_bound() -> None:
    assert [bound for bound in all_documents.bench().bounds if not bound.holds] == []
