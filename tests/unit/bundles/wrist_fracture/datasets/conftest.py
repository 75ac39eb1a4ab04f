"""The label files of public sets, where the machine has them."""

from pathlib import Path

import pytest


@pytest.fixture
def formats(imaging_data: Path) -> Path:
    folder = imaging_data / "formats"
    if not folder.is_dir():
        pytest.skip(f"the label files of public sets are kept outside the repository and {folder} is missing")
    return folder
