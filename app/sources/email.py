"""Mail as an alert: the subject says what is wrong, the text part (or the HTML, as text) says more.

As in GoAlert, mail only ever triggers, and subject and text together name the problem unless the address carries a key of
its own: `<integration key>+<dedup>@domain`.  The mail listener hands the raw message on, with `dedup` in the query.
Answers of machines (vacation notes, bounces) and Tocsin's own pages are left alone, or two mail systems would talk for
ever; `Auto-Submitted: auto-generated` is what cron writes, and is an alert.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.core.types import Action, Event, Ignored, Inbound, Source, first
from app.sources._mail import Mail


def parse(inbound: Inbound, _options: Mapping[str, Any]) -> list[Event | Ignored]:
    """One trigger."""
    mail = Mail(inbound.body)
    why = _left_alone(mail)
    if why:
        return [Ignored(why)]
    subject, sender = mail.header("Subject"), mail.header("From")
    dedup = first(inbound.query, "dedup").strip() or None
    seen = {"subject": subject, "from": sender, "text": mail.text, "dedup": dedup}
    labels = {"from": sender} if sender else {}
    return [Event(Action.TRIGGER, dedup, dedup is not None, subject or "(no subject)", mail.text, labels=labels, element=seen)]


def _left_alone(mail: Mail) -> str:
    if mail.header("Auto-Submitted").lower().startswith("auto-replied") or mail.header("X-Autoreply"):
        return "an automatic reply"
    if mail.kind == "multipart/report":
        return "a report about another mail"
    return "a message of Tocsin's own" if mail.header("X-Tocsin-Delivery") else ""


source = Source(
    name="email",
    title="E-mail",
    parse=parse,
    aliases=("inbound_email",),
    test_payload="From: Tocsin <tocsin@localhost>\r\nSubject: Test alert from Tocsin\r\n\r\nSent by the test button.\r\n",
    resolves=False,
)
