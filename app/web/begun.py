"""What can only be done with a study that a worker has begun."""

from typing import Final

from fastapi import HTTPException

from app.arrivals import is_arrival
from app.outcomes import StudyOutcome

NOT_YET: Final = "no worker has begun this study yet; wait until it is finished"


def only_begun(outcome: StudyOutcome) -> StudyOutcome:
    """The same revision.

    Raises:
        HTTPException: 409, it is what has come of a study that no worker has begun.
    """
    if is_arrival(outcome.key):
        raise HTTPException(409, NOT_YET)
    return outcome
