"""The mail listener: `flask smtp`."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiosmtpd.smtp import SMTP
from flask import Flask

from app.intake.mail import MAX_BYTES, TOO_LARGE, Handler
from app.settings import Settings
from app.wiring.processes import Heartbeat
from app.wiring.runtime import Runtime

MAX_CONNECTIONS = 100
SECONDS_OF_SILENCE = 60
SECONDS_TO_END = 10
log = logging.getLogger(__name__)


class _Server(SMTP):
    """aiosmtpd's server for one connection; takes long lines, which HTML mail has, and notes a mail that is too large."""

    line_length_limit = MAX_BYTES

    def __init__(self, handler: Handler, connections: set[_Server], **settings: Any) -> None:
        super().__init__(handler, **settings)
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        super().connection_lost(error)

    def hang_up(self) -> None:
        """Say good-bye; the sender comes again."""
        if isinstance(self.transport, asyncio.WriteTransport) and not self.transport.is_closing():
            self.transport.write(b"421 4.3.2 Tocsin is stopping; come again\r\n")
            self.transport.close()

    def cut_off(self) -> None:
        """Close without waiting for a sender who does not listen."""
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()

    async def push(self, status: Any) -> None:
        if str(status).startswith("552 ") and self.session and self.envelope:
            await self.event_handler.too_large(self.session, self.envelope)
            status = TOO_LARGE
        await super().push(status)


class _Busy(asyncio.Protocol):
    """Sends a caller away when there are too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101 - a TCP connection can be written to
        transport.write(b"421 4.3.2 Too many connections; come again\r\n")
        transport.close()


class Listener:
    """The mail listener on a thread of its own; `port` is the real one once it has started."""

    def __init__(self, app: Flask) -> None:
        """Open nothing yet."""
        runtime: Runtime = app.extensions["tocsin"]
        self._settings = runtime.settings
        self._pool = ThreadPoolExecutor(self._settings.web_threads, thread_name_prefix="mail")
        self._handler = Handler(app, self._pool)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="smtp", daemon=True)
        self._connections: set[_Server] = set()
        self._tls = _tls_of(self._settings)
        self._server: asyncio.Server | None = None
        self.port = 0

    def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address is taken.
        """
        host, port = self._settings.smtp_listen
        self._thread.start()
        opening = asyncio.run_coroutine_threadsafe(self._loop.create_server(self._connection, host, port, reuse_address=True), self._loop)
        try:
            self._server = opening.result()
        except OSError:
            self._end()
            raise
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Take no more connections, let what is being stored end, then hang up."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(SECONDS_TO_END + 5)
        self._end()

    async def _close(self) -> None:
        assert self._server is not None  # noqa: S101 - it has started
        for listening in self._server.sockets:
            self._loop.remove_reader(listening.fileno())  # closing at once would leak who is just being let in
        for _ in range(SECONDS_TO_END * 20):
            if not self._handler.busy:
                break
            await asyncio.sleep(0.05)
        for _ in range(20):
            for connection in list(self._connections):
                connection.hang_up()
            if asyncio.all_tasks() == {asyncio.current_task()} and not self._connections:
                break
            await asyncio.sleep(0.05)
        for connection in list(self._connections):
            connection.cut_off()
        self._server.close()
        await asyncio.sleep(0.05)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS_TO_END)
        self._pool.shutdown(wait=True)
        self._loop.close()

    def _connection(self) -> asyncio.BaseProtocol:
        if len(self._connections) >= MAX_CONNECTIONS:
            return _Busy()
        return _Server(
            self._handler,
            self._connections,
            data_size_limit=MAX_BYTES,
            enable_SMTPUTF8=True,
            hostname=self._settings.email_domain,
            ident="Tocsin",
            tls_context=self._tls,
            timeout=SECONDS_OF_SILENCE,
            loop=self._loop,
        )


def _tls_of(settings: Settings) -> ssl.SSLContext | None:
    """STARTTLS is offered when the web server has a certificate."""
    if not (settings.tls_cert and settings.tls_key):
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(settings.tls_cert, settings.tls_key)
    return context


def serve(app: Flask, stop: threading.Event | None = None) -> None:
    """Listen at SMTP_LISTEN until SIGTERM or SIGINT, or until `stop` is set; what is being stored then ends first."""
    if stop is None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    logging.getLogger("mail.log").setLevel(logging.WARNING)  # it would log addresses, and so keys
    listener = Listener(app)
    listener.start()
    log.info("Mail is taken at %s:%s", *app.extensions["tocsin"].settings.smtp_listen)
    with app.app_context(), Heartbeat(app, "smtp"):
        stop.wait()
        listener.stop()
    log.info("The mail listener has stopped.")
