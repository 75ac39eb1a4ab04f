"""Analyse a study once more: POST /api/v1/studies/{key}/rerun, for operators."""

from fastapi import APIRouter, FastAPI, Response

from app.revisions import relation
from app.settings import Settings
from app.web.api.parameters import ONLY_KNOWN
from app.web.api.problems import errors_of
from app.web.api.studies import KeyOrUid, known_study
from app.web.login import CurrentVisitor
from app.web.models import StudySummary
from app.web.rerun import ask_again
from app.web.witness import Witness


def add_rerun(app: FastAPI, settings: Settings, witness: Witness) -> None:
    """Add the route."""
    router = APIRouter(prefix="/api/v1", tags=["studies"], dependencies=ONLY_KNOWN)

    @router.post("/studies/{key}/rerun", status_code=202, responses=errors_of(404, 409, 503))
    def analyse_again(key: KeyOrUid, visitor: CurrentVisitor, response: Response) -> StudySummary:
        """Analyse the images of a finished study once more, for operators; without a body.

        The answer is the new revision, on its way; `Location` names it. Its documents have UIDs of their own, name
        those that they stand for, and supersede them. A revision that is not finished or not the newest, or whose
        images were removed, is a conflict; of two who ask at once the second is told so.
        """
        asked = ask_again(settings, witness, visitor, known_study(settings, key))
        response.headers["Location"] = f"/api/v1/studies/{asked.key}"
        return StudySummary.of(asked, relation(settings.results, asked))

    app.router.routes.extend(router.routes)
