"""Where a study stands on its way, and what changed from one revision to the next."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from app.assignment import Assignment, Decision
from app.documents import Document, DocumentKind, Receipt, Waiting
from app.findings import Finding, Presence
from app.outcomes import Shipment, StudyOutcome, Timing
from app.web.study.changes import beside
from app.web.study.stages import Delivery, Standing, stages_of
from tests.unit.report.factory import make_report

DONE, NOW, TO_COME, NOT_NEEDED, FAILED = (
    Standing.DONE,
    Standing.NOW,
    Standing.TO_COME,
    Standing.NOT_NEEDED,
    Standing.FAILED,
)
CHOSEN = Decision((Assignment("head", "head/accepts", "1.2", 0, 1),), ())
REPORT = make_report()
RECEIVED = StudyOutcome("a" * 32 + "-" + "1" * 16, 0.0, files=("x.1.dcm",))


def timed(*stages: str) -> tuple[Timing, ...]:
    return tuple(Timing(stage, "", 1.0) for stage in stages)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (RECEIVED, [NOW, TO_COME, TO_COME, TO_COME, TO_COME, TO_COME]),
        (
            replace(RECEIVED, study_uid="1", timings=timed("assemble")),
            [DONE, NOT_NEEDED, NOW, TO_COME, TO_COME, TO_COME],
        ),
        (
            replace(RECEIVED, study_uid="1", decision=CHOSEN, timings=timed("assemble", "look", "route")),
            [DONE, DONE, DONE, NOW, TO_COME, TO_COME],
        ),
        (
            replace(
                RECEIVED,
                study_uid="1",
                decision=CHOSEN,
                reports=(REPORT,),
                shipments=(Shipment("a", "b"),),
                timings=timed("assemble", "route", "infer", "report"),
            ),
            [DONE, NOT_NEEDED, DONE, DONE, DONE, NOW],
        ),
        (
            replace(
                RECEIVED,
                study_uid="1",
                decision=CHOSEN,
                reports=(REPORT,),
                shipments=(Shipment("a", "b"),),
                receipts=(Receipt("b", "a", delivered=False, attempts=3, detail="refused"),),
                timings=timed("assemble", "route", "infer", "report", "deliver"),
            ),
            [DONE, NOT_NEEDED, DONE, DONE, DONE, FAILED],
        ),
        (
            replace(RECEIVED, problem="none of 1 files tells its study", timings=timed("assemble")),
            [FAILED, NOT_NEEDED, NOT_NEEDED, NOT_NEEDED, NOT_NEEDED, NOT_NEEDED],
        ),
        (
            replace(RECEIVED, study_uid="1", decision=Decision((), ()), timings=timed("assemble", "route")),
            [DONE, NOT_NEEDED, DONE, NOT_NEEDED, NOT_NEEDED, NOT_NEEDED],
        ),
    ],
)
def test_each_stage_stands_where_the_outcome_says(outcome: StudyOutcome, expected: list[Standing]) -> None:
    assert [stage.standing for stage in stages_of(outcome)] == expected


def test_a_delivery_that_goes_on_says_since_when_and_how_often_it_was_tried(tmp_path: Path) -> None:
    made = tmp_path / "a.dcm"
    made.touch()
    os.utime(made, (1000.0, 1000.0))
    outcome = replace(
        RECEIVED,
        study_uid="1",
        decision=CHOSEN,
        reports=(REPORT,),
        documents=(Document(DocumentKind.SR, "head", made), Document(DocumentKind.JSON, "head", tmp_path / "gone")),
        shipments=(Shipment("a.dcm", "pacs"), Shipment("gone", "pacs"), Shipment("a.dcm", "archive")),
        receipts=(Receipt("archive", "a.dcm", True, 1, "0x0000 Success"),),
        waiting=(Waiting("pacs", "a.dcm", 4, "no connection", 1300.0),),
        timings=(*timed("assemble", "route", "infer", "report"), Timing("deliver", "a.dcm to pacs", 1.96)),
    )
    stage = stages_of(outcome, now=1273.0)[-1]
    assert stage.standing is NOW
    assert stage.delivery == Delivery(open=2, all=3, since=1000.0, elapsed_s=273.0, attempts=4, next_at=1300.0)
    ended = replace(outcome, shipments=outcome.shipments[2:], waiting=(), finished_at=1010.0)
    delivery = stages_of(ended, now=9999.0)[-1].delivery
    assert delivery is not None
    assert (delivery.open, delivery.elapsed_s) == (0, 10.0)
    assert stages_of(RECEIVED)[-1].delivery is None


def with_answer(presence: Presence, certainty: float, **changes: object) -> StudyOutcome:
    report = make_report(findings=(Finding("lung_lesion", presence, certainty, 0.5),))
    return replace(RECEIVED, reports=(report,), **changes)  # type: ignore[arg-type]


def test_what_changed_is_told_from_the_older_to_the_newer() -> None:
    old = with_answer(Presence.ABSENT, 0.25, files=("a.1.dcm", "b.1.dcm"))
    new = with_answer(
        Presence.PRESENT, 0.75, key="a" * 32 + "-" + "2" * 16, files=("a.1.dcm", "b.2.dcm", "c.1.dcm"), received_at=-5.0
    )
    for shown, other, newer in ((old, new, True), (new, old, False)):
        found = beside(shown, other)  # the images tell which is newer, not the clock
        assert (found.key, found.newer) == (other.key, newer)
        assert (found.added, found.removed, found.replaced) == (1, 0, 1)
        assert found.images == "1 image came, 1 image with other content under the same UID"
        (change,) = found.changes
        assert change.differs
        assert (change.before, change.after) == ("absent 25 % (threshold 50 %)", "present 75 % (threshold 50 %)")


def test_another_run_of_the_same_images_is_newer_by_its_time() -> None:
    first = with_answer(Presence.PRESENT, 0.75)
    second = with_answer(Presence.PRESENT, 0.75, key="a" * 32 + "-" + "2" * 16, received_at=9.0, run=2)
    found = beside(first, second)
    assert (found.newer, found.run, found.images) == (True, 2, "the same images")
    assert not found.changes[0].differs
