"""The service in containers, as `docker-compose.yml` describes it: one stack for most tests, and what is sent to it."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.demo.phantoms.dicom_writer import to_datasets, write_series
from app.demo.phantoms.phantom import make_phantom
from app.demo.studies import CHEST, HEAD, MR, WRIST, Case
from tests.compose.docker import HERE, ROOT, build, torch_index
from tests.compose.ledger import Ledger
from tests.compose.scanner import Scanner, Study, draw_all
from tests.compose.stack import Stack, installed
from tests.e2e.radiographs import chest, study, wrist

IMAGE = os.environ.get("TEST_IMAGE", "")
"""An image that is there already and is to be tested; else one is built from this tree."""
BUILT = "vigil-test/vigil"
CASES = (
    Case(HEAD, "bleed"),
    Case(MR, "metastases"),
    Case(CHEST, "pneumothorax"),
    Case(WRIST, "fracture"),
)
SMALL_HEAD = 256


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs an engine; give it time, since containers start in the middle of tests."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.compose)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(1200))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the last lines of the containers where a test failed."""
    report = yield
    if report.failed:  # type: ignore[attr-defined]
        stacks = [each for each in getattr(item, "funcargs", {}).values() if isinstance(each, Stack)]
        for each in stacks:
            report.sections.append((f"containers of {each.project}", each.logs()))  # type: ignore[attr-defined]
    return report


@pytest.fixture(scope="session")
def engine() -> None:
    """Docker, Compose and the base image; fails with what to do where one is missing."""
    checked = subprocess.run([HERE / "engine.sh", "check"], capture_output=True, text=True, check=False, timeout=300)
    if checked.returncode:
        pytest.fail(checked.stderr, pytrace=False)


@pytest.fixture(scope="session")
def vigil_image(engine: None) -> str:
    """The image of this tree, or the one that TEST_IMAGE names."""
    if not IMAGE:
        build(BUILT, ROOT, "--target", "service", *torch_index())
    return IMAGE or BUILT


@pytest.fixture(scope="session")
def shared_stack(vigil_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack that most tests share; it takes half a minute to start."""
    with installed(tmp_path_factory.mktemp("stack"), vigil_image) as stack:
        stack.up()
        yield stack


@pytest.fixture(scope="session")
def shared_ledger(shared_stack: Stack) -> Ledger:
    """Everything that was ever sent to the shared stack; each test checks all of it."""
    return Ledger(shared_stack)


@pytest.fixture
def stack(shared_stack: Stack) -> Stack:
    """The shared stack, all of it healthy."""
    shared_stack.await_health()
    return shared_stack


@pytest.fixture
def ledger(stack: Stack, shared_ledger: Ledger) -> Ledger:
    return shared_ledger


@pytest.fixture
def scanner(stack: Stack) -> Scanner:
    return Scanner(stack.dicom_port)


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> list[Study]:
    """One study of each kind, of the size that scanners send."""
    return draw_all(CASES, tmp_path_factory.mktemp("phantoms"), 7100)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> list[Study]:
    """Small studies that take the service about a second each: head CT, chest, wrist."""
    folder = tmp_path_factory.mktemp("small")
    write_series(to_datasets(make_phantom(7200, SMALL_HEAD, kinds=()), token="compose"), folder / "head")
    write_series(study(chest()), folder / "chest")
    write_series(study(wrist(), wrist(projection="LATERAL")), folder / "wrist")
    return [Study.of(folder / name) for name in ("head", "chest", "wrist")]


MakeStudies = Callable[[int], list[Study]]


@pytest.fixture
def fresh(small: list[Study], tmp_path: Path) -> MakeStudies:
    """So many new studies, small ones of each kind in turns."""

    def make(count: int) -> list[Study]:
        token = os.urandom(8).hex()
        return [
            small[number % len(small)].again(tmp_path / token / str(number), f"{token}{number}")
            for number in range(count)
        ]

    return make
