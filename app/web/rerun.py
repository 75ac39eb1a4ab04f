"""Another analysis of a study, asked for by a page or by the API: the same deed, the same words, written down once."""

from typing import Final

import structlog
from fastapi import HTTPException

from app import reruns
from app.errors import Rejected, Retryable
from app.outcomes import StudyOutcome
from app.settings import Settings
from app.web.begun import only_begun
from app.web.guard import Visitor
from app.web.witness import Witness

RETRY_S: Final = 30

log = structlog.get_logger()


def ask_again(settings: Settings, witness: Witness, visitor: Visitor, outcome: StudyOutcome) -> StudyOutcome:
    """Ask for another run of a revision; a worker begins it within moments.

    Returns:
        The new revision, received.

    Raises:
        HTTPException: 409, it cannot be analysed again or need not be; 503, not at this moment.
    """
    only_begun(outcome)
    log.info("rerun_asked", study=outcome.key[:12], user=visitor.name)
    try:
        asked = reruns.ask(settings, outcome.key)
    except Rejected as error:
        raise HTTPException(409, str(error)) from error
    except Retryable as error:
        raise HTTPException(503, str(error), {"Retry-After": str(RETRY_S)}) from error
    witness.asked_again(visitor, outcome)
    return asked
