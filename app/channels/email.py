"""E-mail by SMTP: plain text and HTML, one thread per incident.

Threads rest on References to a constant id that no mail has: some mail services replace our Message-ID.  Auto-Submitted
(RFC 3834) keeps vacation answers away.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email import policy
from email.message import EmailMessage

from app.core.errors import Invalid
from app.core.types import Channel, Http, Message, Option, Sent

_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+\Z")
_POLICY = policy.SMTP.clone(cte_type="7bit")


def send(message: Message, address: Mapping[str, str], http: Http) -> Sent:
    """Hand the mail over."""
    mail = EmailMessage(policy=_POLICY)
    mail["To"] = address["email"]
    mail["Subject"] = message.subject
    domain = message.thread.partition("@")[2] or "localhost"
    mail["Message-ID"] = f"<{message.delivery_id}@{domain}>"
    if message.thread:
        mail["In-Reply-To"] = mail["References"] = f"<{message.thread}>"
    mail["List-Id"] = f"Tocsin incidents <incidents.{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail["X-Tocsin-Delivery"] = message.delivery_id
    for name, value in message.headers.items():
        mail[name] = value
    mail.set_content(message.text)
    if message.html:
        mail.add_alternative(message.html, subtype="html")
    return http.mail(mail, address["email"])


def check(address: Mapping[str, str]) -> None:
    """One plain address.

    Raises:
        Invalid: it is none.
    """
    text = address.get("email", "")
    if len(text) > 320 or not text.isascii() or not _ADDRESS.match(text):
        raise Invalid("email", "Write one address, as ann@example.com.")


channel = Channel(
    name="email",
    title="E-mail",
    fields=(Option("email", "E-mail address", required=True),),
    send=send,
    check=check,
)
