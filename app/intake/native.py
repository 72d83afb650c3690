"""Our own door (seed 001): POST /api/integrations/<source>?integrationId=…, with the key in a header or in the URL."""

from __future__ import annotations

from itertools import chain

from flask import Response

from app import sources
from app.core.types import Inbound, Reason, Source, first
from app.domain.facts import IntegrationFacts
from app.intake import credentials, http
from app.intake.doors import OWN, Refusal
from app.intake.http import Caller, Rejected
from app.wiring.runtime import runtime


def receive(source: str) -> Response:
    """Take a tool's own payload."""
    kind = sources.get(source)
    if kind is None:
        known = ", ".join(each.name for each in sources.all())
        return OWN.refuse(Refusal(Reason.NOT_FOUND, f"There is no source {source}. Known are: {known}."))
    path = f"/api/integrations/{kind.name}"
    return http.receive(OWN, path, lambda inbound: _identify(inbound, kind), lambda _caller: kind.parse)


def _identify(inbound: Inbound, kind: Source) -> Caller:
    intake_id = first(inbound.query, "integrationId").strip()
    keys = list(chain(credentials.from_headers(inbound), credentials.from_parameters(inbound.query)))
    integration = _by_intake_id(intake_id, keys) if intake_id else credentials.integration_of(keys)
    why = f"This URL is for {kind.title}; the key belongs to an integration of another kind. Use the URL on the integration's page."
    return credentials.must_be_of(Caller(integration), kind.name, why)


def _by_intake_id(intake_id: str, keys: list[str]) -> IntegrationFacts:
    """The integration of an integrationId.

    A key that comes along must be its own; without one the id alone will do, unless the integration asks for a key.
    """
    integration = runtime().cache.by_intake_id(intake_id)
    if integration is None:
        raise Rejected(Refusal(Reason.UNKNOWN_KEY, "There is no integration with this integrationId; copy the URL from the integration's page."), key=intake_id)
    if not keys and integration.require_key and integration.signature_secret is None:
        raise Rejected(Refusal(Reason.NO_KEY, "This integration asks for its key; send it as Authorization: Bearer <key>."), integration)
    if not keys:
        return integration
    try:
        found = credentials.integration_of(keys)
    except Rejected as rejected:
        raise Rejected(Refusal(Reason.UNKNOWN_KEY, "The key is not this integration's; copy it from the integration's page."), integration) from rejected
    if found.id != integration.id:
        raise Rejected(Refusal(Reason.UNKNOWN_KEY, "The key belongs to another integration than the integrationId."), integration)
    return integration
