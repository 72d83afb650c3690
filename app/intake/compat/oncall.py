"""Grafana OnCall's URLs (seed 002): POST /integrations/v1/<slug>/<key>/ answers 200 and the JSON text "Ok."."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response, render_template

from app import sources
from app.core.types import Inbound, Reason, Source
from app.domain.plans import Outcome
from app.intake import credentials, http
from app.intake.doors import Door, text_refusal
from app.intake.http import Caller, Rejected


def _answer(_inbound: Inbound, _outcomes: Sequence[Outcome]) -> Response:
    return Response('"Ok."', 200, mimetype="application/json")


DOOR = Door("oncall", 200, _answer, text_refusal, {Reason.NO_KEY: 403, Reason.UNKNOWN_KEY: 403})
NOT_FOUND_TEXT = "Integration key was not found. Permission denied."


def receive(slug: str, key: str) -> Response:
    """Take a tool's payload."""
    kind = sources.get(slug)
    if kind is None:
        return Response(f"There is no integration of the kind {slug}.\n", 404, mimetype="text/plain")
    return http.receive(DOOR, f"/integrations/v1/{slug}/…/", lambda inbound: _identify(kind, key, inbound), lambda _caller: kind.parse)


def explain(slug: str, key: str) -> Response:
    """What a browser sees at the URL: what it is for."""
    kind = sources.get(slug)
    if kind is None:
        return Response(f"There is no integration of the kind {slug}.\n", 404, mimetype="text/plain")
    return Response(render_template("connect/_oncall_help.html", kind=kind), 200)


def _identify(kind: Source, key: str, _inbound: Inbound) -> Caller:
    try:
        caller = Caller(credentials.integration_of([key]))
    except Rejected as rejected:
        refusal = rejected.refusal
        raise Rejected(type(refusal)(refusal.reason, NOT_FOUND_TEXT), rejected.integration, rejected.key) from rejected
    owner = sources.get(caller.integration.source)
    theirs = owner.title if owner else caller.integration.source
    return credentials.must_be_of(caller, kind.name, f"This url is for integration with {kind.title}. Key is for {theirs}")
