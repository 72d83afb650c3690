"""The other side of the ways out: an HTTP receiver and a mail server, both real and on loopback."""

from __future__ import annotations

import email
import email.policy
import json
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass(frozen=True)
class Page:
    """One message that somebody got."""

    to: str
    text: str
    """All that a reader sees: subject and text of a mail, the body of a webhook."""
    headers: dict[str, str]
    """Lower-case names."""
    body: Any = None
    """The JSON that a webhook was sent, when it is JSON."""
    subject: str = ""

    def __str__(self) -> str:
        return f"to {self.to}: {self.text[:300]!r}"


@dataclass(frozen=True)
class Answer:
    """How a receiver answers the next request."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: str = "ok"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    """The usual 5 breaks connections off when many come at once."""


class HttpReceiver:
    """Takes any request; what was sent to `/ann` is in `pages["ann"]`."""

    def __init__(self) -> None:
        self.pages: dict[str, list[Page]] = defaultdict(list)
        self.answers: dict[str, list[Answer]] = defaultdict(list)
        """What each path answers next, in order; then 200."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                answer = receiver._take(urlsplit(self.path).path.strip("/"), dict(self.headers), body)
                self.send_response(answer.status)
                payload = answer.body.encode()
                for name, value in {"Content-Length": str(len(payload)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_PUT = do_DELETE = do_POST  # noqa: N815 - http.server's names

            def log_message(self, *_args: Any) -> None:
                """Say nothing."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self._lock = threading.Lock()

    def url(self, name: str) -> str:
        """The address that belongs to a name."""
        return f"http://127.0.0.1:{self._server.server_port}/{name}"

    def clear(self) -> None:
        """Forget everything."""
        self.pages.clear()
        self.answers.clear()

    def stop(self) -> None:
        """Listen no longer."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, name: str, headers: dict[str, str], body: bytes) -> Answer:
        try:
            parsed = json.loads(body)
        except ValueError:
            parsed = None
        text = json.dumps(parsed, ensure_ascii=False) if parsed is not None else body.decode("utf-8", "replace")
        page = Page(name, text, {key.lower(): value for key, value in headers.items()}, parsed)
        with self._lock:
            waiting = self.answers[name]
            answer = waiting.pop(0) if waiting else Answer()
            self.pages[name].append(page)
        return answer


class _OnFreePort(Controller):
    """Listens on a port that the kernel chooses."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


class MailServer:
    """A real SMTP server; what was sent to ann@example.com is in `pages["ann@example.com"]`."""

    def __init__(self) -> None:
        self.pages: dict[str, list[Page]] = defaultdict(list)
        self.answers: list[str] = []
        """What DATA answers next, in order, such as `451 try later`; then 250."""
        self._controller = _OnFreePort(self, hostname="127.0.0.1", port=0)
        self._controller.start()
        self.port: int = self._controller.port

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Take a mail."""
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if answer.startswith("250"):
            content = envelope.original_content or b""
            message = email.message_from_bytes(content, policy=email.policy.default)
            for recipient in envelope.rcpt_tos:
                self.pages[recipient].append(_page(recipient, message))
        return answer

    def clear(self) -> None:
        """Forget everything."""
        self.pages.clear()
        self.answers.clear()

    def stop(self) -> None:
        """Listen no longer."""
        self._controller.stop()


def _page(recipient: str, message: EmailMessage) -> Page:
    plain = message.get_body(("plain", "html"))
    text = plain.get_content() if plain is not None else ""
    subject = str(message["subject"] or "")
    return Page(recipient, f"{subject}\n{text}", {key.lower(): str(value) for key, value in message.items()}, subject=subject)
