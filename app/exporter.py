"""What each process of the service shows to Prometheus: a port of its own where `metrics.port` says so, and figures of
the process itself. Under `serve` the web side shows the figures of all (`app/web/server.py`).
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, disable_created_metrics, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

from app import __version__, process_metrics
from app.build import commit
from app.errors import Failed
from app.settings import Settings

EVERY_S = 10.0
"""How old the figures of a process may be."""

log = structlog.get_logger()


@contextmanager
def observed(settings: Settings, role: str) -> Iterator[None]:
    """Show the figures of this process while the block runs.

    Args:
        settings: `metrics` says where, if anywhere.
        role: "listener", "worker" or "web".

    Raises:
        Failed: The port is taken.
    """
    options = settings.metrics
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a time for each counter, which nobody asks for
    process_metrics.BUILD_INFO.labels(__version__, commit()).set(1)
    with observing(role):
        if not options.port:
            yield
            return
        try:
            server, thread = start_http_server(options.port, options.host, registry=registry(settings, role))
        except OSError as error:
            raise Failed(
                f"metrics: cannot listen on {options.host}:{options.port} ({error.strerror}); end what holds the port, "
                "or set metrics.port (each process of a host needs its own)"
            ) from error
        log.info("metrics_listening", host=options.host, port=options.port)
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


@contextmanager
def observing(role: str) -> Iterator[None]:
    """Keep the figures of this process up to date while the block runs."""
    stop = Event()
    process_metrics.START_TIME.labels(role).set(started_at())

    def look() -> None:
        while True:
            process_metrics.MEMORY.labels(role).set(resident_bytes())
            if stop.wait(EVERY_S):
                return

    thread = Thread(target=look, name="figures", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def shares_figures(settings: Settings, role: str) -> bool:
    """Whether several processes carry the figures that are shown together, in files of a common folder."""
    return not settings.metrics.port or (role == "listener" and settings.listener.processes > 1)


def registry(settings: Settings, role: str) -> CollectorRegistry:
    """What a process shows: its own figures, or with those that share its folder (`PROMETHEUS_MULTIPROC_DIR`).

    Raises:
        ValueError: Figures are shared, and no folder was named when this process began.
    """
    if not shares_figures(settings, role):
        return REGISTRY
    shared = CollectorRegistry()
    MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    return shared


def resident_bytes() -> int:
    """Memory that this process holds (`/proc`, Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def started_at() -> float:
    """Unix time at which this process began (field 22 of `/proc/self/stat`, ticks since boot)."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    since_boot_s = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - since_boot_s + ticks / os.sysconf("SC_CLK_TCK")
