"""Hand one mail to an SMTP server within a total time, and say what it answered."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.utils import formatdate, parseaddr

from app.core.guard import Guard, OutboundFailed
from app.core.text import clean_line
from app.core.types import Sent
from app.settings import Settings

POLICY = policy.SMTP.clone(cte_type="7bit")
"""Lines end in CRLF, and no server is asked to take eight bits."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """The operator's SMTP server."""

    host: str
    port: int
    user: str = ""
    password: str = ""
    sender: str = "tocsin@localhost"
    tls: str = "auto"
    """auto (implicit on 465, STARTTLS on 587, else when offered), none, starttls or implicit."""

    @classmethod
    def of(cls, settings: Settings) -> MailServer | None:
        """The SMTP_ settings; None while SMTP_HOST is empty."""
        if not settings.smtp_host:
            return None
        return cls(settings.smtp_host, settings.smtp_port, settings.smtp_user, settings.smtp_password, settings.smtp_from, settings.smtp_tls)

    @property
    def mode(self) -> str:
        """none, offered, starttls or implicit."""
        return {465: "implicit", 587: "starttls"}.get(self.port, "offered") if self.tls == "auto" else self.tls


class _Client(smtplib.SMTP):
    """Connects by a guard; with `tls` from the first byte on."""

    def __init__(self, server: MailServer, guard: Guard, tls: ssl.SSLContext | None) -> None:
        self._guard = guard
        self._tls = tls
        super().__init__(local_hostname=socket.gethostname(), timeout=guard.left)
        self._host = server.host  # starttls checks the certificate for it

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        connected = self._guard.connect(host, port)
        return connected if self._tls is None else self._tls.wrap_socket(connected, server_hostname=host)


def hand_over(server: MailServer, message: EmailMessage, to: str, *, tls: Callable[[], ssl.SSLContext], seconds: float) -> Sent:
    """Send a mail; From and Date are added.  The server's answer is the detail, the Message-ID the provider's id."""
    message["From"] = server.sender
    message["Date"] = formatdate()
    with Guard(seconds, allow=None) as guard:
        client: _Client | None = None
        try:
            client = _Client(server, guard, tls() if server.mode == "implicit" else None)
            return _converse(client, server, message, to, tls)
        except OutboundFailed as failure:
            return Sent.retry(f"mail server {failure.why}")
        except smtplib.SMTPResponseException as error:
            if isinstance(error.smtp_error, str):  # not the server's words but the library's: an answer without end
                return Sent.retry(f"mail server {server.host}: {error.smtp_error}")
            return _judge(error.smtp_code, error.smtp_error, server)
        except ssl.SSLCertVerificationError as error:
            return Sent.retry(f"mail server {server.host}: the certificate was not accepted: {error.verify_message}")
        except (smtplib.SMTPException, OSError, ValueError) as error:
            why = guard.timed_out().why if guard.expired or isinstance(error, TimeoutError) else "the connection broke, or it speaks no SMTP"
            return Sent.retry(f"mail server {server.host}: {why}")
        finally:
            if client is not None:
                with contextlib.suppress(OSError):
                    client.close()


def _converse(client: _Client, server: MailServer, message: EmailMessage, to: str, tls: Callable[[], ssl.SSLContext]) -> Sent:
    code, answer = client.connect(server.host, server.port)
    if code != 220:
        return _judge(code, answer, server)
    client.ehlo()
    if server.mode == "starttls" or (server.mode == "offered" and client.has_extn("starttls")):
        if not client.has_extn("starttls"):
            return Sent.retry(f"mail server {server.host} offers no STARTTLS; set SMTP_TLS=none to send without encryption")
        client.starttls(context=tls() if server.mode == "starttls" else _unchecked())
        client.ehlo()
    if server.user:
        client.login(server.user, server.password)
    sender = parseaddr(server.sender)[1]
    commands: tuple[Callable[[], tuple[int, bytes]], ...] = (
        lambda: client.mail(sender),
        lambda: client.rcpt(to),
        lambda: client.data(message.as_bytes(policy=POLICY)),
    )
    for command in commands:
        code, answer = command()
        if code not in (250, 251):
            return _judge(code, answer, server)
    with contextlib.suppress(smtplib.SMTPException, OSError):
        client.quit()
    return Sent.ok(f"{code} {_said(answer)}", status=code, provider_id=str(message["Message-ID"] or ""))


def _judge(code: int, answer: bytes | str, server: MailServer) -> Sent:
    """4xx: later.  5xx: never, except for a log-in or a way of speaking that the operator can mend meanwhile."""
    detail = f"mail server {server.host}: {code} {_said(answer)}"
    if 500 <= code < 600 and code not in (530, 534, 535, 538):
        return Sent.refused(detail, status=code)
    return Sent.retry(detail, status=code if code > 0 else None)


def _said(answer: bytes | str) -> str:
    return clean_line(answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer, 300)


def _unchecked() -> ssl.SSLContext:
    """For TLS that is only used because it was offered: the alternative would be none at all."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
