"""What a worker, and the command line, tell the audit trail: whose documents went where, what is to be redone."""

import getpass
from collections.abc import Sequence

from app.audit.messages import StudyObject
from app.audit.patients import patient_id_of
from app.audit.settings import Audit
from app.audit.trail import Trail
from app.documents import Receipt, Waiting
from app.outcomes import StudyOutcome
from app.outcomes import study as study_of
from app.settings import Settings


def tell_sent(options: Audit, known: StudyOutcome, found: Receipt | Waiting) -> None:
    """Tell how a delivery ended; one that waits is told of when it has ended."""
    if not options.is_on or not isinstance(found, Receipt):
        return
    problem = "" if found.delivered else found.detail
    study = StudyObject(known.study_uid, patient_id_of(known))
    Trail(options).sent(found.destination, study, problem=problem)


def tell_replayed(settings: Settings, key_or_uid: str, receipts: Sequence[Receipt]) -> None:
    """Tell that somebody at the command line has sent documents again: as whom they are known to the system."""
    known = study_of(settings, key_or_uid) if settings.audit.is_on else None
    if known is None:
        return
    study = StudyObject(known.study_uid, patient_id_of(known))
    for receipt in receipts:
        problem = "" if receipt.delivered else receipt.detail
        Trail(settings.audit).sent(receipt.destination, study, problem=problem, user=_user())


def tell_asked_again(settings: Settings, known: StudyOutcome) -> None:
    """Tell that somebody at the command line wants a study analysed once more: as whom they are known to the system."""
    if settings.audit.is_on:
        study = StudyObject(known.study_uid, patient_id_of(known))
        Trail(settings.audit).analysed_again(_user(), "", study)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "command line"
