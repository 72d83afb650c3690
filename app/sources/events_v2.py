"""Events API v2: the body of PagerDuty's `/v2/enqueue` and of our own `/api/events`.

Facts: https://developer.pagerduty.com/docs/events-api-v2 and what its clients really send.  A resolve may carry the
whole payload again (Alertmanager does) or nothing (the Python client); custom_details may be any JSON; images come with
`src` or `url`; numbers stand where text is meant.  Too long texts are cut further in, never refused.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from app.core.errors import InvalidFields
from app.core.times import time_of
from app.core.types import Action, Event, Ignored, Inbound, Link, Severity, Source
from app.sources._reading import dig, labels_of, links_of, list_of, mapping_of, text_at, web_address

_MISSING = "is missing or blank"
_NOT_TEXT = "must be text"
_NOT_AN_OBJECT = "must be an object"
_ACTIONS = "is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')"
_SEVERITIES = "is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')"


def parse(inbound: Inbound, _options: Mapping[str, Any]) -> list[Event | Ignored]:
    """`/api/events`: dedup_key always, summary and source on a trigger, severity if known.  Raises InvalidFields with all that is wrong."""
    body = inbound.json_object()
    problems = list(_problems(body, always_needs_key=True, needs_severity=False))
    if problems:
        raise InvalidFields(problems)
    return [_event(body, text_at(body, "dedup_key"))]


def parse_pagerduty(inbound: Inbound, _options: Mapping[str, Any]) -> list[Event | Ignored]:
    """`/v2/enqueue`: severity is needed, a trigger without dedup_key gets a random one.  Raises InvalidFields in PagerDuty's words."""
    body = inbound.json_object()
    problems = list(_problems(body, always_needs_key=False, needs_severity=True))
    if problems:
        raise InvalidFields([(field, f"'{field}' {why}") for field, why in problems])
    return [_event(body, text_at(body, "dedup_key") or uuid.uuid4().hex)]


def _problems(body: Mapping[str, Any], *, always_needs_key: bool, needs_severity: bool) -> Iterator[tuple[str, str]]:
    action = text_at(body, "event_action").lower()
    if action not in list(Action):
        yield "event_action", _ACTIONS if action else _MISSING
    yield from _text_problems(body, "dedup_key", needed=always_needs_key or action in (Action.ACKNOWLEDGE, Action.RESOLVE))
    if action != Action.TRIGGER:
        return
    if not isinstance(body.get("payload"), dict | None):
        yield "payload", _NOT_AN_OBJECT
        return
    yield from _text_problems(body, "payload.summary", needed=True)
    yield from _text_problems(body, "payload.source", needed=True)
    severity = text_at(body, "payload.severity").lower()
    if severity and severity not in list(Severity):
        yield "payload.severity", _SEVERITIES
    elif needs_severity and not severity:
        yield "payload.severity", _MISSING


def _text_problems(body: Mapping[str, Any], field: str, *, needed: bool) -> Iterator[tuple[str, str]]:
    if isinstance(dig(body, field), dict | list):
        yield field, _NOT_TEXT
    elif needed and not text_at(body, field):
        yield field, _MISSING


def _event(body: Mapping[str, Any], dedup_key: str) -> Event:
    payload = mapping_of(body.get("payload"))
    severity = text_at(payload, "severity").lower()
    custom = payload.get("custom_details")
    return Event(
        action=Action(text_at(body, "event_action").lower()),
        dedup_key=dedup_key,
        key_is_given=True,
        summary=text_at(payload, "summary"),
        details=custom if isinstance(custom, str) else "",
        severity=Severity(severity) if severity in list(Severity) else None,
        occurred_at=time_of(payload.get("timestamp")),
        occurred_field="payload.timestamp",
        group_key=text_at(payload, "group") or None,
        source_link=web_address(body.get("client_url")),
        links=_links(body),
        labels=labels_of({name: payload.get(name) for name in ("source", "component", "group", "class")} | {"client": body.get("client")}),
        custom_details=custom,
        element=body,
    )


def _links(body: Mapping[str, Any]) -> tuple[Link, ...]:
    links = [(dig(link, "href"), text_at(link, "text")) for link in list_of(body.get("links"))]
    images = [(dig(image, "href") or dig(image, "src") or dig(image, "url"), text_at(image, "alt")) for image in list_of(body.get("images"))]
    return links_of(*links, *images)


source = Source(
    name="events-v2",
    title="Events API v2",
    parse=parse,
    docs_url="https://developer.pagerduty.com/docs/events-api-v2",
    aliases=("EVENTS_API_V2", "events-api"),
    test_payload='{"event_action": "trigger", "dedup_key": "tocsin-test", '
    '"payload": {"summary": "Test alert from Tocsin", "source": "tocsin", "severity": "info"}}',
)
