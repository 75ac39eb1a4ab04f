"""Everything for machines, below /api/v1 and /dicom-web, in one place."""

from fastapi import FastAPI, Request, Response

from app.settings import Settings
from app.web.api.bundles import add_bundles
from app.web.api.document import describe
from app.web.api.problems import add_problems
from app.web.api.replay import add_replay
from app.web.api.rerun import add_rerun
from app.web.api.service import add_service
from app.web.api.studies import add_studies
from app.web.api.uploads import add_uploads
from app.web.dicomweb.routes import add_dicomweb
from app.web.health import Knock, Pulse
from app.web.reader import NOBODY
from app.web.shelf import Shelf
from app.web.told import problem_page
from app.web.uploads import Sessions
from app.web.witness import Witness
from app.worklist import Worklist


def add_api(  # noqa: PLR0917  what an application is made of
    app: FastAPI, settings: Settings, worklist: Worklist, witness: Witness, shelf: Shelf, knock: Knock, pulse: Pulse
) -> Sessions:
    """Add the API, its description, and problems in the place of every error.

    Args:
        app: To it.
        settings: Of the installation.
        worklist: The index of studies.
        witness: Told who saw and sent what.
        shelf: Knows the bundles.
        knock: Asks the listener.
        pulse: Feels the workers.

    Returns:
        The uploads that are open: somebody has to sweep and to stop them.
    """
    add_studies(app, settings, worklist, witness)
    add_replay(app, settings, witness)
    add_rerun(app, settings, witness)
    add_bundles(app, shelf)
    add_service(app, settings, knock, pulse)
    add_dicomweb(app, settings, worklist, witness)
    uploads = add_uploads(app, settings, witness)

    def page_of(request: Request, status: int, detail: str) -> Response:
        visitor = getattr(request.state, "visitor", None)
        reader = NOBODY if visitor is None else witness.reader(visitor)
        return problem_page(request, reader, status, detail)

    add_problems(app, page_of)
    describe(app)
    return uploads
