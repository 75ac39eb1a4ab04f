"""/api/v1/health: the same as /health, as a part of the API."""

from fastapi import APIRouter, FastAPI, Response

from app.settings import Settings
from app.web.api.parameters import ONLY_KNOWN
from app.web.api.problems import errors_of
from app.web.health import Knock, Pulse, examine
from app.wellness import Health


def add_service(app: FastAPI, settings: Settings, knock: Knock, pulse: Pulse) -> None:
    """Add the route."""
    router = APIRouter(prefix="/api/v1", tags=["service"], dependencies=ONLY_KNOWN)

    @router.get("/health", responses={**errors_of(), 503: {"model": Health, "description": "A part does not work"}})
    def health(response: Response) -> Health:
        """Whether listener, worker, database and disks work; 503 where one does not."""
        found = examine(settings, knock, pulse)
        response.status_code = 200 if found.ok else 503
        return found

    app.router.routes.extend(router.routes)
