"""One study on its way to every kind of destination, and a notice of what is urgent alone."""

import json
from collections import Counter
from pathlib import Path

import hl7
import pytest

from app.demo.pacs import Pacs
from app.outcomes import State
from app.workflow_delivery import replay
from tests.integration.deliver.fhir_server import Store, service, serving
from tests.integration.deliver.listeners import Reply, Request, mllp_peer, web_peer
from tests.integration.workflow.conftest import Installation
from tests.integration.workflow.tiny import send_to_spool
from tests.integration.workflow.tiny_images import LESION, PNEUMOTHORAX, radiograph, write_image_bundle

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/workflow.sqlite"


def accept(message: bytes) -> list[bytes | float]:
    ack = str(hl7.parse(message.decode()).create_ack("AA")).rstrip("\r")
    return [b"\x0b" + ack.encode() + b"\r\x1c\r"]


def stow(request: Request) -> Reply:
    """Store what comes, as a DICOMweb service says it."""
    uid = request.body.split(b"\r\n\r\n", 1)[1]
    start = uid.index(b"\x02\x00\x03\x00UI") + 8
    length = int.from_bytes(uid[start - 2 : start], "little")
    name = uid[start : start + length].rstrip(b"\0").decode()
    stored = {"00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": [name]}}]}}
    return Reply(200, json.dumps(stored).encode())


def test_every_destination_gets_its_documents_and_the_desk_what_is_urgent(
    installation: Installation, tmp_path: Path
) -> None:
    write_image_bundle(installation.folder / "bundles")
    held = Store()
    with (
        Pacs(tmp_path / "pacs") as pacs,
        serving(service(held)) as fhir_port,
        mllp_peer(accept) as his,
        web_peer(stow) as archive,
        web_peer(Reply(204)) as desk,
    ):
        installation.destination(pacs, documents=["sr", "pdf"])
        installation.destinations += [
            {"kind": "fhir", "name": "records", "url": f"http://127.0.0.1:{fhir_port}/fhir"},
            {"kind": "hl7", "name": "his", "host": "127.0.0.1", "port": his.port},
            {"kind": "dicomweb", "name": "archive", "url": f"http://127.0.0.1:{archive.port}/", "documents": ["sr"]},
            {"kind": "webhook", "name": "desk", "url": f"http://127.0.0.1:{desk.port}/", "urgent_only": True},
        ]
        for share, study in ((LESION, "1.2.3"), (PNEUMOTHORAX, "1.2.4")):
            send_to_spool(installation.spool(), [radiograph(share, study=study, series=f"{study}.1")])
        with installation.worker():
            outcomes = installation.wait_final(2)
        assert {outcome.state for outcome in outcomes} == {State.DELIVERED}
        sent = Counter(receipt.destination for outcome in outcomes for receipt in outcome.receipts)
        assert sent == {"pacs": 4, "records": 2, "his": 2, "archive": 2, "desk": 1}
        assert (len(pacs.arrived), len(held.resources["DiagnosticReport"])) == (4, 2)
        assert (len(his.messages), len(archive.requests)) == (2, 2)
        (notice,) = desk.requests
        (urgent,) = (each for each in outcomes if any(report.urgent for report in each.reports))
        (quiet,) = (each for each in outcomes if each is not urgent)
        assert notice.headers["Vigil-Event"] == "report.urgent"
        assert notice.headers["Idempotency-Key"].startswith(f"{urgent.key}/")
        assert json.loads(notice.body)["urgent"] is True
        # By hand nothing else goes there either, and nothing is there twice.
        for outcome in (quiet, urgent):
            assert all(receipt.delivered for receipt in replay(installation.settings, outcome.key))
        assert (len(desk.requests), len(held.resources["DiagnosticReport"])) == (2, 2)
        assert desk.requests[1].headers["Idempotency-Key"] == notice.headers["Idempotency-Key"]
