"""`serve`: the service as one process tree."""

import json
import signal
import socket
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

from app.settings import PREFIX, Settings
from app.supervise import METRICS_FOLDER, Command, Tree, alone, fresh_metrics_folder

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
    address = f"http://{settings.http.host}:{ports['http']}"
    watch = _Watch(address, time.monotonic())

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
    since: float
    complained: bool = False

    def ready(self) -> bool:
        health = ask_health(self.address)
        if health is not None and health.get("ok"):
            return True
        if not self.complained and time.monotonic() - self.since > COMPLAIN_AFTER_S:
            self.complained = True
            log.warning("not_ready_yet", health=health or "the web side does not answer")
        return False


def ask_health(address: str) -> Mapping[str, object] | None:
    """The answer of `/health`; None where there is none."""
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=ASK_TIMEOUT_S) as answer:  # noqa: S310  our own http
            found = json.load(answer)
    except urllib.error.HTTPError as error:
        found = json.load(error)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _commands(config: Path | None) -> tuple[Command, ...]:
    chosen = ("--config", str(config.resolve())) if config else ()
    return tuple(
        Command(name, (sys.executable, "-m", "app", verb, *chosen))
        for name, verb in (("listener", "listen"), ("worker", "work"), ("web", "web"))
    )
