"""What a search by DICOMweb tells of a study, kept beside the index of studies, so that no header is read for it twice.

A text that others write and read, with a stamp of what it was made from: where the stamp differs, it is made anew. It
names the patient, and goes with the rows of its study.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from app.worklist_table import TOLD, WORKLIST


@dataclass(frozen=True, slots=True)
class Sought:
    """What a study must have, as far as the index knows it; a study of which it does not know that is not left out.

    Attributes:
        patient_id, accession: To the letter; "" for any.
        date_from, date_until: "YYYYMMDD", both included; "" for any.
    """

    patient_id: str = ""
    accession: str = ""
    date_from: str = ""
    date_until: str = ""


@dataclass(frozen=True, slots=True)
class Marked:
    """A revision in the order of changes, and what is kept of its study.

    Attributes:
        study: Hash of its StudyInstanceUID.
        changed, key: Its place in the order.
        stamp: Of all revisions of the study.
        kept: Stamp and text that were kept; None where there are none.
    """

    study: str
    changed: int
    key: str
    stamp: str
    kept: tuple[str, str] | None


def by_change(connection: sa.Connection, sought: Sought, after: tuple[int, str] | None, limit: int) -> Sequence[Marked]:
    """Revisions by their last change, the newest first.

    Args:
        connection: To the workflow database.
        sought: Which.
        after: `changed` and `key` of the last one that was given; None begins.
        limit: At most so many.
    """
    changed, key, study = WORKLIST.c.changed, WORKLIST.c.key, WORKLIST.c.study
    conditions = _conditions(sought)
    if after is not None:
        conditions.append(
            sa.tuple_(changed, key) < sa.tuple_(sa.literal(after[0], sa.BigInteger), sa.literal(after[1]))
        )
    wanted = sa.select(key, study, changed).where(*conditions).order_by(changed.desc(), key.desc()).limit(limit)
    found = connection.execute(wanted).all()
    studies = sorted({each.study for each in found})
    stamps, kept = _stamps(connection, studies), _kept(connection, studies)
    return [Marked(each.study, each.changed, each.key, stamps[each.study], kept.get(each.study)) for each in found]


def keep(connection: sa.Connection, made: Mapping[str, tuple[str, str]]) -> None:
    """Keep stamp and text by study, of those that the index still has."""
    there = connection.scalars(sa.select(WORKLIST.c.study).where(WORKLIST.c.study.in_(made)).distinct()).all()
    rows = [{"study": study, "stamp": made[study][0], "told": made[study][1]} for study in there]
    if rows:
        insert: Any = sqlite_insert if connection.dialect.name == "sqlite" else postgresql_insert
        entered = insert(TOLD)
        changes = {"stamp": entered.excluded.stamp, "told": entered.excluded.told}
        connection.execute(entered.on_conflict_do_update(index_elements=["study"], set_=changes), rows)


def sweep(connection: sa.Connection) -> None:
    """Remove what is kept of studies that the index does not have any more."""
    there = sa.select(WORKLIST.c.key).where(WORKLIST.c.study == TOLD.c.study)
    connection.execute(sa.delete(TOLD).where(~there.exists()))


def _conditions(sought: Sought) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    for column, value in ((WORKLIST.c.patient_id, sought.patient_id), (WORKLIST.c.accession, sought.accession)):
        if value:
            found.append(column.in_([value, ""]))
    date = WORKLIST.c.study_date
    if sought.date_from:
        found.append((date >= sought.date_from) | (date == ""))
    if sought.date_until:
        found.append(date <= sought.date_until)
    return found


def _stamps(connection: sa.Connection, studies: Sequence[str]) -> Mapping[str, str]:
    study, changed = WORKLIST.c.study, WORKLIST.c.changed
    counted = sa.select(study, sa.func.max(changed), sa.func.count()).where(study.in_(studies)).group_by(study)
    return {each[0]: f"{each[1]}.{each[2]}" for each in connection.execute(counted)}


def _kept(connection: sa.Connection, studies: Sequence[str]) -> Mapping[str, tuple[str, str]]:
    found = connection.execute(sa.select(TOLD).where(TOLD.c.study.in_(studies)))
    return {each.study: (each.stamp, each.told) for each in found}
