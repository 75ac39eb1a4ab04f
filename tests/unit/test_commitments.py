"""The ledger of storage commitments: who was not asked cannot answer, and the first answer stands."""

import os
from pathlib import Path

import pytest
from pydicom import Dataset
from structlog.testing import capture_logs

from app.commitments import Answer, Ledger, parse
from app.study import uid_hash


def item(uid: str, reason: int | None = None) -> Dataset:
    made = Dataset()
    made.ReferencedSOPInstanceUID = uid
    if reason is not None:
        made.FailureReason = reason
    return made


def test_who_was_not_asked_cannot_answer(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "results")
    assert not ledger.note("2.25.1", Answer(("1.2",)))
    transaction = ledger.begin()
    assert transaction != ledger.begin()
    assert ledger.look(transaction) is None
    assert ledger.note(transaction, Answer(("1.2",), (("1.3", 0x0112),)))
    assert Ledger(tmp_path / "results").look(transaction) == Answer(("1.2",), (("1.3", 0x0112),))
    assert transaction not in " ".join(path.name for path in tmp_path.rglob("*"))


def test_whoever_takes_the_answer_knows_the_study(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert Ledger(tmp_path).study_of(ledger.begin("0123456789ab")) == "0123456789ab"
    assert ledger.study_of(ledger.begin()) == ""
    assert ledger.study_of("2.25.1") == "", "nobody asked"
    before = ledger.begin()
    (file,) = [path for path in tmp_path.rglob("*.asked") if path.name == f"{uid_hash(before)}.asked"]
    file.write_text('{"asked_at": 1.0}')
    assert ledger.study_of(before) == "", "asked by an older version"


def test_the_first_answer_stands(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    transaction = ledger.begin()
    with capture_logs() as logs:
        for answer in (Answer(("1.2",)), Answer(("1.2",)), Answer((), (("1.2", 0x0112),))):
            assert ledger.note(transaction, answer)
    assert ledger.look(transaction) == Answer(("1.2",))
    assert [each["event"] for each in logs] == ["commitment_contradicted"]


def test_what_began_long_ago_is_forgotten(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    old, new = ledger.begin(), ledger.begin()
    for transaction in (old, new):
        ledger.note(transaction, Answer(("1.2",)))
    os.utime(ledger._asked(old), (1.0, 1.0))
    assert ledger.prune() == 1
    assert (ledger.look(old), ledger.look(new)) == (None, Answer(("1.2",)))
    assert not ledger.note(old, Answer(("1.2",)))


def test_what_failed_is_not_committed_even_where_it_is_named_as_both() -> None:
    """PS3.4 table J.3-2: a failed instance does not stand in the Referenced SOP Sequence."""
    information = Dataset()
    information.TransactionUID = "2.25.1"
    information.ReferencedSOPSequence = [item("1.2"), item("1.3")]
    information.FailedSOPSequence = [item("1.3", 0x0213), item("1.4")]
    assert parse(information) == ("2.25.1", Answer(("1.2",), (("1.3", 0x0213), ("1.4", 0x0110))))


def test_an_answer_without_a_transaction_is_none() -> None:
    with pytest.raises(AttributeError):
        parse(Dataset())
