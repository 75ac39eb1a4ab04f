"""A study's way through the containers, and what is left of it after restarts."""

from pathlib import Path

import pytest

from tests.compose.conftest import CASES, MakeStudies
from tests.compose.ledger import Ledger
from tests.compose.scanner import Scanner, Study
from tests.compose.stack import Stack


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.exam.replace(" ", "-") for case in CASES])
def test_a_phantom_study_comes_back_as_a_report(
    ledger: Ledger, scanner: Scanner, phantoms: list[Study], number: int
) -> None:
    scanner.send(phantoms[number])
    assert scanner.statuses == {0}
    ledger.add(phantoms[number])
    ledger.await_all()
    (revision,) = ledger.revisions(phantoms[number])
    assert revision["problem"] == ""
    assert [each["outcome"] for each in revision["reports"]] == ["succeeded"] * len(revision["reports"])


def test_a_real_head_ct_comes_back_as_a_report(ledger: Ledger, scanner: Scanner, imaging_data: Path) -> None:
    head = Study.of(imaging_data / "dicom" / "ct_head_ge")
    scanner.send(head)
    ledger.add(head)
    ledger.await_all()
    (revision,) = ledger.revisions(head)
    assert [each["bundle"] for each in revision["assignments"]] == ["head_ct_hemorrhage"]
    (sr,) = ledger.stack.pacs.instances(head.uid, "SR")
    assert sr.SOPClassUID.name == "Comprehensive 3D SR Storage"


def test_the_same_study_sent_again_makes_nothing_new(
    stack: Stack, ledger: Ledger, scanner: Scanner, fresh: MakeStudies
) -> None:
    (study,) = fresh(1)
    scanner.send(study)
    ledger.add(study)
    ledger.await_all()
    before = stack.pacs.stored()
    scanner.send(study)
    (after,) = fresh(1)
    scanner.send(after)
    ledger.add(after)
    ledger.await_all()
    assert len(ledger.revisions(study)) == 1
    documents = ledger.revisions(after)[0]["receipts"]
    assert stack.pacs.stored() == before + len(documents)


def test_a_restart_of_all_containers_during_work(
    stack: Stack, ledger: Ledger, scanner: Scanner, fresh: MakeStudies
) -> None:
    shown = known(stack)
    for study in fresh(4):
        scanner.send(study)
        ledger.add(study)
    stack.compose("restart", timeout_s=300)
    stack.await_health()
    ledger.await_all()
    assert shown.items() <= known(stack).items()


def test_down_and_up_with_the_volumes_kept(stack: Stack, ledger: Ledger, scanner: Scanner, fresh: MakeStudies) -> None:
    shown = known(stack)
    for study in fresh(4):
        scanner.send(study)
        ledger.add(study)
    stack.compose("down", timeout_s=300)
    assert stack.containers() == []
    stack.up()
    ledger.await_all()
    assert shown.items() <= known(stack).items()
    assert all(key in stack.page(key) for key in shown)


def known(stack: Stack) -> dict[str, tuple[object, ...]]:
    """What the web side says of every finished study, by key."""
    answer = stack.ask("/api/v1/studies?limit=1000")
    assert answer is not None
    listed = answer["items"]
    return {each["key"]: (each["state"], each["images"], str(each["findings"])) for each in listed}
