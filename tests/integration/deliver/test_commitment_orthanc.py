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
from app.outcomes import State
from app.receive.listener import running
from tests.integration.deliver.conftest import MakeDestination, Orthanc
from tests.integration.deliver.test_commitment import listener_settings, wait_for
from tests.integration.workflow.conftest import Installation
from tests.integration.workflow.tiny import ct_slices, send_to_spool, write_bundle

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


def test_a_study_is_delivered_once_orthanc_has_committed_to_its_documents(orthanc: Orthanc, tmp_path: Path) -> None:
    """The whole way: spool, analysis, C-STORE, N-ACTION, and the N-EVENT-REPORT to our listener."""
    (tmp_path / "bundles").mkdir()
    write_bundle(tmp_path / "bundles")
    installation = Installation(tmp_path, f"sqlite:///{tmp_path}/workflow.sqlite")
    installation.destinations.append(
        {
            "name": "pacs",
            "host": "127.0.0.1",
            "port": orthanc.dicom_port,
            "ae_title": "ORTHANC",
            "documents": ["sr", "key_image"],
            "attempts": 1,
            "commitment": {"wait_s": 0, "within_s": 60},
        }
    )
    installation.overrides["listener"] = {"host": "127.0.0.1", "port": 0}
    before = len(orthanc.instances())
    with running(installation.settings) as port:
        make_known(orthanc, port)
        send_to_spool(installation.spool(), ct_slices())
        with installation.worker():
            (outcome,) = installation.wait_final()
    assert outcome.state is State.DELIVERED
    assert [(each.committed, each.attempts) for each in outcome.receipts] == [(True, 1), (True, 1)]
    assert len(orthanc.instances()) == before + 2
