"""Webhook: a POST of JSON to any address.

The body is the generic webhook payload, its keys in the documented order.  `X-Tocsin-Delivery` is the same for every
attempt of a delivery, so that a receiver can drop a second copy.  With a secret the header `X-Signature` is `sha256=`
and the hexadecimal HMAC-SHA256 of the body's bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import urlsplit

from app.core.errors import Invalid
from app.core.keys import hmac_sha256
from app.core.types import Channel, Http, Message, Option, Sent


def send(message: Message, address: Mapping[str, str], http: Http) -> Sent:
    """Post the payload; the bytes that are signed are the bytes that are sent."""
    body = json.dumps(message.payload, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json", "X-Tocsin-Delivery": message.delivery_id}
    secret = address.get("secret", "")
    if secret:
        headers["X-Signature"] = "sha256=" + hmac_sha256(secret, body)
    return http.deliver("POST", address["url"], headers=headers, body=body, secrets=(secret,))


def check(address: Mapping[str, str]) -> None:
    """Only what can be called.

    Raises:
        Invalid: it is no http(s) address.
    """
    try:
        parts = urlsplit(address.get("url", ""))
        is_right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_right = False
    if not is_right:
        raise Invalid("url", "Write the whole address, as https://hooks.example.com/tocsin.")


channel = Channel(
    name="webhook",
    title="Webhook",
    fields=(
        Option("url", "URL", required=True, help="Gets a POST with a JSON body."),
        Option("secret", "Secret", secret=True, help="Signs each body: X-Signature is sha256= and its HMAC-SHA256."),
    ),
    send=send,
    check=check,
)
