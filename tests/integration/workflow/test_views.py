"""The worker looks at pictures between assembling and routing, and writes down what it saw."""

from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from app.demo.pacs import Pacs
from app.findings import Outcome, Presence
from app.outcomes import State
from tests.integration.infer.test_views import service_of
from tests.integration.workflow.conftest import Installation
from tests.integration.workflow.tiny import send_to_spool
from tests.integration.workflow.tiny_images import radiograph
from tests.integration.workflow.tiny_views import CHEST, WRIST, write_view_bundle

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """What is tested here does not depend on the kind of database."""
    return f"sqlite:///{tmp_path}/workflow.sqlite"


def test_silent_and_lying_headers_each_end_as_the_picture_says(installation: Installation, pacs: Pacs) -> None:
    write_view_bundle(installation.folder / "bundles")
    service_of(installation.folder)
    cases = {"silent chest": (CHEST, ""), "silent wrist": (WRIST, ""), "lying": (WRIST, "CHEST")}
    uids = {name: generate_uid() for name in cases}
    for name, (share, part) in cases.items():
        image = radiograph(share, study=uids[name], series=generate_uid(), BodyPartExamined=part)
        send_to_spool(installation.spool(), [image])
    with installation.worker():
        ended = {each.study_uid: each for each in installation.wait_final(3)}
    chest, wrist, lying = (ended[uids[name]] for name in cases)
    assert [each.state for each in (chest, wrist, lying)] == [State.DELIVERED, State.UNWANTED, State.DELIVERED]
    assert [each.looks[0].view.name for each in (chest, wrist, lying) if each.looks[0].view] == [
        "frontal_chest",
        "wrist",
        "wrist",
    ]
    assert chest.reports[0].outcome is Outcome.SUCCEEDED
    (report,) = lying.reports
    assert report.outcome is Outcome.NOT_ATTEMPTED
    assert {finding.presence for finding in report.findings} == {Presence.UNDETERMINED}
    assert report.reason.startswith("the picture looks like a wrist")
    assert "look" in {timing.stage for timing in chest.timings}
    assert len(pacs.arrived) == 2
