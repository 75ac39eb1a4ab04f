"""Can this configuration work? Every part is tried for real; each problem comes with what to do."""

import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError

from app.access import is_loopback
from app.deliver import echo
from app.deliver.connection import knock
from app.deliver.web import Web
from app.destinations import Destination, DicomDestination
from app.documents import DocumentKind
from app.errors import AppError, Retryable
from app.infer.catalogue import Catalogue
from app.route import Problems, Router
from app.settings import Settings, load
from app.tls.certificates import of_file
from app.tls.renewal import WebContext, listener_context
from app.tls.settings import KeyPair
from app.tokens import read as read_tokens
from app.web.health import free_mb, too_full
from app.workflow_database import beats_of, open_engine, unreachable


class State(StrEnum):
    """`warning` does not stand in the way of the service's work; `error` does, of all of it or of a part."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Result:
    """One thing that was tried.

    Attributes:
        what: "listener port", "bundle head_ct".
        state: How it went.
        detail: What was seen; with a problem, what to do.
    """

    what: str
    state: State
    detail: str


def examine(config: Path | None) -> tuple[Result, ...]:
    """Try everything that the service needs. Never raises for a wrong configuration."""
    where = str(config or "the defaults")
    try:
        settings = load(config)
    except AppError as error:
        return (Result("settings", State.ERROR, str(error)),)
    results = [Result("settings", State.OK, f"{where} is understood")]
    for part in PARTS:
        results += part(settings)
    return tuple(results)


def check_bundles(settings: Settings) -> Iterator[Result]:
    """Every bundle's files, contract and hash, then the rules over them."""
    catalogue = Catalogue.load(settings.bundles)
    for name, bundle in catalogue.bundles.items():
        research = ", research only" if bundle.algorithm.research_only else ""
        weights = (
            "weights as recorded" if bundle.model_zoo is None else "Model Zoo: weights not built yet, of no record"
        )
        yield Result(f"bundle {name}", State.OK, f"version {bundle.algorithm.version}, {weights}{research}")
    for refused in catalogue.refused:
        yield Result(f"bundle {refused.name}", State.ERROR, refused.reason)
    for left_out in catalogue.not_served:
        yield Result(f"bundle {left_out.name}", State.OK, f"not served: {left_out.reason}")
    if not catalogue.bundles and not catalogue.refused:
        yield Result("bundles", State.ERROR, f"no bundle lies in {settings.bundles.folder}; set bundles.folder")
    try:
        router = Router.load(catalogue.services, settings.routes)
    except Problems as error:
        yield from (Result("routes", State.ERROR, problem) for problem in error.problems)
    else:
        rules = router.rules
        if router.looks_at_pictures and catalogue.views is None:
            words = "rules ask what a picture shows, but no bundle tells views apart: such conditions hold for nothing"
            yield Result("views", State.WARNING, words)
        number = "1 rule" if len(rules) == 1 else f"{len(rules)} rules"
        yield Result("routes", State.OK, f"{number}: {', '.join(rule.name for rule in rules)}")


def check_folders(settings: Settings) -> Iterator[Result]:
    """Whether spool, results and run folder can be written, and the disk of the spool has room."""
    folders = {"spool": settings.spool.folder, "results": settings.results, "run": settings.run}
    for name, folder in folders.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            yield Result(f"{name} folder", State.ERROR, f"{folder}: {error.strerror}; see its owner and mode")
            continue
        yield Result(f"{name} folder", State.OK, f"{folder} can be written, {free_mb(folder)} MB free")
    free = free_mb(settings.spool.folder) if settings.spool.folder.is_dir() else 0
    if free <= settings.spool.min_free_mb:
        yield Result("disk", State.ERROR, too_full(free, settings.spool.min_free_mb))


def check_fonts(settings: Settings) -> Iterator[Result]:
    """Of the page of paper, where a destination wants it."""
    if not any(DocumentKind.PDF in destination.documents for destination in settings.destinations):
        return
    from app.report.page import BOLD, EAST_ASIAN, MISSING, REGULAR, font

    if font(REGULAR) is None or font(BOLD) is None:
        yield Result("fonts", State.ERROR, MISSING)
    elif font(EAST_ASIAN) is None:
        words = "names in Chinese, Japanese and Korean stand as boxes on pages; install fonts-droid-fallback"
        yield Result("fonts", State.WARNING, words)
    else:
        yield Result("fonts", State.OK, "of pages of paper: there")


def check_database(settings: Settings) -> Iterator[Result]:
    """Whether the workflow database answers."""
    try:
        engine = open_engine(settings.database)
        try:
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
            workers = beats_of(engine)
        finally:
            engine.dispose()
    except AppError as error:
        yield Result("database", State.ERROR, str(error))
    except OperationalError as error:
        yield Result("database", State.ERROR, str(unreachable(engine.url, error)))
    except (SQLAlchemyError, ArgumentError, OSError) as error:
        words = f"{type(error).__name__}; start the server, or see database.url (sqlite:///FILE or postgresql://…)"
        yield Result("database", State.ERROR, words)
    else:
        yield Result("database", State.OK, f"answers; workers known: {', '.join(sorted(workers)) or 'none'}")


def check_ports(settings: Settings) -> Iterator[Result]:
    """Whether the two ports can be bound. Held ports are a warning: the service may be running already."""
    for what, host, port in (
        ("listener port", settings.listener.host, settings.listener.port),
        ("http port", settings.http.host, settings.http.port),
    ):
        try:
            _bind(host, port)
        except OSError as error:
            words = f"{host}:{port}: {error.strerror}; this service itself, or end what holds it"
            yield Result(what, State.WARNING, words)
        else:
            yield Result(what, State.OK, f"{host}:{port} is free" if port else "a free one is taken at start")
    if not settings.listener.peers:
        words = "everyone may send; set listener.peers to close the door"
        yield Result("allowed senders", State.WARNING, words)


def check_certificates(settings: Settings) -> Iterator[Result]:
    """Our own certificates: whether they can be used, and until when."""
    tls = settings.listener.tls
    if tls is not None:
        yield from _certificate("listener certificate", tls, lambda: listener_context(tls))
        if tls.knock is not None:
            yield from _certificate("certificate of the health check", tls.knock, lambda: None)
    pair = settings.http.tls
    if pair is not None:
        yield from _certificate("web certificate", pair, lambda: WebContext(pair))
    for destination in settings.destinations:
        ours = None if destination.tls is None else destination.tls.pair
        if ours is not None:
            yield from _certificate(f"certificate for {destination.name}", ours, lambda: None)


def check_access(settings: Settings) -> Iterator[Result]:
    """Who may use the HTTP side, and how safely they log in."""
    http = settings.http
    near = is_loopback(http.published or http.host)
    if http.access.tokens_file is not None:
        try:
            tokens = read_tokens(http.access.tokens_file)
        except AppError as error:
            yield Result("access tokens", State.ERROR, str(error))
        else:
            words = f"{len(tokens)} in {http.access.tokens_file}"
            state = State.OK if tokens or http.access.proxy else State.WARNING
            yield Result("access tokens", state, words if tokens else f"{words}: nobody can log in by token")
    if http.access.is_set and http.tls is None and http.access.proxy is None and not near:
        words = (
            f"tokens and patients' names come to {http.published or http.host} unencrypted; set http.tls (containers: "
            "deploy/setup --tls), or keep the port to this machine and a proxy that speaks HTTPS"
        )
        yield Result("web log-in", State.WARNING, words)
    if http.access.anonymous == "viewer" and not near:
        yield Result(
            "web log-in", State.WARNING, "everybody who reaches the port may see studies: http.access.anonymous"
        )


def check_audit(settings: Settings) -> Iterator[Result]:
    """Whether the audit trail can be written."""
    audit = settings.audit
    if not audit.is_on:
        yield Result("audit trail", State.WARNING, "none: set audit.file or audit.syslog to know who saw and sent what")
        return
    if audit.file is not None:
        try:
            audit.file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=audit.file.parent):
                pass
        except OSError as error:
            yield Result("audit trail", State.ERROR, f"{audit.file}: {error.strerror}; see its owner and mode")
        else:
            yield Result("audit trail", State.OK, f"{audit.file} can be written")
    if audit.syslog is not None and audit.syslog.tls is None:
        words = f"goes to {audit.syslog.host} by UDP: unencrypted, and lost without a word where nobody listens"
        yield Result("audit syslog", State.WARNING, words)
    elif audit.syslog is not None:
        try:
            knock(audit.syslog.host, audit.syslog.port, audit.syslog.tls, audit.syslog.timeout_s, "audit.syslog")
        except AppError as error:
            yield Result("audit syslog", State.WARNING, str(error))
        else:
            yield Result(
                "audit syslog", State.OK, f"{audit.syslog.host}:{audit.syslog.port} takes connections over TLS"
            )


def _certificate(what: str, pair: KeyPair, attempt: Callable[[], object]) -> Iterator[Result]:
    try:
        attempt()
        facts = of_file(pair.certificate_file, what)
    except AppError as error:
        yield Result(what, State.ERROR, str(error))
        return
    warning = facts.warning()
    state = State.ERROR if facts.expired() else State.WARNING if warning else State.OK
    until = f"is valid until {datetime.fromtimestamp(facts.not_after, UTC):%Y-%m-%d}"
    yield Result(what, state, f"{pair.certificate_file} {warning or until}")


def check_destinations(settings: Settings) -> Iterator[Result]:
    """Ask every destination. One that is down is a warning: the service starts, and delivers when it is back."""
    if not settings.destinations:
        yield Result("destinations", State.WARNING, "none: results stay in the results folder")
    for destination in settings.destinations:
        what = f"destination {destination.name}"
        barred = _cannot_call_back(settings, destination)
        if barred:
            yield Result(what, State.ERROR, barred)
        if _in_the_clear(destination):
            words = "its token and the documents go there unencrypted; give an address that begins with https"
            yield Result(what, State.WARNING, words)
        try:
            answer = echo(destination)
        except Retryable as error:
            words = str(error).removesuffix(".")
            yield Result(what, State.WARNING, f"{words}{'' if words.endswith('?') else '.'} {_meanwhile(destination)}")
        except AppError as error:
            yield Result(what, State.ERROR, str(error))
        else:
            yield Result(what, State.OK, answer)


def _cannot_call_back(settings: Settings, destination: Destination) -> str:
    """Why a destination cannot bring its storage commitments to our listener, in words; "" where it can."""
    if not isinstance(destination, DicomDestination) or destination.commitment is None:
        return ""
    allowed = [peer.ae_title for peer in settings.listener.peers]
    if not allowed or destination.ae_title in allowed:
        return ""
    return (
        f"{destination.ae_title} has to call our listener to say that it commits to storage, and is not among "
        "listener.peers; add it there"
    )


def _in_the_clear(destination: Destination) -> bool:
    """Whether a secret leaves this machine for everybody on the way to read."""
    if not isinstance(destination, Web) or destination.token_file is None or destination.url.scheme == "https":
        return False
    return destination.url.host not in {"localhost", "127.0.0.1", "[::1]"}


def _meanwhile(destination: Destination) -> str:
    times = "once" if destination.attempts == 1 else f"{destination.attempts} times, with growing pauses"
    return f"The service starts without it: each document is tried {times}, and later by hand with `replay`."


def _bind(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


PARTS: tuple[Callable[[Settings], Iterator[Result]], ...] = (
    check_bundles,
    check_folders,
    check_fonts,
    check_database,
    check_ports,
    check_certificates,
    check_access,
    check_audit,
    check_destinations,
)
