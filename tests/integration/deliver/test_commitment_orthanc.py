"""Storage commitment against a real PACS, which answers on an association that it opens to our listener."""

import json
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from app.commitments import Ledger
from app.deliver import deliver
from app.deliver.commitment import ask, verdict
from app.documents import Document
from app.receive.listener import running
from tests.integration.deliver.conftest import MakeDestination, Orthanc
from tests.integration.deliver.test_commitment import listener_settings, wait_for

pytestmark = [pytest.mark.debian, pytest.mark.timeout(120)]


def make_known(orthanc: Orthanc, port: int) -> None:
    """Tell Orthanc where our listener is."""
    body = json.dumps({"AET": "VIGIL", "Host": "127.0.0.1", "Port": port}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{orthanc.http_port}/modalities/vigil", body, method="PUT")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def test_orthanc_commits_to_what_it_stored_and_to_nothing_else(
    orthanc: Orthanc, sr: Document, destination: MakeDestination, tmp_path: Path
) -> None:
    ledger = Ledger(tmp_path / "results")
    peer = destination(orthanc.dicom_port, ae_title="ORTHANC")
    with running(listener_settings(ledger, tmp_path / "spool")) as port:
        make_known(orthanc, port)
        deliver(sr, peer)
        transaction, _ = ask(sr, peer, ledger, wait_s=0)
        assert verdict(wait_for(ledger, transaction), sr.sop_instance_uid) == ""
        never_sent = replace(sr, sop_instance_uid="1.2.826.0.1.3680043.8.498.1")
        transaction, _ = ask(never_sent, peer, ledger, wait_s=0)
        assert verdict(wait_for(ledger, transaction), never_sent.sop_instance_uid) == "0x0112 No such object instance"
    assert len(orthanc.instances()) == 1
