"""Two workers share the studies; one that is gone for good leaves none behind."""

import json
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.compose.conftest import MakeStudies
from tests.compose.docker import docker
from tests.compose.ledger import Ledger
from tests.compose.scanner import Scanner, Study
from tests.compose.stack import Stack

TAKEN_OVER_WITHIN_S = 60.0


def begun(stack: Stack, revision: Mapping[str, Any]) -> list[str]:
    """The analyses of a revision that were ever begun."""
    text = stack.execute("web", "cat", f"/var/lib/vigil/results/{revision['key']}/outcome.json")
    return list(json.loads(text)["begun"])


def analysed_by(stack: Stack) -> dict[str, int]:
    """How many studies each worker began, by the id of its container."""
    workers = [str(each["Id"]) for each in stack.containers("worker")]
    return {worker: logged(worker).count('"study_begun"') for worker in workers}


def logged(container: str) -> str:
    done = subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout + done.stderr


def test_two_workers_share_studies_and_do_none_twice(
    stack: Stack, ledger: Ledger, scanner: Scanner, fresh: MakeStudies
) -> None:
    stack.up("--no-recreate", "--scale", "worker=2")
    studies = fresh(12)
    for study in studies:
        scanner.send(study)
        ledger.add(study)
    ledger.await_all()
    for study in studies:
        (revision,) = ledger.revisions(study)
        assert len(begun(stack, revision)) == len(revision["assignments"])
    assert len(analysed_by(stack)) == 2
    assert all(count > 0 for count in analysed_by(stack).values())


def test_a_worker_that_is_removed_for_good(
    stack: Stack, ledger: Ledger, scanner: Scanner, phantoms: list[Study], tmp_path: Path
) -> None:
    """Heads in MR take seconds, so that both workers are in the middle of one."""
    stack.up("--no-recreate", "--scale", "worker=2")
    token = tmp_path.name
    studies = [phantoms[1].again(tmp_path / str(number), f"{token}{time.time_ns()}{number}") for number in range(3)]
    for study in studies:
        scanner.send(study)
    stack.until(lambda: sum(working(stack, ledger, study) for study in studies) >= 2, "two analyses at once")
    docker("rm", "--force", str(stack.containers("worker")[-1]["Id"]))
    removed_at = time.monotonic()
    for study in studies:
        ledger.add(study)
    stack.until(lambda: any(taken_over(stack, ledger, study) for study in studies), "a study to be taken over")
    assert time.monotonic() - removed_at < TAKEN_OVER_WITHIN_S
    ledger.await_all()
    assert len(stack.containers("worker")) == 1


def working(stack: Stack, ledger: Ledger, study: Study) -> bool:
    """Whether an analysis of a study was begun and has not ended."""
    return any(begun(stack, each) and not each["reports"] for each in ledger.revisions(study))


def taken_over(stack: Stack, ledger: Ledger, study: Study) -> bool:
    """Whether an analysis was begun once more."""
    return any(len(begun(stack, each)) > len(each["assignments"]) for each in ledger.revisions(study))
