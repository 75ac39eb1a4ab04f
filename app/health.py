"""Is one part of the service well: for the health checks of containers, which ask inside the part's own container."""

import http.client
import json
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

from sqlalchemy.exc import SQLAlchemyError

from app.settings import Settings
from app.web.health import EVERYWHERE, listener
from app.web.models import Part

ASK_TIMEOUT_S = 5.0
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
    status, _ = _get(settings, "/health/live")
    return Part(ok=status == http.client.OK, detail=_answered(settings, status))


def of_serve(settings: Settings) -> Part:
    """Whether the whole of one process tree is well, by what its web side says."""
    status, body = _get(settings, "/health")
    return Part(ok=status == http.client.OK, detail=_ill(body) or _answered(settings, status))


def _get(settings: Settings, path: str) -> tuple[int, bytes]:
    """Status and body of an answer of our own web side; 0 where there is none."""
    host = EVERYWHERE.get(settings.http.host, settings.http.host)
    connection = http.client.HTTPConnection(host, settings.http.port, timeout=ASK_TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()


def _answered(settings: Settings, status: int) -> str:
    where = f"the web side on port {settings.http.port}"
    return f"{where} answers with {status}" if status else f"{where} does not answer; see its log"


def _ill(body: bytes) -> str:
    """The parts that are not well, in words; "" where all are, or nothing legible was said."""
    try:
        parts = json.loads(body)["parts"]
        return "; ".join(f"{name}: {part['detail']}" for name, part in parts.items() if not part["ok"])
    except (ValueError, TypeError, KeyError):
        return ""


ROLES: Mapping[str, Callable[[Settings], Part]] = MappingProxyType(
    {"listener": of_listener, "worker": of_worker, "web": of_web, "serve": of_serve}
)
"""What can be asked, by the name of the container's role."""
