"""The Events API of seed 001: POST /api/events with an integration key, or with an API key and a service_id."""

from __future__ import annotations

from itertools import chain

from flask import Response

from app.core.errors import NotUnderstood
from app.core.types import Inbound, Reason
from app.domain import access
from app.domain.facts import IntegrationFacts, Principal
from app.domain.plans import StaleConfig
from app.intake import credentials, http
from app.intake.doors import EVENTS, Refusal
from app.intake.http import Caller, Parse, Rejected
from app.sources import events_v2
from app.wiring.runtime import runtime

PATH = "/api/events"


def receive() -> Response:
    """Take one event."""
    return http.receive(EVENTS, PATH, _identify, _parser)


def _parser(_caller: Caller) -> Parse:
    """Any integration's key will do here: the format is the door's, not the key's."""
    return events_v2.source.parse


def _identify(inbound: Inbound) -> Caller:
    given = list(credentials.from_headers(inbound))
    principal = credentials.principal_of(given)
    if principal is not None:
        return Caller(_integration_for(principal, inbound), principal)
    return Caller(credentials.integration_of(chain(given, credentials.from_parameters(inbound.query))))


def _integration_for(principal: Principal, inbound: Inbound) -> IntegrationFacts:
    """The built-in integration of the service that the body names, made on first use."""
    ref = _service_ref(inbound)
    if not ref:
        why = "With an API key, name the service: send service_id in the body."
        raise Rejected(Refusal(Reason.INVALID, why, (("service_id", "is required with an API key"),)), version=principal.config_version)
    integration = runtime().cache.builtin_of(ref)
    if integration is None:
        raise Rejected(Refusal(Reason.NOT_FOUND, f"There is no service {ref}.", (("service_id", "names no service"),)), version=principal.config_version)
    if integration.config_version != principal.config_version:
        raise StaleConfig
    if "*" not in principal.scopes and "events:write" not in principal.scopes:
        raise Rejected(Refusal(Reason.FORBIDDEN, "This API key lacks the scope events:write."), integration)
    if not access.may(principal, "events:write", integration.service.team_id):
        raise Rejected(Refusal(Reason.FORBIDDEN, "This API key has no access to that service."), integration)
    return integration


def _service_ref(inbound: Inbound) -> str:
    try:
        body = inbound.json_object()
    except NotUnderstood as error:
        raise Rejected(Refusal(Reason.INVALID, f"The body is not a JSON object: {error.why}")) from error
    ref = body.get("service_id", body.get("serviceId"))
    return ref.strip()[:64] if isinstance(ref, str) else ""
