"""An operator asks for another analysis: a worker makes it, and its documents supersede the first ones at the PACS."""

import pytest
from pydicom import Dataset, dcmread

from app import reruns
from app.demo.pacs import Pacs
from app.outcomes import State, StudyOutcome
from app.revisions import relation
from tests.integration.workflow.conftest import Installation
from tests.integration.workflow.test_revisions import sr_uid
from tests.integration.workflow.tiny import ct_slices, send_to_spool

pytestmark = pytest.mark.timeout(240)


def predecessors(outcome: StudyOutcome) -> list[str]:
    (document,) = (each for each in outcome.documents if each.kind == "sr")
    data: Dataset = dcmread(document.path)
    return [
        str(instance.ReferencedSOPInstanceUID)
        for study in data.get("PredecessorDocumentsSequence", [])
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    ]


def test_another_analysis_is_delivered_and_supersedes_the_first(installation: Installation, pacs: Pacs) -> None:
    data = ct_slices()
    settings = installation.settings
    with installation.worker():
        send_to_spool(installation.spool(), data)
        (first,) = installation.wait_final()
        asked = reruns.ask(settings, first.key)
        second, before = installation.wait_final(2)
        # The same images once more are nothing new, after another analysis as before.
        send_to_spool(installation.spool(), data)
        installation.wait(lambda _: installation.spool().arrivals() == ())
        assert len(installation.outcomes()) == 2
    assert (second.key, before.key) == (asked.key, first.key)
    assert (second.state, before.state) == (State.DELIVERED, State.DELIVERED)
    assert [each.sop_instance_uid for each in pacs.arrived] == [sr_uid(first), sr_uid(second)]
    assert sr_uid(first) != sr_uid(second)
    assert predecessors(second) == [sr_uid(first)]
    assert relation(settings.results, first).superseded_by == second.key
    assert second.reports[0].findings[0].presence == first.reports[0].findings[0].presence
    assert any("operator asked" in note for note in second.reports[0].notes)


def test_what_was_asked_while_no_worker_ran_is_done_when_one_starts(installation: Installation, pacs: Pacs) -> None:
    with installation.worker():
        send_to_spool(installation.spool(), ct_slices())
        (first,) = installation.wait_final()
    asked = reruns.ask(installation.settings, first.key)
    with installation.worker():
        second, _ = installation.wait_final(2)
    assert second.key == asked.key
    assert [each.sop_instance_uid for each in pacs.arrived] == [sr_uid(first), sr_uid(second)]
