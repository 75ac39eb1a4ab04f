"""A connection to a peer, plain or by TLS, bounded in time; failures told apart."""

import socket
from contextlib import closing

from app.errors import Retryable
from app.tls.client import about_ours, client_context, refusal
from app.tls.settings import Tls

LISTEN_S = 0.5
"""TLS 1.3 tells only after the handshake that a certificate of ours was wanted: so long the answer is listened for."""


def connect(host: str, port: int, tls: Tls | None, timeout_s: float, who: str) -> socket.socket:
    """Open a connection, by TLS where `tls` is given.

    Raises:
        Retryable: Nobody answers, or breaks off.
        Rejected: The certificates do not fit, or a file of ours is missing.
    """
    context = None if tls is None else client_context(tls, who)
    try:
        plain = socket.create_connection((host, port), timeout=timeout_s)
    except (OSError, UnicodeError) as error:
        raise Retryable(f"{who}: no connection; is it running, and are host and port right?") from error
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return plain if context is None else context.wrap_socket(plain, server_hostname=host)
    except OSError as error:
        plain.close()
        raise refusal(error, tls, who) or broken_off(error, tls, who) from error


def knock(host: str, port: int, tls: Tls | None, timeout_s: float, who: str) -> None:
    """Connect, send nothing, listen for a moment, and leave; see `connect` for what is raised."""
    with closing(connect(host, port, tls, timeout_s, who)) as connection:
        connection.settimeout(min(LISTEN_S, timeout_s))
        try:
            silent = bool(connection.recv(1))
        except TimeoutError:
            return
        except OSError as error:
            raise refusal(error, tls, who) or broken_off(error, tls, who) from error
    if not silent:
        raise Retryable(f"{who}: it takes the connection and closes it at once")


def broken_off(error: OSError, tls: Tls | None, who: str) -> Retryable:
    """What to say of a connection that was there."""
    if isinstance(error, TimeoutError):
        return Retryable(f"{who}: no answer in time{'' if tls is None else '; does it speak TLS on this port?'}")
    return Retryable(f"{who}: the connection was lost{'' if tls is None else f'; {about_ours(tls)}?'}")
