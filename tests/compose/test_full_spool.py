"""The spool's volume fills while a scanner sends: it is told so, and loses nothing."""

from collections.abc import Iterator

import pytest

from tests.compose.conftest import MakeStudies
from tests.compose.docker import HERE
from tests.compose.ledger import Ledger
from tests.compose.scanner import Scanner, Study
from tests.compose.stack import Stack, installed

SPOOL, BALLAST = "/var/lib/vigil/spool", "/var/lib/vigil/spool/ballast"
SPOOL_MB, MIN_FREE_MB, ROOM_MB = 128, 32, 6
OUT_OF_RESOURCES = 0xA700


@pytest.fixture(scope="module")
def tight(vigil_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with little room in its spool."""
    with installed(
        tmp_path_factory.mktemp("tight"),
        vigil_image,
        overlays=[HERE / "small-spool.yml"],
        more={"VIGIL_TEST_SPOOL_MB": str(SPOOL_MB)},
        spool={"min_free_mb": MIN_FREE_MB},
    ) as stack:
        stack.up()
        yield stack


def free_mb(stack: Stack) -> int:
    return int(stack.execute("worker", "df", "--output=avail", "--block-size=1M", SPOOL).split()[-1])


def fill(stack: Stack, leave_mb: int) -> None:
    """Fill the spool but for so much."""
    stack.execute("worker", "sh", "-c", f"head -c {free_mb(stack) - leave_mb}M /dev/zero > {BALLAST}")
    assert free_mb(stack) <= leave_mb


def test_a_spool_that_fills_refuses_and_goes_on_when_there_is_room(
    tight: Stack, phantoms: list[Study], fresh: MakeStudies
) -> None:
    ledger, scanner = Ledger(tight), Scanner(tight.dicom_port)
    (before, *_) = fresh(1)
    scanner.send(before)
    ledger.add(before)
    ledger.await_all()

    head = phantoms[0]
    fill(tight, MIN_FREE_MB + ROOM_MB)
    left = scanner.once(head.files)
    assert 0 < len(left) < len(head.files)
    assert scanner.statuses == {0, OUT_OF_RESOURCES}
    assert scanner.once(left) == left
    assert set(scanner.attempts[-1].statuses) == {OUT_OF_RESOURCES}

    health = tight.health()
    assert {name for name, part in health["parts"].items() if not part["ok"]} == {"spool"}
    assert "make room" in health["parts"]["spool"]["detail"]
    tight.await_health()
    ledger.await_all()

    tight.execute("worker", "rm", BALLAST)
    assert scanner.once(left) == []
    ledger.add(head)
    ledger.await_all()
    tight.until(lambda: tight.health().get("ok"), "health")
