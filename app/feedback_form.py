"""From the fields of a form to an answer, checked against the report that it is about."""

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

from app.errors import Rejected
from app.feedback import Answer, Feedback, Place
from app.feedback_words import answer_in_words, answers_to
from app.findings import Finding, Presence, Report
from app.outcomes import StudyOutcome

LONGEST_COMMENT = 2000
LARGEST_PIXEL = 65535
MOST_DIGITS = 12
_NUMBER = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
ELSEWHERE = "'elsewhere' and say where"
DISAGREE = "'disagree', which says that it is there"
_FORBIDDEN = {code: None for code in range(32) if chr(code) not in "\n\t"} | {0x7F: None}


@dataclass(frozen=True, slots=True)
class Point:
    """Where, in pixels of a source image; without numbers only which image."""

    sop_instance_uid: str
    frame: int = 1
    column: float | None = None
    row: float | None = None


def read_form(outcome: StudyOutcome, fields: Mapping[str, str], reader: str) -> Feedback:
    """Read an answer.

    Args:
        outcome: The study.
        fields: bundle, version, series_uid, stack, finding, answer; optional: comment, place ("as shown" or "point"),
            and of a point, which "elsewhere" needs, sop_instance_uid or slice (a number from 1), frame, column and row.
        reader: Who says it.

    Raises:
        Rejected: It is about nothing that a report of the study says, or a value is none; says which.
    """
    report = _report(outcome, fields)
    finding = _finding(report, fields.get("finding", ""))
    answer = _answer(fields.get("answer", ""), finding)
    place, point = _place(fields, finding, answer)
    given = Feedback(
        id=uuid4().hex,
        at=time.time(),
        reader=reader,
        study=outcome.key,
        bundle=report.algorithm.name,
        version=report.algorithm.version,
        weights_sha256=report.algorithm.weights_sha256,
        series_uid=report.series_uid,
        stack=report.stack,
        finding=finding.kind,
        presence=finding.presence.value,
        certainty=finding.certainty,
        answer=answer,
        place=place,
        sop_instance_uid=point.sop_instance_uid,
        frame=point.frame,
        column=point.column,
        row=point.row,
        comment=_comment(fields.get("comment", "")),
    )
    if given.contradicts:
        said = answer_in_words(finding.presence, answer)
        raise Rejected(
            f'the answer ("{said}") and the place contradict each other: leave the place unsaid, or answer '
            f"{ELSEWHERE if finding.presence is Presence.PRESENT else DISAGREE}"
        )
    return given


def _report(outcome: StudyOutcome, fields: Mapping[str, str]) -> Report:
    wanted = tuple(fields.get(name, "") for name in ("bundle", "version", "series_uid", "stack"))
    for report in outcome.reports:
        if wanted == (report.algorithm.name, report.algorithm.version, report.series_uid, str(report.stack)):
            return report
    raise Rejected("no report of this study is the one that is answered; it was made anew since: load the page again")


def _finding(report: Report, kind: str) -> Finding:
    found = next((each for each in report.findings if each.kind == kind), None)
    if found is None:
        raise Rejected("the report does not speak of that finding; load the page again")
    if found.presence is Presence.UNDETERMINED:
        raise Rejected("the report leaves that finding undetermined: there is nothing to agree with")
    return found


def _answer(word: str, finding: Finding) -> Answer:
    known = answers_to(finding.presence)
    if word not in known:
        raise Rejected(f"the answer is one of {', '.join(known)}")
    return Answer(word)


def _place(fields: Mapping[str, str], finding: Finding, answer: Answer) -> tuple[Place, Point]:
    word = fields.get("place", "") or Place.UNSAID
    if answer is Answer.ELSEWHERE and word == Place.UNSAID:
        word = Place.POINT
    if word not in set(Place):
        raise Rejected(f"the place is one of {', '.join(Place)}")
    place = Place(word)
    if place is not Place.POINT:
        return place, Point("")
    uid = _image(fields, finding)
    frame = int(_number(fields, "frame") or 1)
    column, row = _number(fields, "column"), _number(fields, "row")
    if (column is None) != (row is None):
        raise Rejected("a point has a column and a row")
    return place, Point(uid, max(frame, 1), column, row)


def _image(fields: Mapping[str, str], finding: Finding) -> str:
    """The source image of a point, by its UID or by the number of its slice; it has to be one that was read."""
    known = [score.sop_instance_uid for score in finding.slices]
    known += [region.sop_instance_uid for region in finding.regions]
    known += [lesion.sop_instance_uid for lesion in finding.lesions]
    given, number = fields.get("sop_instance_uid", ""), fields.get("slice", "")
    if given:
        if known and given not in known:
            raise Rejected("the image of the point is none that this finding was sought in")
        if not re.fullmatch(r"[0-9.]{1,64}", given):
            raise Rejected("the image of the point is no SOP Instance UID")
        return given
    if not number and len(set(known)) == 1:
        return known[0]
    if not number:
        raise Rejected("say in which image or slice, or only in words what is to be said of the place")
    if not number.isascii() or not number.isdigit() or not 1 <= int(number[:MOST_DIGITS]) <= len(finding.slices):
        raise Rejected(f"slices of this finding have numbers from 1 to {len(finding.slices)}")
    return finding.slices[int(number) - 1].sop_instance_uid


def _number(fields: Mapping[str, str], name: str) -> float | None:
    given = fields.get(name, "").strip()
    if not given:
        return None
    if not _NUMBER.fullmatch(given) or not math.isfinite(float(given)) or float(given) > LARGEST_PIXEL:
        raise Rejected(f"{name} is a number from 0 to {LARGEST_PIXEL}")
    return float(given)


def _comment(words: str) -> str:
    clean = words.replace("\r\n", "\n").translate(_FORBIDDEN).strip()
    if len(clean) > LONGEST_COMMENT:
        raise Rejected(f"the comment has {len(clean)} letters; at most {LONGEST_COMMENT} are kept")
    return clean
