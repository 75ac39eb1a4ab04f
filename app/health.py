"""Is one part of the service well: for the health checks of containers, which ask inside the part's own container."""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from app.cli.serve import ask_health
from app.settings import Settings
from app.web.health import EVERYWHERE, listener
from app.web.models import Health, Part

GLANCE_S = 0.5


def of_listener(settings: Settings) -> Part:
    """Whether the listener of this machine answers."""
    here = settings.listener.model_copy(update={"address": ""})
    return listener(settings.model_copy(update={"listener": here}))


def of_worker(settings: Settings) -> Part:
    """Whether the worker with our id beats: its count goes on within the time after which others would take over."""
    from app.workflow_database import beats_of, open_engine

    engine = open_engine(settings.database)
    try:
        return _beating(lambda: beats_of(engine), settings.worker.id, settings.worker.takeover_s)
    except SQLAlchemyError as error:
        return Part(ok=False, detail=f"the database does not answer ({type(error).__name__}); see database.url")
    finally:
        engine.dispose()


def _beating(beats: Callable[[], Mapping[str, int]], worker: str, patience_s: float) -> Part:
    first = beats().get(worker)
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        time.sleep(GLANCE_S)
        count = beats().get(worker)
        # A row that comes is a beat too; one that goes is a worker that stops.
        if count is not None and count != first:
            return Part(ok=True, detail=f"worker '{worker}' beats")
    never = "; it warms up its networks before the first" if first is None else ""
    return Part(ok=False, detail=f"worker '{worker}' did not beat for {patience_s:.0f} s{never}; see its log")


def of_web(settings: Settings) -> Part:
    """Whether the web side answers at all."""
    found = _ask(settings, "/health/live")
    return _said(settings, found) if found is None else Part(ok=True, detail=f"answers on port {settings.http.port}")


def of_serve(settings: Settings) -> Part:
    """Whether the whole of one process tree is well, by what its web side says."""
    return _said(settings, _ask(settings, "/health"))


def _ask(settings: Settings, path: str) -> Mapping[str, object] | None:
    scheme = "http" if settings.http.tls is None else "https"
    host = EVERYWHERE.get(settings.http.host, settings.http.host)
    return ask_health(f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.http.port}", settings, path)


def _said(settings: Settings, found: Mapping[str, object] | None) -> Part:
    """What the web side says of the whole."""
    if found is None:
        return Part(ok=False, detail=f"the web side on port {settings.http.port} does not answer; see its log")
    try:
        health = Health.model_validate(found)
    except ValidationError:
        return Part(ok=False, detail=f"what answers on port {settings.http.port} is not the web side; see http.port")
    ill = "; ".join(f"{name}: {part.detail}" for name, part in health.parts.items() if not part.ok)
    return Part(ok=health.ok, detail=ill or "every part works")


ROLES: Mapping[str, Callable[[Settings], Part]] = MappingProxyType(
    {"listener": of_listener, "worker": of_worker, "web": of_web, "serve": of_serve}
)
"""What can be asked, by the name of the container's role."""
