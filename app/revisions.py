"""Revisions of one study, in order: which is newer, whose answer stands for whose, who supersedes whom.

Late images make a new revision. It holds every image of the older one, so that its answer stands for the older answer
too. Nothing here is stored: it follows from the outcomes on disk each time it is asked.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from app import outcomes
from app.documents import Document, DocumentKind
from app.errors import Rejected
from app.findings import Predecessor, Report
from app.outcomes import Shipment, StudyOutcome

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Relation:
    """Where a revision stands among those of its study.

    Attributes:
        superseded_by: Key of the newest revision whose answer stands for this one's; "" where there is none.
        supersedes: Keys of the revisions that name this one there, the newest first.
    """

    superseded_by: str = ""
    supersedes: tuple[str, ...] = ()


def is_newer(one: StudyOutcome, other: StudyOutcome) -> bool:
    """Whether `one` is a later revision of the same study and holds every instance of the other.

    The sets of instances tell it, not the clock: a spool only grows. Where the sets are equal, a study that was sent to
    its end is newer than one whose sender broke off; else an instance was replaced by another version under its UID,
    and the time of arrival decides.
    """
    if one.key == other.key or _study(one.key) != _study(other.key):
        return False
    mine, theirs = _instances(one), _instances(other)
    if mine == theirs:
        return (not one.interrupted, one.received_at, one.key) > (not other.interrupted, other.received_at, other.key)
    return mine > theirs


def others(results: Path, key: str) -> tuple[StudyOutcome, ...]:
    """The other revisions of a study, the newest first; one whose file is damaged is left out, and the log names it."""
    folders = (each for each in outcomes.folders_of(results, {_study(key)}) if each.name != key)
    return _newest_first(found for folder in folders if (found := _read(folder)) is not None)


def overtaken_by(shipment: Shipment, known: StudyOutcome, family: Iterable[StudyOutcome]) -> str:
    """Key of the newest revision that has sent, or is about to send, what stands for this document; "" for none.

    A newer revision stands for a document where it looked at the same series, or at one of the same images, with the
    same bundle (or does not assign that series any more, and looked at another one), came to an answer, and has an SR
    or the same kind of document on the way to the same destination. One that ended undetermined does not stand for an
    answer, nor does a document that the destination refused: then the older one still has to go.

    Args:
        shipment: What is to be sent; a document of this revision.
        known: Its revision.
        family: Other revisions of the study, the newest first.
    """
    document = next(each for each in known.documents if each.path.name == shipment.document)
    report = next((each for each in known.reports if _made_from(document, each)), None)
    if report is None:
        return ""  # written by a version that did not note the series: nobody can tell what stands for it
    for newer in family:
        if is_newer(newer, known) and _sends(newer, _answers(newer, report), document.kind, shipment.destination):
            return newer.key
    return ""


def replaced_by(report: Report, known: StudyOutcome, family: Iterable[StudyOutcome]) -> tuple[Predecessor, ...]:
    """The reports on earlier revisions that a report stands for, as `overtaken_by` has it, and whose SR was made.

    Args:
        report: Of the revision `known`; its documents need not be there yet.
        known: Its revision, routed.
        family: Other revisions of the study, the newest first.
    """
    return tuple(
        Predecessor(before.revision, before.series_uid, before.stack, before.algorithm.version)
        for older in family
        if is_newer(known, older)
        for before in older.reports
        if _speaks_for(report, before, known) and _has_sr(older, before)
    )


def relations(results: Path, shown: Sequence[StudyOutcome]) -> Mapping[str, Relation]:
    """Where each of `shown` stands among all revisions of its study, by key."""
    have = {outcome.key: outcome for outcome in shown}
    wanted = {_study(key) for key in have}
    families: dict[str, list[StudyOutcome]] = defaultdict(list)
    for folder in outcomes.folders_of(results, wanted):
        outcome = have.get(folder.name) or _read(folder)
        if outcome is not None:
            families[_study(folder.name)].append(outcome)
    found: dict[str, Relation] = {}
    for family in families.values():
        found |= related(family)
    return {key: found.get(key, Relation()) for key in have}


def relation(results: Path, outcome: StudyOutcome) -> Relation:
    """Where one revision stands; see `relations`."""
    return relations(results, [outcome])[outcome.key]


def related(revisions: Sequence[StudyOutcome]) -> dict[str, Relation]:
    """Where each revision of one study stands among these, by key."""
    family = _newest_first(revisions)
    above = {each.key: _superseded_by(each, family) for each in family}
    return {
        each.key: Relation(above[each.key], tuple(key for key, by in above.items() if by == each.key))
        for each in family
    }


def _superseded_by(older: StudyOutcome, family: Sequence[StudyOutcome]) -> str:
    for newer in family:
        if is_newer(newer, older) and newer.reports and all(_answers(newer, report) for report in older.reports):
            return newer.key
    return next((receipt.superseded_by for receipt in older.receipts if receipt.superseded_by), "")


def _answers(newer: StudyOutcome, report: Report) -> tuple[Report, ...]:
    """What the newer revision has to say in the place of an older report, with documents; () where nothing yet."""
    of_bundle = [each for each in newer.reports if each.algorithm.name == report.algorithm.name]
    same = [each for each in of_bundle if not set(each.stacks).isdisjoint(report.stacks)]
    if not same and _assigns(newer, report):
        return ()
    return tuple(
        each
        for each in same or of_bundle
        if (each.determined or not report.determined)
        and any(_made_from(document, each) and not document.problem for document in newer.documents)
    )


def _speaks_for(report: Report, before: Report, known: StudyOutcome) -> bool:
    if report.algorithm.name != before.algorithm.name or (before.determined and not report.determined):
        return False
    return not set(report.stacks).isdisjoint(before.stacks) or not _assigns(known, before)


def _has_sr(outcome: StudyOutcome, report: Report) -> bool:
    return any(
        document.kind is DocumentKind.SR and not document.problem and _made_from(document, report)
        for document in outcome.documents
    )


def _assigns(outcome: StudyOutcome, report: Report) -> bool:
    assignments = outcome.decision.assignments if outcome.decision else ()
    return any(
        each.bundle == report.algorithm.name and not set(each.stacks).isdisjoint(report.stacks) for each in assignments
    )


def _sends(outcome: StudyOutcome, reports: Sequence[Report], kind: DocumentKind, destination: str) -> bool:
    for document in outcome.documents:
        if document.kind not in {kind, DocumentKind.SR} or not any(_made_from(document, each) for each in reports):
            continue
        shipment = Shipment(document.path.name, destination)
        receipt = outcomes.receipt_of(outcome, shipment)
        if shipment in outcome.shipments and (receipt is None or receipt.delivered or receipt.superseded_by):
            return True
    return False


def _made_from(document: Document, report: Report) -> bool:
    of_report = (report.algorithm.name, report.series_uid, report.stack)
    return (document.bundle, document.series_uid, document.stack) == of_report


def _newest_first(family: Iterable[StudyOutcome]) -> tuple[StudyOutcome, ...]:
    return tuple(sorted(family, key=lambda each: (len(_instances(each)), each.received_at, each.key), reverse=True))


def _instances(outcome: StudyOutcome) -> frozenset[str]:
    """Hashes of the SOP Instance UIDs; spooled files are named `<hash of UID>.<digest>.dcm`."""
    return frozenset(name.partition(".")[0] for name in outcome.files)


def _read(folder: Path) -> StudyOutcome | None:
    """One that cannot be read must not hold back the others of its study."""
    try:
        return outcomes.read(folder)
    except Rejected as error:
        log.error("outcome_damaged", study=folder.name[:12], reason=str(error))  # noqa: TRY400  the reason says it all
        return None


def _study(key: str) -> str:
    return key.partition("-")[0]
