"""The door for mail: what an SMTP server answers to `<integration key>[+<dedup>]@EMAIL_DOMAIN`.

A mail is answered 250 only after its commit.  550 says for good that an address leads nowhere, 451 that the sender's
server should come again; it keeps the mail until then, so nothing is spooled here.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from aiosmtpd.smtp import SMTP, Envelope, Session
from flask import Flask, Response

from app.core.types import Inbound, Reason
from app.domain.plans import Outcome
from app.intake import credentials
from app.intake.doors import Door, Refusal
from app.intake.http import Caller, Rejected, Visit, take
from app.sources import email as mail_source
from app.wiring.transactions import DatabaseAway

MAX_BYTES = 10 * 1024 * 1024
"""Largest mail."""
KEPT_BYTES = 1024 * 1024
"""How much of a mail is read and kept: attachments come last."""
MAX_RECIPIENTS = 100
TOO_LARGE = "552 5.3.4 A mail may have 10 MiB"
_ADDRESS = re.compile(r'"?([A-Za-z0-9-]{16,64})(?:\+(.*?))?"?@([^@]+)\Z', re.DOTALL)
log = logging.getLogger(__name__)

_CODES = {
    Reason.NO_KEY: (501, "5.1.3"),
    Reason.UNKNOWN_KEY: (550, "5.1.1"),
    Reason.DISABLED: (550, "5.7.1"),
    Reason.WRONG_SIGNATURE: (550, "5.7.1"),
    Reason.LIMITED: (451, "4.7.1"),
    Reason.TOO_LARGE: (552, "5.3.4"),
    Reason.INVALID: (554, "5.6.0"),
    Reason.UNRECOGNISED: (554, "5.6.0"),
    Reason.AWAY: (451, "4.3.0"),
}
"""SMTP's code, and that of RFC 3463."""


def _answer(_inbound: Inbound, outcomes: Sequence[Outcome]) -> Response:
    number = outcomes[0].incident_id
    return Response(f"2.6.0 taken, incident {number}" if number else f"2.6.0 taken: {outcomes[0].reason}", 250)


def _refusal(status: int, refusal: Refusal) -> Response:
    enhanced = next((enhanced for reason, (_status, enhanced) in _CODES.items() if reason is refusal.reason), "5.0.0")
    return Response(f"{enhanced} {refusal.why}", status)


DOOR = Door("email", 250, _answer, _refusal, {reason: status for reason, (status, _enhanced) in _CODES.items()})


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A recipient's address, taken apart."""

    key: str
    dedup: str
    domain: str


def mailbox_of(address: str) -> Mailbox | None:
    """The parts of `<key>[+<dedup>]@<domain>`; None when no key can be in it."""
    found = _ADDRESS.match(address.strip())
    return Mailbox(found[1], found[2] or "", found[3].lower().rstrip(".")) if found else None


class Handler:
    """What the SMTP server asks about each mail."""

    def __init__(self, app: Flask, pool: ThreadPoolExecutor) -> None:
        """Databases are asked on the threads of `pool`."""
        self._app = app
        self._pool = pool
        self._domain: str = app.extensions["tocsin"].settings.email_domain.lower()
        self.busy = 0
        """How many mails are being stored."""

    async def handle_MAIL(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802 - aiosmtpd's
        """Take any sender but none: an empty one is a bounce."""
        if address in ("", "<>"):
            return "501 5.1.7 Bounces are not alerts"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(self, _server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802
        """Take the address of an integration that is known."""
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return "452 4.5.3 Too many recipients in one go"
        domain = address.rpartition("@")[2].lower().rstrip(".")
        if domain != self._domain:
            return f"550 5.7.1 This server takes mail for {self._domain} only"
        mailbox = mailbox_of(address)
        if mailbox is None:
            return "501 5.1.3 The address is no integration's: it is <integration key>@" + self._domain
        refused = await self._in_pool(lambda: self._refused(mailbox, session))
        if refused:
            return refused
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take the mail for each recipient; let the sender come again if it failed for a passing reason with any."""
        body = envelope.content if isinstance(envelope.content, bytes) else b""
        mailboxes = filter(None, map(mailbox_of, envelope.rcpt_tos))
        answers = [await self._in_pool(partial(self._take, mailbox, body, session, self._identify)) for mailbox in mailboxes]
        return min(answers, key=_weight)

    async def too_large(self, session: Session, envelope: Envelope) -> None:
        """Leave a receipt with each recipient's integration."""
        for mailbox in filter(None, map(mailbox_of, envelope.rcpt_tos)):
            await self._in_pool(partial(self._take, mailbox, b"", session, self._refuse_large))

    async def handle_exception(self, error: Exception) -> str:
        """A fault of ours is passing."""
        log.error("a mail could not be taken", exc_info=error)
        return "451 4.3.0 Tocsin has a fault; send it again later"

    async def _in_pool(self, work: Callable[[], str]) -> str:
        self.busy += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self.busy -= 1

    def _identify(self, mailbox: Mailbox) -> Caller:
        """Any integration's key will do: the format is the mail's, not the key's."""
        return Caller(credentials.integration_of([mailbox.key]))

    def _refuse_large(self, mailbox: Mailbox) -> Caller:
        raise Rejected(Refusal(Reason.TOO_LARGE, "The mail is larger than 10 MiB."), self._identify(mailbox).integration)

    def _refused(self, mailbox: Mailbox, session: Session) -> str:
        """The answer to a recipient that leads nowhere, noted; nothing when there is an integration."""
        with self._app.app_context():
            try:
                self._identify(mailbox)
            except Rejected as rejected:
                refusal = rejected
            except DatabaseAway:
                return "451 4.3.0 Tocsin cannot reach its database; send it again"
            else:
                return ""

        def refuse(_mailbox: Mailbox) -> Caller:
            raise refusal

        return self._take(mailbox, b"", session, refuse)

    def _take(self, mailbox: Mailbox, body: bytes, session: Session, identify: Callable[[Mailbox], Caller]) -> str:
        """Do what an HTTP request does, in SMTP's words."""
        inbound = Inbound(
            method="SMTP",
            path="/",
            headers={"content-type": "message/rfc822", "helo": str(session.host_name or "")},
            query={"dedup": (mailbox.dedup,)} if mailbox.dedup else {},
            body=body[:KEPT_BYTES],
            remote=str(session.peer[0]) if isinstance(session.peer, tuple) else "",
        )
        visit = Visit(DOOR, inbound, lambda _inbound: identify(mailbox), lambda _caller: mail_source.parse, f"…@{mailbox.domain}")
        with self._app.app_context():
            response = take(visit)
        words = " ".join(response.get_data(as_text=True).split())[:400]
        return f"{response.status_code} {words}".encode("ascii", "replace").decode()


def _weight(answer: str) -> str:
    """Of several recipients' answers the sender is told a passing failure first, else a success."""
    return {"4": "0", "2": "1"}.get(answer[0], "2")
