"""Is one part of the service well: for the health checks of containers, which ask inside the part's own container."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from pydantic import ValidationError

from app.errors import Rejected
from app.settings import Settings
from app.wellness import EVERYWHERE, Health, Part, sign_age_s
from bundles.common.strict import nearest


def of_listener(settings: Settings) -> Part:
    """Whether the listener of this machine answers."""
    from app.web.health import listener  # DIMSE stays out of the health checks of the others

    here = settings.listener.model_copy(update={"address": ""})
    return listener(settings.model_copy(update={"listener": here}))


def of_worker(settings: Settings) -> Part:
    """Whether the worker with our id beats: it did within the time after which others would take over."""
    age, patience = sign_age_s(settings), settings.worker.takeover_s
    worker = f"worker '{settings.worker.id}'"
    if age is None:
        return Part(ok=False, detail=f"{worker} has not beaten yet; it warms up its networks first, see its log")
    if age > patience:
        return Part(ok=False, detail=f"{worker} did not beat for {age:.0f} s; see its log, and database.url")
    return Part(ok=True, detail=f"{worker} beats")


def of_web(settings: Settings) -> Part:
    """Whether the web side answers at all."""
    found = _ask(settings, "/health/live")
    return _said(settings, found) if found is None else Part(ok=True, detail=f"answers on port {settings.http.port}")


def of_serve(settings: Settings) -> Part:
    """Whether the whole of one process tree is well, by what its web side says."""
    return _said(settings, _ask(settings, "/health"))


def _ask(settings: Settings, path: str) -> Mapping[str, object] | None:
    from app.cli.serve import ask_health

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


def of(role: str, settings: Settings) -> Part:
    """Ask one part of the service whether it is well.

    Raises:
        Rejected: There is no such part.
    """
    if role not in ROLES:
        raise Rejected(f"health: no role '{role}'{nearest(role, list(ROLES))}")
    return ROLES[role](settings)


ROLES: Mapping[str, Callable[[Settings], Part]] = MappingProxyType(
    {"listener": of_listener, "worker": of_worker, "web": of_web, "serve": of_serve}
)
"""What can be asked, by the name of the container's role."""
