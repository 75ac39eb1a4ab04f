"""What readers say of findings: agree, disagree, elsewhere or unsure, and where. All is kept; of each reader the newest
counts.

Kept with the identity of the report that it is about, so that it can be told from what another version would have said.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

import sqlalchemy as sa

from app.findings import Presence
from app.tables import asking

_FEEDBACK = sa.Table(
    "vigil_feedback",
    sa.MetaData(),
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("reader", sa.String(128), nullable=False),
    sa.Column("study", sa.String(64), nullable=False),
    sa.Column("bundle", sa.String(128), nullable=False),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("weights_sha256", sa.String(64), nullable=False),
    sa.Column("series_uid", sa.String(64), nullable=False),
    sa.Column("stack", sa.Integer, nullable=False),
    sa.Column("finding", sa.String(64), nullable=False),
    sa.Column("presence", sa.String(16), nullable=False),
    sa.Column("certainty", sa.Float),
    sa.Column("answer", sa.String(16), nullable=False),
    sa.Column("place", sa.String(16), nullable=False),
    sa.Column("sop_instance_uid", sa.String(64), nullable=False),
    sa.Column("frame", sa.Integer, nullable=False),
    sa.Column("column", sa.Float),
    sa.Column("row", sa.Float),
    sa.Column("comment", sa.Text, nullable=False),
)


class Answer(StrEnum):
    """What a reader says to a finding.

    DISAGREE is the opposite of what the report says: not there where it is reported present, there where it is reported
    absent. ELSEWHERE is of what is reported present: it is there, but not where the report shows it.
    """

    AGREE = "agree"
    DISAGREE = "disagree"
    ELSEWHERE = "elsewhere"
    UNSURE = "unsure"


class Place(StrEnum):
    """What a reader says of where it is."""

    UNSAID = "unsaid"
    AS_SHOWN = "as shown"
    POINT = "point"


@dataclass(frozen=True, slots=True)
class Feedback:
    """One answer of one reader to one finding of one report.

    Attributes:
        id: 32 hexadecimal digits.
        at: Unix time.
        reader: Name of the token, or of the proxy's user.
        study: Key of the study revision.
        bundle, version, weights_sha256: Who said what is answered.
        series_uid, stack: The (first) analysed series of the report.
        finding: A name of the code table.
        presence: What the report said: "present" or "absent".
        certainty: As the report had it.
        answer: What the reader says to that.
        place: Whether the reader says where.
        sop_instance_uid, frame: The source image of a point; "" and 1 without one, or where only words say where.
        column, row: The point, in pixels of that image as regions have them; None where there is none.
        comment: The reader's words. May name people: never logged, never exported.
    """

    id: str
    at: float
    reader: str
    study: str
    bundle: str
    version: str
    weights_sha256: str
    series_uid: str
    stack: int
    finding: str
    presence: str
    certainty: float | None
    answer: Answer
    place: Place = Place.UNSAID
    sop_instance_uid: str = ""
    frame: int = 1
    column: float | None = None
    row: float | None = None
    comment: str = ""

    @property
    def truth(self) -> bool | None:
        """Whether the finding is there, as the reader sees it; None where they cannot say, or contradict themselves."""
        if self.answer is Answer.UNSURE or self.contradicts:
            return None
        if self.answer is Answer.ELSEWHERE:
            return True
        return (self.presence == Presence.PRESENT) == (self.answer is Answer.AGREE)

    @property
    def contradicts(self) -> bool:
        """Whether it says that the finding is not there, and where it is: nobody knows then what was meant.

        The form refuses that; answers from before it did are kept as they are.
        """
        present = self.presence == Presence.PRESENT
        if self.answer is Answer.ELSEWHERE:
            return not present or self.place is not Place.POINT
        denies = self.answer is (Answer.DISAGREE if present else Answer.AGREE)
        return denies and self.place is not Place.UNSAID

    @property
    def report(self) -> tuple[str, str, str, str, str, int]:
        """What is answered, but for the finding."""
        return self.study, self.bundle, self.version, self.weights_sha256, self.series_uid, self.stack

    @property
    def subject(self) -> tuple[tuple[str, str, str, str, str, int], str, str]:
        """Of the answers with one subject the newest counts: what, and who says it."""
        return self.report, self.finding, self.reader


def give(engine: sa.Engine, feedback: Feedback) -> bool:
    """Keep an answer; False where the reader's newest one says the same already (a form that was sent twice).

    Raises:
        Retryable: The database does not answer.
    """
    with asking(engine) as connection:
        same = _FEEDBACK.c.study == feedback.study
        mine = [each for each in _read(connection, same) if each.subject == feedback.subject]
        if mine and _said(mine[-1]) == _said(feedback):
            return False
        connection.execute(sa.insert(_FEEDBACK).values(asdict(feedback)))
    return True


def of_study(engine: sa.Engine, study: str) -> tuple[Feedback, ...]:
    """Everything that was ever said of a study revision, the oldest first.

    Raises:
        Retryable: The database does not answer.
    """
    with asking(engine) as connection:
        return tuple(_read(connection, _FEEDBACK.c.study == study))


def of_bundle(engine: sa.Engine, bundle: str) -> tuple[Feedback, ...]:
    """Everything that was ever said of a bundle's findings, the oldest first.

    Raises:
        Retryable: The database does not answer.
    """
    with asking(engine) as connection:
        return tuple(_read(connection, _FEEDBACK.c.bundle == bundle))


def newest(
    engine: sa.Engine, limit: int, before: tuple[float, str] | None = None, bundle: str = "", answer: str = ""
) -> tuple[Feedback, ...]:
    """What was said last, the newest first.

    Args:
        engine: The workflow database.
        limit: How many.
        before: (time, id) of the last one of the page before.
        bundle: Of this bundle alone; "" of all.
        answer: These answers alone; "" all.

    Raises:
        Retryable: The database does not answer.
    """
    query = sa.select(_FEEDBACK).order_by(_FEEDBACK.c.at.desc(), _FEEDBACK.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(sa.tuple_(_FEEDBACK.c.at, _FEEDBACK.c.id) < sa.tuple_(*map(sa.literal, before)))
    for column, value in ((_FEEDBACK.c.bundle, bundle), (_FEEDBACK.c.answer, answer)):
        query = query.where(column == value) if value else query
    with asking(engine) as connection:
        return tuple(_feedback(row) for row in connection.execute(query).mappings())


def counts(engine: sa.Engine) -> dict[str, dict[str, int]]:
    """How many answers of each kind each bundle has, changed ones included.

    Raises:
        Retryable: The database does not answer.
    """
    both = (_FEEDBACK.c.bundle, _FEEDBACK.c.answer)
    with asking(engine) as connection:
        rows = connection.execute(sa.select(*both, sa.func.count()).group_by(*both).order_by(*both)).all()
    found: dict[str, dict[str, int]] = {}
    for bundle, answer, number in rows:
        found.setdefault(bundle, {})[answer] = number
    return found


def standing(given: Iterable[Feedback]) -> tuple[Feedback, ...]:
    """Of answers, the oldest first, those that count: of each reader the newest to each finding of each report."""
    return tuple({each.subject: each for each in given}.values())


def _said(feedback: Feedback) -> Feedback:
    return replace(feedback, id="", at=0.0)


def _read(connection: sa.Connection, where: sa.ColumnElement[bool]) -> Sequence[Feedback]:
    query = sa.select(_FEEDBACK).where(where).order_by(_FEEDBACK.c.at, _FEEDBACK.c.id)
    return [_feedback(row) for row in connection.execute(query).mappings()]


def _feedback(row: sa.RowMapping) -> Feedback:
    values = dict(row)
    return Feedback(**{**values, "answer": Answer(values["answer"]), "place": Place(values["place"])})
