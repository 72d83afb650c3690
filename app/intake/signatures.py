"""Signatures over the raw body, checked once an integration has a secret."""

from __future__ import annotations

from app.core.keys import hmac_sha256, same
from app.core.types import Inbound
from app.domain.facts import IntegrationFacts

HEADERS = ("x-signature", "x-webhook-signature")
"""Seed 001, generic: hexadecimal HMAC-SHA256 of the raw body, with or without `sha256=`."""


def problem(integration: IntegrationFacts, inbound: Inbound) -> str | None:
    """What is wrong with the signature, as a sentence; None when it is right or none is asked for."""
    secret = integration.signature_secret
    if secret is None:
        return None
    given = [inbound.headers[name].strip() for name in HEADERS if name in inbound.headers]
    if not given:
        return "The integration asks for a signature: send X-Signature: sha256=<hex HMAC-SHA256 of the body>."
    right = hmac_sha256(secret, inbound.body)
    if any(same(signature.removeprefix("sha256=").lower(), right) for signature in given):
        return None
    return "The signature does not fit the body and the integration's secret."
