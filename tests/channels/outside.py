"""The other side of each channel on loopback, able to behave badly in every way that the contract names."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from app.core.mail import MailServer

Behaviour = Callable[[socket.socket], None]


class RawServer:
    """Accepts connections and does to each what `behave` says."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.connections = 0
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(20)
            self.behave(connection)

    def read_request(self, connection: socket.socket) -> bytes:
        """Headers and body of an HTTP request."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
        while len(body) < length:
            body += connection.recv(65536)
        self.requests.append(head + b"\r\n\r\n" + body)
        return body

    def answers(self, status: int, body: bytes = b"ok", **headers: str) -> None:
        """From now on answer HTTP requests so."""
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
        self.answers_bytes("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def answers_bytes(self, answer: bytes) -> None:
        def behave(connection: socket.socket) -> None:
            self.read_request(connection)
            connection.sendall(answer)

        self.behave = behave


def silent(connection: socket.socket) -> None:
    """Take everything, say nothing."""
    while connection.recv(65536):
        pass


def dripping(connection: socket.socket) -> None:
    """A byte now and then, never a whole line."""
    while True:
        connection.sendall(b"2")
        threading.Event().wait(0.05)


def resetting(connection: socket.socket) -> None:
    """Break off hard as soon as something comes."""
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Outside(Protocol):
    """What the contract test needs of a channel's other side."""

    address: dict[str, str]
    mail_server: MailServer | None
    received: list[str]

    def does(self, behaviour: str) -> bool:
        """Behave so from now on; False when this kind of receiver cannot."""
        ...


class HttpOutside:
    """An HTTP receiver."""

    mail_server = None

    def __init__(self, server: RawServer) -> None:
        self._server = server
        self.address = {"url": f"http://127.0.0.1:{server.port}/hooks/path-that-is-secret?token=token-that-is-secret", "secret": "hmac-that-is-secret"}

    @property
    def received(self) -> list[str]:
        return [request.decode() for request in self._server.requests]

    def does(self, behaviour: str) -> bool:
        server = self._server
        echo = b"you sent token-that-is-secret to /hooks/path-that-is-secret with hmac-that-is-secret"
        plain: dict[str, Callable[[], None]] = {
            "taken": lambda: server.answers(200, echo),
            "refuses": lambda: server.answers(404, echo),
            "is busy": lambda: server.answers(429, echo, Retry_After="7"),
            "fails": lambda: server.answers(503, echo),
            "redirects to a private address": lambda: server.answers(302, echo, Location=f"http://127.0.0.2:{server.port}/"),
            "answers without end": lambda: server.answers(200, b"x" * 10_000_000),
        }
        raw = {"is silent": silent, "drips": dripping, "breaks off": resetting}
        if behaviour in raw:
            server.behave = raw[behaviour]
        else:
            plain[behaviour]()
        return True


class MailOutside:
    """A real SMTP server, or something that is none at its port."""

    def __init__(self, smtp_port: int, handler: MailHandler, server: RawServer) -> None:
        self._smtp_port = smtp_port
        self._handler = handler
        self._server = server
        self.address = {"email": "ann@example.com"}
        self.mail_server: MailServer | None = None

    @property
    def received(self) -> list[str]:
        return self._handler.received

    def does(self, behaviour: str) -> bool:
        raw: dict[str, Behaviour] = {
            "is silent": silent,
            "drips": dripping,
            "breaks off": lambda connection: (connection.sendall(b"220 hello\r\n"), resetting(connection))[1],
            "answers without end": lambda connection: connection.sendall(b"220 " + b"x" * 10_000_000 + b"\r\n"),
        }
        said = {"taken": "", "refuses": "550 5.1.1 no such mailbox", "is busy": "451 4.7.1 greylisted, try later", "fails": "421 4.3.2 shutting down"}
        if behaviour == "redirects to a private address":
            return False
        if behaviour in raw:
            self._server.behave = raw[behaviour]
        else:
            self._handler.refusal = said[behaviour]
        port = self._server.port if behaviour in raw else self._smtp_port
        self.mail_server = MailServer("127.0.0.1", port, sender="Tocsin <tocsin@hub.example>", tls="none")
        return True


class MailHandler:
    """aiosmtpd's handler."""

    def __init__(self) -> None:
        self.refusal = ""
        self.received: list[str] = []
        self.envelopes: list[Envelope] = []
        self.secured: list[bool] = []

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]) -> str:  # noqa: N802 - aiosmtpd's name
        if self.refusal:
            return self.refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        self.received.append((envelope.original_content or b"").decode())
        self.envelopes.append(envelope)
        self.secured.append(session.ssl is not None)
        return "250 queued as 4711"


class Listening(Controller):
    """aiosmtpd on a port of the system's choice."""

    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def mail_listening(handler: MailHandler, *, tls: ssl.SSLContext | None = None, implicit: bool = False, login: tuple[str, str] | None = None) -> Iterator[int]:
    """A running SMTP server; its port."""

    def authenticate(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: LoginPassword) -> AuthResult:
        is_right = login is not None and (data.login.decode(), data.password.decode()) == login
        return AuthResult(success=is_right, handled=False)

    options: dict[str, object] = {}
    if tls is not None and not implicit:
        options["tls_context"] = tls
        options["require_starttls"] = True
    if login is not None:
        options |= {"authenticator": authenticate, "auth_required": True, "auth_require_tls": not implicit}
    controller = Listening(handler, hostname="127.0.0.1", port=0, ssl_context=tls if implicit else None, **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()
