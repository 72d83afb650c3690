"""The generic API of GoAlert: `summary`, `details`, `action`, `dedup` and `meta` in the query, a form or a JSON body.

Facts: GoAlert's documentation of integration keys and its observed behaviour.  The body beats the query for each
parameter; JSON names match in any case; null counts as absent; only the exact word `close` closes; `meta` (repeated
`meta=name=value`, or an object of texts) becomes labels.  Three things differ, each because a sender expects it: JSON is
read by its look and not only by its Content-Type; an empty summary is refused, as documented; a close that names its
`dedup` needs no summary, since it says which alert it means.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from app.core.errors import Invalid, NotUnderstood
from app.core.types import Action, Event, Ignored, Inbound, Source, first

_TEXTS = ("summary", "details", "action", "dedup")


def parse(inbound: Inbound, _options: Mapping[str, Any]) -> list[Event | Ignored]:
    """One event.  Raises Invalid for an empty summary or a value of the wrong type, NotUnderstood for broken JSON."""
    given = {name: first(inbound.form, name) if name in inbound.form else first(inbound.query, name) for name in _TEXTS}
    labels = _pairs(inbound.query.get("meta", ())) | _pairs(inbound.form.get("meta", ()))
    for name, value in _json_body(inbound).items():
        if value is None:
            continue
        if name == "meta":
            labels = _json_labels(value)
        elif name in given:
            given[name] = _json_text(name, value)
    action = Action.RESOLVE if given["action"] == "close" else Action.TRIGGER
    dedup = given["dedup"].strip() or None
    if not given["summary"].strip() and not (dedup and action is Action.RESOLVE):
        raise Invalid("summary", "is required: say in one line what is wrong")
    return [Event(action, dedup, dedup is not None, given["summary"], given["details"], labels=labels, element={**given, "meta": labels})]


def _json_body(inbound: Inbound) -> dict[str, Any]:
    """The members of a JSON body by lower-case name, the last of equal ones; nothing when the body is a form or empty."""
    body = inbound.body.strip()
    says_json = inbound.content_type.endswith(("/json", "+json"))
    if not body or not (says_json or body.startswith(b"{")) or (says_json and body == b"null"):
        return {}
    try:
        return {name.lower(): value for name, value in inbound.json_object().items()}
    except NotUnderstood:
        if inbound.form and not says_json:
            return {}
        raise


def _json_text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise Invalid(name, f"must be text in JSON, not {json.dumps(value)[:40]}")
    return value


def _json_labels(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise Invalid("meta", 'must be an object of texts in JSON, as {"host": "db-1"}')
    return value


def _pairs(values: Iterable[str]) -> dict[str, str]:
    """`name=value` texts; those without a name or an equals sign say nothing."""
    return {name.strip(): text for name, sign, text in (value.partition("=") for value in values) if sign and name.strip()}


source = Source(
    name="generic",
    title="Generic API",
    parse=parse,
    docs_url="https://github.com/target/goalert",
    test_payload='{"summary": "Test alert from Tocsin", "details": "Sent by the test button.", "dedup": "tocsin-test"}',
)
