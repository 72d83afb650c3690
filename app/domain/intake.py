"""The main path on one page: a request becomes a Plan without any SQL, and a Plan becomes rows in one transaction.

`prepare` is pure: route, keys, texts, severity.  `accept` is the general path; plain triggers and resolves may instead
take the fast path of `accept_sql`, which leaves equal rows (a hypothesis test proves it).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from app.core.text import bounded_key, clean, clean_block, clean_json, clean_line
from app.core.types import Action, Event, Ignored, Inbound, Reason
from app.domain import access, alerts, receipts, routing
from app.domain.facts import IntegrationFacts
from app.domain.plans import Outcome, Plan, PlannedEvent, ReceiptFacts, StaleConfig

MAX_SUMMARY = 1024
MAX_DETAILS = 32_768
_NO_SUMMARY = "(no summary)"


def prepare(integration: IntegrationFacts, inbound: Inbound, events: Sequence[Event | Ignored], receipt: ReceiptFacts, *, now: datetime) -> Plan:
    """Decide everything that needs no database.

    Raises:
        TemplateFailed: a route's or group's template cannot be rendered.
    """
    payload = routing.payload_of(integration, inbound)
    planned = tuple(event if isinstance(event, Ignored) else _settle(integration, event, routing.choose(integration, event, payload)) for event in events)
    return Plan(integration, planned, receipt, now)


def prepare_unrecognised(integration: IntegrationFacts, inbound: Inbound, why: str, receipt: ReceiptFacts, *, now: datetime) -> Plan:
    """A request that could not be read opens (or joins) one incident per integration, with the body attached: nothing is lost."""
    excerpt = clean(inbound.body[:4000].decode("utf-8", "replace")).replace("```", "'''")
    event = Event(
        action=Action.TRIGGER,
        dedup_key=f"unrecognised:{integration.public_id}",
        key_is_given=True,
        summary=f"Unrecognised payload from {integration.name}",
        details=f"Tocsin could not read a request: {why}\n\nIt is kept among the integration's requests. It begins:\n\n```\n{excerpt}\n```",
    )
    service = integration.service
    planned = replace(_settle(integration, event, routing.Choice(service, service.policy, None, None, None)), kind="unrecognised")
    return Plan(integration, (planned,), receipt, now, problem=clean_block(why, 2000))


def accept(session: Session, plan: Plan) -> list[Outcome]:
    """The general path: the receipt and all events, in one transaction.

    Raises:
        StaleConfig: the catalog changed since the plan was made.
    """
    if access.config_version(session) != plan.integration.config_version:
        raise StaleConfig
    outcomes = _apply_all(session, plan)
    receipts.add(session, plan, outcomes)
    session.flush()
    return outcomes


def _apply_all(session: Session, plan: Plan) -> list[Outcome]:
    alerts.lock_firing(session, plan)
    outcomes: dict[int, Outcome] = {}
    for n, event in plan.in_lock_order():
        if isinstance(event, Ignored):
            outcomes[n] = Outcome(None, "ignored", Reason.IGNORED, why=event.why)
        else:
            outcomes[n] = alerts.apply(session, plan, event)
    ordered = [outcomes[n] for n in range(len(plan.events))]
    if plan.problem is None:
        return ordered
    return [replace(outcome, verdict="unrecognised", reason=Reason.UNRECOGNISED, why=plan.problem) for outcome in ordered]


def _settle(integration: IntegrationFacts, event: Event, choice: routing.Choice) -> PlannedEvent:
    summary = clean_line(event.summary, MAX_SUMMARY) or _NO_SUMMARY
    details = clean_block(event.details, MAX_DETAILS)
    severity = choice.severity or event.severity or choice.service.default_severity
    return PlannedEvent(
        action=event.action,
        dedup_key=stored_key(integration.source, event, summary, details),
        service=choice.service,
        policy=choice.policy,
        summary=summary,
        details=details,
        severity=severity,
        urgency=choice.service.urgency(severity),
        occurred_at=event.occurred_at,
        occurred_field=event.occurred_field[:64],
        group_key=choice.group_key,
        route_id=choice.route_id,
        source_link=clean_line(event.source_link, 2000) if event.source_link else "",
        links=list(_links(event)),
        labels={clean_line(str(k), 255): clean_line(str(v), 1024) for k, v in list(event.labels.items())[:100]},
        custom_details=clean_json(event.custom_details),
    )


def stored_key(source: str, event: Event, summary: str, details: str) -> str:
    """The dedup key as stored: a given one is the service's own; a derived one names its source, so that two tools never collide."""
    key = clean(event.dedup_key or "").strip()
    if key and event.key_is_given:
        return bounded_key(key)
    if not key:
        text = f"{summary}\n{details}" if details else summary
        key = "auto:" + hashlib.sha256(text.encode()).hexdigest()
    return bounded_key(f"{source}:{key}")


def _links(event: Event) -> Iterator[dict[str, str]]:
    for link in event.links[:50]:
        href = clean_line(link.href, 2000)
        if href:
            yield {"href": href, "text": clean_line(link.text, 255)}
