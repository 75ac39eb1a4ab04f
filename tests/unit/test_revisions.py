"""Which revision of a study is newer, whose answer stands for whose, and what the web side is told of it."""

from dataclasses import replace
from pathlib import Path

import pytest

from app import outcomes
from app.assignment import Assignment, Decision
from app.documents import Document, DocumentKind, Receipt
from app.findings import Algorithm, Finding, Outcome, Predecessor, Presence, Report
from app.outcomes import Shipment, StudyOutcome
from app.revisions import Relation, is_newer, others, overtaken_by, relation, relations, replaced_by
from app.study import uid_hash

UID = "1.2.3"
STUDY = uid_hash(UID)
THIN, THICK = "1.2.3.1", "1.2.3.2"


def report(revision: str, presence: Presence, series: str = THICK, bundle: str = "bleeds") -> Report:
    algorithm = Algorithm(bundle, "1", "00", "phantom", "research")
    finding = Finding("intracranial_hemorrhage", presence)
    return Report(UID, revision, series, 0, algorithm, Outcome.SUCCEEDED, (finding,))


def revision(
    digit: str,
    files: str,
    presence: Presence | None = Presence.ABSENT,
    *,
    at: float = 0.0,
    series: str = THICK,
    bundle: str = "bleeds",
    receipt: Receipt | None = None,
) -> StudyOutcome:
    """A revision whose files are named by letters (the instance) and digits (its version): "a1 b1"."""
    names = tuple(f"{name[0]}.{name[1]}.dcm" for name in files.split())
    found = StudyOutcome(f"{STUDY}-{digit * 16}", received_at=at, files=names, study_uid=UID)
    found = replace(found, decision=Decision((Assignment(bundle, "rule", series, 0, 1, ()),), ()))
    if presence is not None:
        document = Document(DocumentKind.SR, bundle, Path(f"{digit}.sr.dcm"), "2.25.1", series_uid=series)
        shipment = Shipment(document.path.name, "pacs")
        found = outcomes.with_report(found, report(digit * 16, presence, series, bundle), [document], [shipment])
    return found if receipt is None else outcomes.with_receipt(found, receipt)


OLD = revision("0", "a1 b1", at=10)
NEW = revision("1", "a1 b1 c1", at=20)
SENT = Receipt("pacs", "1.sr.dcm", delivered=True, attempts=1, detail="0x0000 Success")
REFUSED = replace(SENT, delivered=False, detail="0xA900")


def with_images(outcome: StudyOutcome, *stacks: tuple[str, int]) -> StudyOutcome:
    """The same revision, its bundle having read these images for its report."""
    (series, stack), *more = stacks
    changed = {"series_uid": series, "stack": stack}
    decision = outcome.decision
    assert decision is not None
    return replace(
        outcome,
        decision=Decision(tuple(replace(each, **changed, more=tuple(more)) for each in decision.assignments), ()),
        reports=tuple(replace(each, **changed, more=tuple(more)) for each in outcome.reports),
        documents=tuple(replace(each, **changed) for each in outcome.documents),
    )


@pytest.mark.parametrize(
    "stacks",
    [[(THIN, 0), (THICK, 0)], [(THICK, 0), (THIN, 0)], [(THIN, 0), (THIN, 1)]],
    ids=["a late image goes first", "a late image goes last", "other images were chosen"],
)
def test_a_report_of_other_images_stands_for_an_older_one(stacks: list[tuple[str, int]]) -> None:
    assert overtaken_by(Shipment("0.sr.dcm", "pacs"), OLD, [with_images(NEW, *stacks)]) == NEW.key


def test_images_that_are_still_being_analysed_stand_for_nothing_yet() -> None:
    waiting = with_images(revision("1", "a1 b1 c1", None, at=20), (THIN, 0), (THICK, 0))
    assert overtaken_by(Shipment("0.sr.dcm", "pacs"), OLD, [waiting]) == ""


@pytest.mark.parametrize(
    ("one", "other", "newer"),
    [
        (NEW, OLD, True),
        (OLD, NEW, False),
        (OLD, OLD, False),
        (replace(NEW, received_at=1), OLD, True),
        (revision("2", "a1 b2", at=20), OLD, True),
        (revision("2", "a1 b2", at=5), OLD, False),
        (OLD, replace(revision("2", "a1 b1", at=10), interrupted=True), True),
        (replace(revision("2", "a1 b1", at=20), interrupted=True), OLD, False),
        (revision("2", "a1 c1 d1", at=20), OLD, False),
        (replace(NEW, key=f"{uid_hash('1.9')}-{'1' * 16}"), OLD, False),
    ],
    ids=[
        "late image",
        "fewer images",
        "itself",
        "whatever the clock says",
        "another version",
        "an earlier version",
        "sent to its end",
        "broken off",
        "an image is missing",
        "another study",
    ],
)
def test_a_newer_revision_holds_every_image_of_the_older(one: StudyOutcome, other: StudyOutcome, newer: bool) -> None:
    assert is_newer(one, other) is newer


@pytest.mark.parametrize(
    ("newer", "overtaken"),
    [
        (NEW, True),
        (outcomes.with_receipt(NEW, SENT), True),
        (outcomes.with_receipt(NEW, replace(REFUSED, superseded_by=f"{STUDY}-{'2' * 16}")), True),
        (outcomes.with_receipt(NEW, REFUSED), False),
        (revision("1", "a1 b1 c1", None), False),
        (revision("1", "a1 b1 c1", Presence.UNDETERMINED), False),
        (replace(revision("1", "a1 b1 c1", None), problem="no image can be read"), False),
        (replace(NEW, shipments=(Shipment("1.sr.dcm", "archive"),)), False),
        (replace(NEW, documents=(replace(NEW.documents[0], problem="strange tag"),)), False),
        (replace(NEW, documents=(replace(NEW.documents[0], kind=DocumentKind.JSON),)), False),
        (revision("1", "a1 b1 c1", bundle="fractures"), False),
        (revision("1", "a1 b1 c1", series=THIN), True),
        (
            replace(
                revision("1", "a1 b1 c1", series=THIN),
                decision=Decision(tuple(Assignment("bleeds", "rule", each, 0, 1, ()) for each in (THIN, THICK)), ()),
            ),
            False,
        ),
    ],
    ids=[
        "on its way",
        "delivered",
        "overtaken in turn",
        "refused by the destination",
        "not yet analysed",
        "undetermined",
        "failed",
        "goes elsewhere",
        "no document",
        "only another kind of document",
        "another bundle",
        "another series was chosen",
        "this series is still to come",
    ],
)
def test_a_document_is_overtaken_by_what_stands_for_it(newer: StudyOutcome, overtaken: bool) -> None:
    assert overtaken_by(OLD.shipments[0], OLD, [newer]) == (newer.key if overtaken else "")


def test_an_undetermined_answer_is_overtaken_by_an_undetermined_one() -> None:
    older, newer = (replace(each, reports=(replace(each.reports[0], findings=()),)) for each in (OLD, NEW))
    assert overtaken_by(older.shipments[0], older, [newer]) == newer.key


def test_an_older_revision_overtakes_nothing() -> None:
    assert overtaken_by(NEW.shipments[0], NEW, [OLD]) == ""


def test_relations_name_the_newest_answer_also_of_revisions_that_are_not_shown(tmp_path: Path) -> None:
    newest = revision("2", "a1 b1 c1 d1", at=30)
    failed = replace(revision("3", "a1 b1 c1 d1 e1", None, at=40), problem="no image can be read")
    for each in (OLD, NEW, newest, failed):
        outcomes.begin(tmp_path, each)
    assert relations(tmp_path, [OLD, newest]) == {
        OLD.key: Relation(superseded_by=newest.key),
        newest.key: Relation(supersedes=(NEW.key, OLD.key)),
    }
    assert relation(tmp_path, failed) == Relation()
    assert relations(tmp_path, []) == {}


def test_what_was_withheld_stays_superseded(tmp_path: Path) -> None:
    withheld = outcomes.with_receipt(OLD, Receipt("pacs", "0.sr.dcm", False, 0, "not sent", superseded_by=NEW.key))
    outcomes.begin(tmp_path, withheld)
    assert relation(tmp_path, withheld).superseded_by == NEW.key


def test_a_damaged_revision_holds_back_no_other(tmp_path: Path) -> None:
    for each in (OLD, NEW, revision("2", "a1 b1 c1 d1")):
        outcomes.begin(tmp_path, each)
    (tmp_path / f"{STUDY}-{'2' * 16}" / outcomes.OUTCOME).write_text("{")
    assert [each.key for each in others(tmp_path, OLD.key)] == [NEW.key]
    assert relation(tmp_path, OLD).superseded_by == NEW.key


def replaced(newer: StudyOutcome, *family: StudyOutcome) -> tuple[Predecessor, ...]:
    """What the report of a revision replaces, asked before it has documents."""
    return replaced_by(newer.reports[0], replace(newer, reports=(), documents=(), shipments=()), family)


def test_a_report_names_every_report_that_it_stands_for() -> None:
    newest = revision("2", "a1 b1 c1 d1", at=30)
    assert replaced(newest, NEW, OLD) == (
        Predecessor("1" * 16, THICK, 0, "1"),
        Predecessor("0" * 16, THICK, 0, "1"),
    )
    assert replaced(NEW, newest, OLD) == (Predecessor("0" * 16, THICK, 0, "1"),)


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        (revision("1", "a1 b1 c1", at=20, bundle="chest"), OLD),
        (revision("1", "a1 c1", at=20), OLD),
        (revision("1", "a1 b1 c1", Presence.UNDETERMINED, at=20), OLD),
        (NEW, replace(OLD, documents=())),
        (NEW, replace(OLD, documents=tuple(replace(each, problem="strange tag") for each in OLD.documents))),
        (NEW, revision("0", "a1 b1", None, at=10)),
    ],
    ids=["another bundle", "other images", "no answer", "no document", "no SR could be made", "no report yet"],
)
def test_a_report_names_nothing_that_it_does_not_stand_for(newer: StudyOutcome, older: StudyOutcome) -> None:
    assert replaced(newer, older) == ()


def test_a_series_that_is_not_assigned_any_more_is_replaced_too() -> None:
    assert replaced(with_images(NEW, (THIN, 0)), OLD) == (Predecessor("0" * 16, THICK, 0, "1"),)
