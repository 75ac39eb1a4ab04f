"""`serve`: the service as one process tree."""

import json
import signal
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import structlog
import typer

from app.errors import AppError
from app.settings import PREFIX, Settings
from app.supervise import METRICS_FOLDER, Command, Tree, alone, fresh_metrics_folder
from app.tls.client import client_context
from app.tls.settings import Tls
from app.web.sessions import signatures

ASK_TIMEOUT_S = 5.0
COMPLAIN_AFTER_S = 60.0
READY = "vigil ready"

log = structlog.get_logger()


def serve(settings: Settings, config: Path | None) -> int:
    """Run listener, worker and web side until SIGTERM or SIGINT.

    Prints one line to standard output when the whole service works: each of its own children has told so, and `/health`
    agrees.

    Returns:
        The exit code: 0 after a clean stop, 1 if a child had to be killed, 2 if one could not start at all.

    Raises:
        Failed: A service runs already on these settings.
    """
    with alone(settings.run):
        return _run(settings, config)


def _run(settings: Settings, config: Path | None) -> int:
    ports = {
        "listener": settings.listener.port or free_port(settings.listener.host),
        "http": settings.http.port or free_port(settings.http.host),
    }
    environment = {
        METRICS_FOLDER: str(fresh_metrics_folder(settings.run)),
        f"{PREFIX}METRICS__PORT": "0",  # one tree, one /metrics: that of the web side
        **{f"{PREFIX}{section.upper()}__PORT": str(port) for section, port in ports.items()},
    }
    scheme = "http" if settings.http.tls is None else "https"
    address = f"{scheme}://{settings.http.host}:{ports['http']}"
    watch = _Watch(address, settings, time.monotonic())

    def tell() -> None:
        typer.echo(
            f"{READY}: DICOM {settings.listener.ae_title} on {settings.listener.host}:{ports['listener']}, {address}"
        )
        sys.stdout.flush()

    return Tree(_commands(config), environment, ready=watch.ready, on_ready=tell).run()


def stop_on_signals() -> Event:
    """An event that SIGTERM and SIGINT set."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def free_port(host: str) -> int:
    """A port that nobody listens on now, for settings that say 0."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class _Watch:
    """Asks the web side for the health of the whole, and complains once if that takes long."""

    address: str
    settings: Settings
    since: float
    complained: bool = False

    def ready(self) -> bool:
        health = ask_health(self.address, self.settings)
        if health is not None and health.get("ok"):
            return True
        if not self.complained and time.monotonic() - self.since > COMPLAIN_AFTER_S:
            self.complained = True
            log.warning("not_ready_yet", health=health or "the web side does not answer")
        return False


def ask_health(address: str, settings: Settings | None = None, path: str = "/health") -> Mapping[str, object] | None:
    """The answer of `/health` (or `/health/live`); None where there is none.

    Args:
        address: Of the HTTP side, "https://127.0.0.1:8443".
        settings: Of the installation, where it asks for a log-in, or speaks HTTPS: its own certificate is believed.
        path: What to ask for.
    """
    try:
        request = urllib.request.Request(f"{address}{path}")  # noqa: S310  our own address
        context = None if settings is None else _known_to_us(request, settings)
        with urllib.request.urlopen(request, timeout=ASK_TIMEOUT_S, context=context) as answer:  # noqa: S310
            found = json.load(answer)
    except urllib.error.HTTPError as error:
        try:
            found = json.load(error)
        except ValueError:
            return None
    except (OSError, ValueError, AppError):
        return None
    return found if isinstance(found, dict) else None


def _known_to_us(request: urllib.request.Request, settings: Settings) -> ssl.SSLContext | None:
    """Ask as a process of this installation; gives what HTTPS to ourselves needs."""
    request.add_header("Authorization", f"Bearer {signatures(settings.run).internal_pass()}")
    if settings.http.tls is None:
        return None
    own = Tls(ca_file=settings.http.tls.certificate_file, check_host_name=False)
    return client_context(own, "our own HTTP side")


def _commands(config: Path | None) -> tuple[Command, ...]:
    chosen = ("--config", str(config.resolve())) if config else ()
    return tuple(
        Command(name, (sys.executable, "-m", "app", verb, *chosen))
        for name, verb in (("listener", "listen"), ("worker", "work"), ("web", "web"))
    )
