"""The way of one HTTP request: authenticate, check, parse, prepare, accept, answer.

Nothing is answered 2xx before its commit, nothing is dropped: what cannot be read opens the "unrecognised payload"
incident, what is refused leaves a receipt where the integration is known.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from flask import Response, request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from app.core.errors import Invalid, InvalidFields, NotUnderstood
from app.core.templating import TemplateFailed
from app.core.types import Event, Ignored, Inbound, Reason
from app.domain import access, intake, receipts
from app.domain.facts import IntegrationFacts, Principal
from app.domain.plans import NEEDS_THE_ENGINE, Outcome, Plan, ReceiptFacts, StaleConfig
from app.intake import signatures
from app.intake.doors import Door, Refusal
from app.wiring import transactions
from app.wiring.acceptor import is_refused_data
from app.wiring.runtime import Runtime, runtime

log = logging.getLogger(__name__)
MAX_TRIES = 8
"""Times that a request starts again because the catalog changed under it."""
MAX_EVENTS = 2_000
"""Events of one request; a larger batch is refused whole, so that its sender splits it."""
AWAY_RETRY_AFTER = 5
"""Seconds after which a sender may try again when the database is away."""

Parse = Callable[[Inbound, Mapping[str, Any]], Sequence[Event | Ignored]]


@dataclass(frozen=True, slots=True)
class Caller:
    """The integration that a request is for, and the API key that it came with, if any."""

    integration: IntegrationFacts
    token: Principal | None = None


class Rejected(Exception):  # noqa: N818 - reads as what happened
    """The request is refused; `integration` is set when it is known whose it is, `key` when nobody knows it."""

    def __init__(self, refusal: Refusal, integration: IntegrationFacts | None = None, key: str = "", version: int | None = None) -> None:
        """Keep what the receipt needs; `version` is the catalog's that the refusal rests on."""
        super().__init__(refusal.why)
        self.refusal = refusal
        self.integration = integration
        self.key = key
        self.version = integration.config_version if integration else version


@dataclass(frozen=True, slots=True)
class Visit:
    """One request at one door: how its sender is found and its body read."""

    door: Door
    inbound: Inbound
    identify: Callable[[Inbound], Caller]
    """Raises Rejected."""
    parse: Callable[[Caller], Parse]
    path: str
    """The path without its secrets."""


def take(visit: Visit) -> Response:
    """Answer one request."""
    try:
        return _take(runtime(), visit)
    except transactions.DatabaseAway as error:
        log.warning("the database is away, answered %s with 503: %s", visit.path, error)
        why = "Tocsin cannot reach its database; nothing was stored. Send it again."
        return visit.door.refuse(Refusal(Reason.AWAY, why, retry_after=AWAY_RETRY_AFTER))


def _take(rt: Runtime, visit: Visit) -> Response:
    for _ in range(MAX_TRIES):
        try:
            caller = visit.identify(visit.inbound)
            _check(rt, caller, visit.inbound)
            outcomes, problem = _accept(rt, visit, caller)
        except StaleConfig:
            rt.cache.drop()
        except Rejected as rejected:
            # A refusal from the cache is only good while the catalog is the one that was read.
            if rejected.version is None or rt.cache.is_current(rejected.version):
                return _reject(rt, visit, rejected)
        else:
            if any(outcome.reason in NEEDS_THE_ENGINE for outcome in outcomes):
                rt.knock.ring()
            return visit.door.refuse(problem) if problem else visit.door.answer(visit.inbound, outcomes)
    return visit.door.refuse(Refusal(Reason.AWAY, "The configuration is changing too fast; send it again.", retry_after=1))


def _check(rt: Runtime, caller: Caller, inbound: Inbound) -> None:
    """Refuse what is disabled, wrongly signed or too much."""
    integration = caller.integration
    if not integration.enabled:
        raise Rejected(Refusal(Reason.DISABLED, f"The integration {integration.name} is disabled; enable it in Tocsin."), integration)
    unsigned = signatures.problem(integration, inbound)
    if unsigned:
        raise Rejected(Refusal(Reason.WRONG_SIGNATURE, unsigned), integration)
    wait = rt.limiter.seconds_to_wait(integration, caller.token, rt.now())
    if wait is not None:
        why = f"The integration {integration.name} is over its limit; try again in {wait} s."
        raise Rejected(Refusal(Reason.LIMITED, why, retry_after=wait), integration)


def _accept(rt: Runtime, visit: Visit, caller: Caller) -> tuple[list[Outcome], Refusal | None]:
    """Parse and store; a Refusal when the body could not be read (it is stored all the same)."""
    try:
        plan = _plan(rt, visit, caller)
    except InvalidFields as error:
        raise Rejected(_invalid(error.problems), caller.integration) from error
    except Invalid as error:
        raise Rejected(_invalid([(error.field, error.why)]), caller.integration) from error
    except (NotUnderstood, TemplateFailed) as error:
        return _accept_unrecognised(rt, visit, caller, error.why)
    except Exception:
        log.exception("the source %s failed on a request", caller.integration.source)
        return _accept_unrecognised(rt, visit, caller, "Tocsin has a fault in reading this kind of request.")
    try:
        return rt.acceptor.accept(plan), None
    except Exception as error:
        if not is_refused_data(error):
            raise
        log.exception("the database refused the data of a request")
        return _accept_unrecognised(rt, visit, caller, "the database refused a value in it")


def _plan(rt: Runtime, visit: Visit, caller: Caller) -> Plan:
    events = visit.parse(caller)(visit.inbound, caller.integration.options)
    if len(events) > MAX_EVENTS:
        raise Invalid("body", f"A request may carry {MAX_EVENTS} events; this one has {len(events)}. Send them in smaller parts.")
    return intake.prepare(caller.integration, visit.inbound, events, _kept(rt, visit, visit.door.success, caller.token), now=rt.now())


def _accept_unrecognised(rt: Runtime, visit: Visit, caller: Caller, why: str) -> tuple[list[Outcome], Refusal]:
    kept = _kept(rt, visit, visit.door.status_of(Reason.UNRECOGNISED), caller.token)
    plan = intake.prepare_unrecognised(caller.integration, visit.inbound, why, kept, now=rt.now())
    return rt.acceptor.accept(plan), Refusal(Reason.UNRECOGNISED, f"This could not be read: {why}. It is kept, and the team is told.")


def _invalid(problems: Sequence[tuple[str, str]]) -> Refusal:
    return Refusal(Reason.INVALID, "; ".join(f"{field}: {why}" for field, why in problems), tuple(problems))


def _reject(rt: Runtime, visit: Visit, rejected: Rejected) -> Response:
    """Note the refusal, then answer it."""
    refusal, integration = rejected.refusal, rejected.integration
    kept = _kept(rt, visit, visit.door.status_of(refusal.reason), None)
    now = rt.now()
    if integration is not None:
        transactions.run(lambda session: receipts.add_rejected(session, integration.id, kept, refusal.reason, refusal.why, now=now))
    else:
        transactions.run(lambda session: receipts.add_unknown(session, kept, refusal.reason, rejected.key, now=now))
    return visit.door.refuse(refusal)


def _kept(rt: Runtime, visit: Visit, status: int, token: Principal | None) -> ReceiptFacts:
    token_id = token.token_id if token else None
    return receipts.facts(visit.inbound, visit.door.name, status, path=visit.path, pack=rt.settings.is_sqlite, token_id=token_id)


def read_inbound() -> Inbound:
    """The request as a value; forms are parsed from the bytes.

    Raises:
        RequestEntityTooLarge: the body is longer than MAX_BODY_BYTES.
        ClientDisconnected: the sender hung up before the end; what came is not a message.
    """
    limit, declared = runtime().settings.max_body_bytes, request.content_length
    request.max_content_length = limit if declared is not None else limit + 1  # a body in chunks is cut there without a word
    body = request.get_data(cache=True, parse_form_data=False)
    if len(body) > limit:
        raise RequestEntityTooLarge
    if declared is not None and len(body) < declared:
        raise ClientDisconnected
    return _inbound(body, _form(body, request.mimetype))


def inbound_without_body() -> Inbound:
    """The request but for its body, which is too long to be read."""
    return _inbound(b"", {})


def receive(door: Door, path: str, identify: Callable[[Inbound], Caller], parse: Callable[[Caller], Parse]) -> Response:
    """Read the current request and answer it."""
    try:
        inbound = read_inbound()
    except RequestEntityTooLarge:
        return _too_large(Visit(door, inbound_without_body(), identify, parse, path))
    except ClientDisconnected:
        return Response(status=400)
    return take(Visit(door, inbound, identify, parse, path))


def _too_large(visit: Visit) -> Response:
    """413, with a receipt when the head of the request says whose it is."""
    limit = runtime().settings.max_body_bytes
    refusal = Refusal(Reason.TOO_LARGE, f"Request Entity Too Large (max body: {limit} bytes)")
    try:
        rejected = Rejected(refusal, visit.identify(visit.inbound).integration)
    except Rejected as unknown:
        rejected = Rejected(refusal, unknown.integration, unknown.key)
    try:
        return _reject(runtime(), visit, rejected)
    except transactions.DatabaseAway:
        return visit.door.refuse(refusal)


def _inbound(body: bytes, form: Mapping[str, tuple[str, ...]]) -> Inbound:
    return Inbound(
        method=request.method,
        path=request.path,
        headers={name.lower(): value for name, value in request.headers.items()},
        query={name: tuple(values) for name, values in request.args.lists()} if request.query_string else {},
        body=body,
        form=form,
        remote=request.remote_addr or "",
    )


def _form(body: bytes, mimetype: str) -> dict[str, tuple[str, ...]]:
    if mimetype == "application/x-www-form-urlencoded":
        pairs = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=1000) if body.count(b"&") < 1000 else {}
        return {name: tuple(values) for name, values in pairs.items()}
    if mimetype == "multipart/form-data":
        from io import BytesIO

        parser = FormDataParser(max_form_memory_size=None, max_form_parts=1000, silent=True)
        _stream, form, _files = parser.parse(BytesIO(body), mimetype, len(body), request.mimetype_params)
        return {name: tuple(values) for name, values in form.lists()}
    return {}


def expired(integration: IntegrationFacts, key_hash: str) -> bool:
    """Whether the key that named an integration has run out."""
    found = next((key for key in integration.keys if key.key_hash == key_hash), None)
    return found is None or access.is_expired(found.expires_at, runtime().now())
