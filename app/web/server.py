"""The HTTP side, in a process of its own that never imports torch."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from types import FrameType

import structlog
import uvicorn
from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from app import __version__
from app.audit.trail import Trail
from app.errors import Failed
from app.ready import tell_ready
from app.settings import Settings
from app.supervise import metrics_folder
from app.tls.renewal import WebContext
from app.web.api.document import ADDRESS
from app.web.api.routes import add_api
from app.web.bundles import BundlePages, add_bundles
from app.web.feedback import Feedbacks, add_feedback
from app.web.figures import EVERY_S, Figures
from app.web.gate import Gate
from app.web.guard import Guard
from app.web.health import Knock, Pulse, examine
from app.web.login import add_login
from app.web.recent import Recent
from app.web.sessions import signatures
from app.web.shelf import Shelf
from app.web.static_files import add_static
from app.web.study import add_study
from app.web.system import SystemPages, add_system
from app.web.upload_page import add_upload_page
from app.web.witness import Witness
from app.web.worklist import add_worklist
from app.wellness import Health
from app.workflow_database import beats_of, open_engine
from app.worklist import Watch, Worklist

FASTEST_LOOK_S = 0.5
CERTIFICATES_S = 10.0
LOOK_S, COMPARE_S = 0.25, 5.0
UPLOADS_S = 2.0

log = structlog.get_logger()


def serve(settings: Settings) -> None:
    """Serve HTTP until SIGTERM or SIGINT.

    Raises:
        Failed: The port is taken.
    """
    # uvicorn raises the signal that stopped it once more when it is done; with this, the process then ends with 0.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    listening = bound(settings)
    engine = open_engine(settings.database)
    secure = None if settings.http.tls is None else WebContext(settings.http.tls)
    app = create_app(settings, lambda: dict(beats_of(engine)), look=secure.look if secure else lambda: None)
    options = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        # Who asks is who connects: headers are believed of the proxy in the settings alone (`app.web.guard`).
        proxy_headers=False,
        timeout_graceful_shutdown=5,
    )
    options.load()
    options.ssl = secure.context if secure else None
    trail = Trail(settings.audit)
    try:
        log.info(
            "web_listening", host=settings.http.host, port=listening.getsockname()[1], tls=settings.http.tls is not None
        )
        trail.application("web", starts=True)
        tell_ready()
        with suppress(KeyboardInterrupt):
            _Server(options, app.state.watch).run([listening])
    finally:
        trail.application("web", starts=False)
        listening.close()
        engine.dispose()


class _Server(uvicorn.Server):
    """Ends the streams of open pages as it is stopped: it would wait for them."""

    def __init__(self, options: uvicorn.Config, watch: Watch) -> None:
        super().__init__(options)
        self._watch = watch

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._watch.ended = True
        super().handle_exit(sig, frame)


def bound(settings: Settings) -> socket.socket:
    """A socket that listens on the port of the settings; uvicorn's own would end with code 1 where it is held.

    Raises:
        Failed: The port is taken.
    """
    host, port = settings.http.host, settings.http.port
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise Failed(
            f"web: cannot listen on {host}:{port} ({error.strerror}); end what holds the port, or set http.port"
        ) from error


def create_app(
    settings: Settings, beats: Callable[[], dict[str, int]], look: Callable[[], None] = lambda: None
) -> FastAPI:
    """The application.

    Args:
        settings: Of the installation.
        beats: Reads how often each worker has beaten; see `app.workflow_database.beats_of`.
        look: Called now and then; looks after the certificates.
    """
    pulse = Pulse(beats, settings.worker.takeover_s)
    knock = Knock(settings)
    figures = Figures.of(settings, knock, pulse)
    engine = open_engine(settings.database)
    worklist = Worklist(settings, engine)
    shelf, recent = Shelf(settings), Recent(settings, worklist)
    watch = Watch(worklist)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        often_s = min(settings.worker.heartbeat_s, FASTEST_LOOK_S)
        tasks = [
            asyncio.create_task(_again_and_again(pulse.feel, often_s)),
            asyncio.create_task(_again_and_again(figures.look, EVERY_S)),
            asyncio.create_task(_again_and_again(look, CERTIFICATES_S)),
            asyncio.create_task(_again_and_again(watch.look, LOOK_S)),
            asyncio.create_task(_again_and_again(watch.compare, COMPARE_S)),
            asyncio.create_task(_again_and_again(uploads.sweep, UPLOADS_S)),
        ]
        yield
        watch.ended = True
        for task in tasks:
            task.cancel()
        await asyncio.to_thread(uploads.stop)
        engine.dispose()

    # The interactive pages of FastAPI load scripts from elsewhere; the document describes the API without them.
    app = FastAPI(
        title="Vigil", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=ADDRESS
    )
    guard = Guard.of(settings, signatures(settings.run, settings.http.access.session_hours * 3600))
    witness = Witness(settings, guard)
    _add_operations(app, settings, knock, pulse)
    add_static(app)
    add_login(app, guard, witness.authenticated, witness.refused)
    add_worklist(app, worklist, watch, witness, pulse)
    add_feedback(app, Feedbacks(settings, engine, witness, shelf))
    add_bundles(app, BundlePages(settings, engine, witness, shelf, pulse, recent))
    add_system(app, SystemPages(settings, engine, witness, figures, recent, lambda: _registry(settings)))
    app.state.watch = watch
    add_study(app, settings, witness, pulse)
    add_upload_page(app, settings, witness)
    uploads = add_api(app, settings, worklist, witness, shelf, knock, pulse)
    app.add_middleware(Gate, guard=guard, refused=witness.refused)
    return app


def _add_operations(app: FastAPI, settings: Settings, knock: Knock, pulse: Pulse) -> None:
    @app.get("/health/live", include_in_schema=False)
    def live() -> dict[str, bool]:
        """Answer that this process answers; says nothing else, and needs no log-in."""
        return {"ok": True}

    @app.get("/health", include_in_schema=False)
    def health(response: Response) -> Health:
        """Whether listener, worker, database and disks work; 503 where one does not."""
        found = examine(settings, knock, pulse)
        response.status_code = 200 if found.ok else 503
        return found

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(generate_latest(_registry(settings)), media_type=CONTENT_TYPE_LATEST)


def _registry(settings: Settings) -> CollectorRegistry:
    """The figures of every process of this installation, or, where each shows its own (`metrics.port`), of this one."""
    folder = metrics_folder(settings.run)
    if settings.metrics.port or not folder.is_dir():
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    return registry


async def _again_and_again(look: Callable[[], None], interval_s: float) -> None:
    while True:
        await asyncio.to_thread(look)
        await asyncio.sleep(interval_s)
