"""Documents are made and delivered about as fast as their peers in the same run."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.documents import bench


@pytest.mark.bench
@pytest.mark.timeout(300)
def test_documents_keep_their_bounds() -> None:
    assert [bound for bound in bench().bounds if not bound.holds] == []


@pytest.mark.bench
@pytest.mark.timeout(300)
def test_all_documents_of_a_large_study_keep_their_bound(root: Path) -> None:
    """In a process of its own: what it asks of the C library, as the worker does, cannot be taken back."""
    command = [sys.executable, "-m", "tests.benchmarks.all_documents"]
    assert subprocess.run(command, cwd=root, timeout=280, check=False).returncode == 0
