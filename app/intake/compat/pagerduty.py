"""PagerDuty's Events API v2: POST /v2/enqueue with `routing_key` in the body; answers and errors as PagerDuty's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flask import Response, jsonify

from app.core.errors import NotUnderstood
from app.core.types import Inbound, Reason
from app.domain.plans import Outcome
from app.intake import credentials, http
from app.intake.doors import Door, Refusal
from app.intake.http import Caller
from app.sources import events_v2

_WORDS = {
    Reason.NO_KEY: "'routing_key' is missing or blank",
    Reason.UNKNOWN_KEY: "Invalid routing key",
    Reason.UNRECOGNISED: "JSON parse error",
}


def _answer(_inbound: Inbound, outcomes: Sequence[Outcome]) -> Response:
    """202, always with the dedup_key: the official client calls a body without it malformed."""
    response = jsonify({"status": "success", "message": "Event processed", "dedup_key": outcomes[0].dedup_key})
    response.status_code = 202
    return response


def _refusal(status: int, refusal: Refusal) -> Response:
    if refusal.reason is Reason.UNRECOGNISED:
        head = {"status": "Unrecognized object", "message": "Event object format is unrecognized"}
    elif status == 400:
        head = {"status": "invalid event", "message": "Event object is invalid"}
    else:
        head = {"status": "error", "message": refusal.why}
    errors = [why for _field, why in refusal.problems] or [_WORDS.get(refusal.reason, refusal.why)]
    response = jsonify({**head, "errors": errors})
    response.status_code = status
    return response


DOOR = Door("pagerduty", 202, _answer, _refusal, {Reason.NO_KEY: 400, Reason.UNKNOWN_KEY: 400})


def enqueue() -> Response:
    """Take one event."""
    return http.receive(DOOR, "/v2/enqueue", _identify, lambda _caller: events_v2.parse_pagerduty)


def _identify(inbound: Inbound) -> Caller:
    return Caller(credentials.integration_of(_keys(inbound)))


def _keys(inbound: Inbound) -> Iterator[str]:
    try:
        key = inbound.json_object().get("routing_key")
    except NotUnderstood:
        key = None
    if isinstance(key, str) and key.strip():
        yield key.strip()
    yield from credentials.from_headers(inbound)
    yield from credentials.from_parameters(inbound.query)
