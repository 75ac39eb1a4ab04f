"""Everything below /api/v1, in one place."""

from fastapi import FastAPI

from app.settings import Settings
from app.web.api.bundles import add_bundles
from app.web.api.document import describe
from app.web.api.problems import add_problems
from app.web.api.replay import add_replay
from app.web.api.service import add_service
from app.web.api.studies import add_studies
from app.web.health import Knock, Pulse
from app.web.witness import Witness


def add_api(app: FastAPI, settings: Settings, witness: Witness, knock: Knock, pulse: Pulse) -> None:
    """Add the API, its description, and problems in the place of every error.

    Args:
        app: To it.
        settings: Of the installation.
        witness: Told who saw and sent what.
        knock: Asks the listener.
        pulse: Feels the workers.
    """
    add_studies(app, settings, witness)
    add_replay(app, settings, witness)
    add_bundles(app, settings)
    add_service(app, settings, knock, pulse)
    add_problems(app)
    describe(app)
