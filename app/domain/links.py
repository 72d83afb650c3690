"""The secret link of a delivery, by which whoever got the message may answer."""

from __future__ import annotations

import base64
import hmac
from datetime import datetime, timedelta
from hashlib import sha256

from app.core.keys import derive, hash_token
from app.models import Delivery

LIVES = timedelta(hours=72)
"""How long a link answers after its message was first sent."""


def answer_key(secret_key: str) -> bytes:
    """The key that links are made from; derived once, since it costs."""
    return derive(secret_key, "answer link")


def link_token(key: bytes, delivery_public_id: str) -> str:
    """The secret of a delivery's link: the same for every attempt, so that each copy of a message answers alike."""
    digest = hmac.new(key, delivery_public_id.encode(), sha256).digest()
    return base64.urlsafe_b64encode(digest[:24]).decode()


def remember(delivery: Delivery, token: str, *, now: datetime) -> None:
    """Let a link answer: its hash is kept, so that it outlives a change of SECRET_KEY."""
    token_hash = hash_token(token)
    if delivery.link_token_hash != token_hash:
        delivery.link_token_hash = token_hash
        delivery.link_expires_at = now + LIVES
