from pathlib import Path

import pytest

from app.study import Study
from tests.unit.report.factory import make_study


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A head CT of four slices."""
    return make_study(tmp_path / "study")
