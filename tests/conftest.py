"""What every test stands on: a clean environment, and real images where the machine has them."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

# Tests that start servers, or share what is slow to make, stay in one process of several; the longest begin first.
TOGETHER = (
    "tests/e2e",
    "tests/browser",
    "tests/integration/workflow",
    "tests/integration/bundles",
    "tests/integration/demo",
)

# Several processes share the cores: threads of their own would only wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

# A busy machine is no failure: speed is measured in tests/benchmarks alone.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

for _name in [name for name in os.environ if name.startswith(("VIGIL_", "PROMETHEUS_"))]:
    del os.environ[_name]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say to pytest-xdist which tests go together, and put the long ones first."""
    for item in items:
        folder = item.path.parent.relative_to(ROOT).as_posix()
        group = next((start for start in TOGETHER if folder.startswith(start)), None)
        if group is not None:
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: _turn(item.path.relative_to(ROOT).parts))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their argument: of UIDs and times of day, each process of several would make others."""
    return argname if isinstance(val, bytes) else None


def _turn(parts: Sequence[str]) -> int:
    return next((turn for turn, kind in enumerate(("e2e", "browser", "integration")) if kind in parts), 2)


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
