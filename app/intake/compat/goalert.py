"""GoAlert's URLs (seed 000): 204, or 200 with JSON for Accept: application/json; errors in plain text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from flask import Response

from app.core.errors import NotUnderstood
from app.core.types import Action, Inbound, Reason, Source
from app.domain.plans import Outcome
from app.intake import credentials, http
from app.intake.doors import Door, text_refusal
from app.intake.http import Caller
from app.sources import generic as generic_source
from app.sources import prometheus

_NO_SERVICE = ""


def _answer(inbound: Inbound, outcomes: Sequence[Outcome]) -> Response:
    """Byte for byte `application/json` asks for the JSON; anything else gets 204."""
    if inbound.headers.get("accept") != "application/json":
        response = Response(status=204)
        del response.headers["Content-Type"]
        return response
    return Response(_json(outcomes[0]), 200, mimetype="application/json")


def _json(outcome: Outcome) -> str:
    """AlertID is the number of the incident that holds the alert; keys in the seed's order."""
    matched = outcome.incident_id is not None and outcome.service is not None
    body = {
        "AlertID": outcome.incident_id or 0,
        "ServiceID": outcome.service.uuid if matched and outcome.service else _NO_SERVICE,
        "IsNew": outcome.action is Action.TRIGGER and outcome.is_new,
    }
    return json.dumps(body, separators=(",", ":"))


def _empty_answer(_inbound: Inbound, _outcomes: Sequence[Outcome]) -> Response:
    return Response(status=200, mimetype="text/plain")


_STATUSES = {Reason.WRONG_SOURCE: 401}
GENERIC = Door("goalert", 204, _answer, text_refusal, _STATUSES)
VENDOR = Door("goalert", 200, _empty_answer, text_refusal, _STATUSES)
"""Grafana, Site24x7 and Alertmanager get 200 and an empty body."""


def generic() -> Response:
    """The generic API; `token` may also be in the body, which beats the query."""
    return _receive(GENERIC, "/api/v2/generic/incoming", generic_source.source)


def alertmanager() -> Response:
    """Prometheus Alertmanager."""
    return _receive(VENDOR, "/api/v2/prometheusalertmanager/incoming", prometheus.source)


def not_found() -> Response:
    """GET is no page here."""
    return Response("404 page not found: POST alerts here\n", 404, mimetype="text/plain")


def _receive(door: Door, path: str, kind: Source) -> Response:
    def identify(inbound: Inbound) -> Caller:
        why = "unauthorized: the key belongs to an integration of another kind"
        return credentials.must_be_of(Caller(credentials.integration_of(_keys(inbound))), kind.name, why)

    return http.receive(door, path, identify, lambda _caller: kind.parse)


def _keys(inbound: Inbound) -> Iterator[str]:
    """Each parameter once, the body's value before the query's; then the Authorization header."""
    parameters = {**inbound.query, **inbound.form, **_json_token(inbound)}
    yield from credentials.from_parameters(parameters)
    yield from credentials.from_authorization(inbound)


def _json_token(inbound: Inbound) -> Mapping[str, tuple[str, ...]]:
    """`token` of a JSON body: the seed allows every parameter in the body, GoAlert itself reads it from forms only."""
    if not inbound.body.lstrip().startswith(b"{"):
        return {}
    try:
        token = inbound.json_object().get("token")
    except NotUnderstood:
        return {}
    return {"token": (token,)} if isinstance(token, str) and token else {}
