"""What every test stands on: a clean environment, and real images where the machine has them."""

import os
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

# A busy machine is no failure: speed is measured in tests/benchmarks alone.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

for _name in [name for name in os.environ if name.startswith(("VIGIL_", "PROMETHEUS_"))]:
    del os.environ[_name]


@pytest.fixture(autouse=True)
def _default_logs() -> None:
    """Undo what a command of an earlier test set: a level of `warning` would hide events from `capture_logs`."""
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def imaging_data() -> Path:
    """The folder of public real images, kept outside the repository; skips where the machine has none."""
    folder = Path(os.environ.get("IMAGING_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real images are kept outside the repository and {folder} is missing; set IMAGING_DATA")
    return folder
