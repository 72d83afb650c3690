"""Every refusal as JSON, in one place, in OnCall's words: `{"detail": …}` or `{"field": ["why"]}`."""

from __future__ import annotations

import logging
from typing import Any

from flask import Blueprint, Flask, Response, jsonify, request
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException

from app.core.errors import Conflict, Forbidden, Invalid, InvalidFields, LostKey, NotFound, Refused, TooMany, Unauthenticated
from app.wiring.acceptor import is_refused_data
from app.wiring.runtime import runtime
from app.wiring.transactions import DatabaseAway

log = logging.getLogger(__name__)
PREFIX = "/api/v1/"
AWAY_RETRY_AFTER = 5
"""Seconds after which a client may try again when the database is away."""
WHOLE = "non_field_errors"
"""The field of a problem that belongs to no single one."""


class BadRequest(Refused):
    """The request is refused with 400 and one sentence, as OnCall does where no field is to blame."""


class UnsupportedMediaType(Refused):
    """The body comes in a form that nobody reads here."""


_STATUSES: tuple[tuple[type[Refused], int], ...] = (
    (NotFound, 404),
    (Conflict, 409),
    (Unauthenticated, 403),  # OnCall's: its authentication offers no challenge, so its framework answers 403
    (Forbidden, 403),
    (TooMany, 429),
    (UnsupportedMediaType, 415),
    (LostKey, 503),
)


def install(app: Flask, blueprint: Blueprint) -> None:
    """Answer every refusal of this edge, and every unknown address below it."""
    blueprint.register_error_handler(Refused, refused)
    blueprint.register_error_handler(DatabaseAway, away)
    blueprint.register_error_handler(DBAPIError, refused_data)
    blueprint.register_error_handler(HTTPException, failed)
    app.before_request(_unknown_address)


def refused(error: Refused) -> Response:
    """The answer to a refusal of the rules."""
    if isinstance(error, InvalidFields):
        return _fields(error.problems)
    if isinstance(error, Invalid):
        return _fields([(error.field, error.why)])
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 400)
    body: dict[str, Any] = {"detail": "Not found." if isinstance(error, NotFound) else error.why}
    if isinstance(error, Conflict) and error.link:
        body["link"] = error.link
    response = _json(status, body)
    if isinstance(error, TooMany):
        response.headers["Retry-After"] = response.headers["RateLimit-Reset"] = str(error.retry_after)
    return response


def away(_error: DatabaseAway) -> Response:
    """The answer while the database cannot be reached."""
    log.warning("the database is away: answered %s %s with 503", request.method, request.path)
    response = _json(503, {"detail": "Tocsin cannot reach its database; nothing was changed. Try again."})
    response.headers["Retry-After"] = str(AWAY_RETRY_AFTER)
    return response


def refused_data(error: DBAPIError) -> Response:
    """The answer when the database refuses a value; every other fault of a statement is ours."""
    if not is_refused_data(error):
        raise error
    log.warning("the database refused a value of %s %s: %s", request.method, request.path, error.orig)
    return _json(400, {"detail": "A value of this request cannot be stored."})


def failed(error: HTTPException) -> Response:
    """The answer to what the framework refuses, and to our own faults (500), without HTML."""
    status = error.code or 500
    if status < 400:  # a redirect to a tidier address; ours have none
        status = 404
    response = _json(status, {"detail": _detail(status, error)})
    allowed = getattr(error, "valid_methods", None)
    if allowed:
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def _detail(status: int, error: HTTPException) -> str:
    if status == 404:
        return "Not found."
    if status == 405:
        return f'Method "{request.method}" not allowed.'
    if status == 413:
        return f"The body is too large; at most {runtime().settings.max_body_bytes} bytes are taken."
    if status >= 500:
        return "Tocsin has a fault here; its log says more."
    return error.description or error.name


def _unknown_address() -> Response | None:
    """Routing fails before a blueprint is known, so the app asks here; all other addresses pass at the cost of two looks."""
    error = request.routing_exception
    if error is None or not f"{request.path}/".startswith(PREFIX):
        return None
    return failed(error)


def _fields(problems: list[tuple[str, str]]) -> Response:
    body: dict[str, list[str]] = {}
    for field, why in problems:
        body.setdefault(field or WHOLE, []).append(why)
    return _json(400, body)


def _json(status: int, body: Any) -> Response:
    response = jsonify(body)
    response.status_code = status
    return response
