"""The PACS off the network, and back."""

from tests.compose.conftest import MakeStudies
from tests.compose.docker import docker, inspect
from tests.compose.ledger import Ledger
from tests.compose.scanner import Scanner
from tests.compose.stack import Stack


def test_reports_wait_for_the_pacs_and_arrive_once(
    stack: Stack, ledger: Ledger, scanner: Scanner, fresh: MakeStudies
) -> None:
    pacs, network = stack.container("pacs"), f"{stack.project}_outer"
    before = stack.pacs.stored()
    studies = fresh(3)
    docker("network", "disconnect", network, pacs)
    try:
        for study in studies:
            scanner.send(study)
            ledger.add(study)
        stack.until(
            lambda: all(any(each["waiting"] for each in ledger.revisions(study)) for study in studies),
            "documents that wait for the PACS",
        )
        assert stack.pacs.stored() == before
        assert all(each["State"]["Health"]["Status"] == "healthy" for each in stack.containers("worker"))
        assert stack.health()["ok"] is True
    finally:
        docker("network", "connect", "--alias", "pacs", network, pacs)
    assert network in inspect(pacs)[0]["NetworkSettings"]["Networks"]
    ledger.await_all()
