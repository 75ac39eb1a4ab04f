"""Peers of the tests on loopback: a web service and an MLLP interface that answer as they are told."""

import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Request:
    """What came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What to answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Heard:
    """A running peer: where it is, and what it heard."""

    port: int
    requests: list[Request] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)


@contextmanager
def web_peer(answer: Callable[[Request], Reply] | Reply, context: ssl.SSLContext | None = None) -> Iterator[Heard]:
    """A web service; each request is answered by `answer`."""

    class Handler(BaseHTTPRequestHandler):
        def setup(self) -> None:
            if context is not None:
                self.request = context.wrap_socket(self.request, server_side=True)
            super().setup()

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            heard.requests.append(Request(self.command, self.path, dict(self.headers), body))
            reply = answer if isinstance(answer, Reply) else answer(heard.requests[-1])
            self.send_response(reply.status, "Jane Doe is not known here")
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_POST = _serve  # noqa: N815  the names are those of http.server

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Broken connections are what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    heard = Heard(server.server_address[1])
    with _serving(server):
        yield heard


Script = Callable[[bytes], list[bytes | float]]
"""Bytes to send and seconds to wait, in order, after a message; then the connection is closed."""


@contextmanager
def mllp_peer(script: Script, context: ssl.SSLContext | None = None) -> Iterator[Heard]:
    """An HL7 interface; takes one message from each connection and answers by `script`."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                connection: socket.socket = self.request
                if context is not None:
                    connection = context.wrap_socket(connection, server_side=True)
                message = _one_message(connection)
                if not message:
                    return
                heard.messages.append(message)
                for step in script(message):
                    if isinstance(step, bytes):
                        connection.sendall(step)
                    elif ended.wait(step):
                        return
                if context is not None:
                    connection.unwrap()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    server, ended = Server(("127.0.0.1", 0), Handler), threading.Event()
    heard = Heard(server.server_address[1])
    try:
        with _serving(server):
            yield heard
    finally:
        ended.set()


def _one_message(connection: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"\x1c\r"):
        part = connection.recv(65_536)
        if not part:
            return b""
        received += part
    assert received.startswith(b"\x0b")
    return received[1:-2]


@contextmanager
def silent_peer() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
