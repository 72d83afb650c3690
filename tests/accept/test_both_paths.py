"""The fast path and the general path leave equal rows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import inspect

from app.core.types import Action, Actor, ActorKind, Event, Ignored, Link, Severity
from app.domain import incidents
from app.models import Alert, Incident, Receipt, ReceiptEvent, TimelineEntry
from app.wiring import transactions
from tests.accept.shop import START, Shop, rows

KEYS = st.sampled_from(["disk", "cpu", "ключ ✓"])
JSON = st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5), lambda inner: st.lists(inner, max_size=2), max_leaves=4)
PEOPLE = Actor(ActorKind.USER, "Ann", None, None)


@st.composite
def events(draw: st.DrawFn) -> Event:
    occurred = draw(st.none() | st.integers(-20, 20))
    return Event(
        action=draw(st.sampled_from([Action.TRIGGER, Action.TRIGGER, Action.RESOLVE])),
        dedup_key=draw(KEYS | st.none()),
        key_is_given=draw(st.booleans()),
        summary=draw(st.text(max_size=20)),
        details=draw(st.text(max_size=20)),
        severity=draw(st.sampled_from([None, *Severity])),
        occurred_at=None if occurred is None else START + timedelta(minutes=occurred),
        occurred_field=draw(st.sampled_from(["startsAt", "timestamp"])),
        links=draw(st.lists(st.builds(Link, st.text(max_size=8), st.text(max_size=8)), max_size=2).map(tuple)),
        labels=draw(st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2)),
        custom_details=draw(JSON),
    )


REQUESTS = st.lists(events() | st.builds(Ignored, st.text(max_size=5)), min_size=1, max_size=4)
STEPS = st.lists(st.one_of(REQUESTS, st.sampled_from(["a person resolves everything", "a person acknowledges everything"])), min_size=1, max_size=8)


@settings(max_examples=60, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=STEPS, gaps=st.lists(st.sampled_from([0, 1, 5, 12, 70]), min_size=1, max_size=4), with_policy=st.booleans())
def test_the_fast_and_the_general_path_leave_equal_rows(app: Flask, steps: list[list[Event] | str], gaps: list[int], with_policy: bool) -> None:
    fast, general = Shop(app, with_policy=with_policy), Shop(app, with_policy=with_policy)
    now = START
    for n, step in enumerate(steps):
        now += timedelta(minutes=gaps[n % len(gaps)])
        if isinstance(step, list):
            quick = fast.fast(*step, now=now)
            slow = general.general(*step, now=now)
            assert [(each.reason, each.verdict, each.dedup_key) for each in quick] == [(each.reason, each.verdict, each.dedup_key) for each in slow]
        else:
            act = incidents.resolve if "resolves" in step else incidents.acknowledge
            for shop in (fast, general):
                _act_on_all_open(shop, act, now)
    assert picture(fast) == picture(general)


def _act_on_all_open(shop: Shop, act: Any, now: datetime) -> None:
    for incident in rows(Incident, Incident.service_id == shop.service_id, Incident.state != "resolved"):
        transactions.run(lambda session, number=incident.id: act(session, session.get_one(Incident, number), actor=PEOPLE, now=now))


def picture(shop: Shop) -> dict[str, list[dict[str, Any]]]:
    """All rows of a shop, with ids replaced by their order."""
    found = rows(Incident, Incident.service_id == shop.service_id)
    numbers = {incident.id: n for n, incident in enumerate(found)}
    alerts = rows(Alert, Alert.service_id == shop.service_id)
    alert_numbers = {alert.id: n for n, alert in enumerate(alerts)}
    lines = rows(TimelineEntry, TimelineEntry.incident_id.in_(numbers))
    kept = rows(Receipt, Receipt.integration_id == shop.integration_id)
    parts = rows(ReceiptEvent, ReceiptEvent.receipt_id.in_([receipt.id for receipt in kept]))
    named = {"incidents": found, "alerts": alerts, "timeline": lines, "receipts": kept, "parts": parts}
    return {name: [_plain(row, numbers, alert_numbers, shop) for row in each] for name, each in named.items()}


def _plain(row: Any, numbers: dict[int, int], alert_numbers: dict[int, int], shop: Shop) -> dict[str, Any]:
    values = {column.key: getattr(row, column.key) for column in inspect(type(row)).column_attrs}
    for name in ("id", "public_id", "service_id", "integration_id", "policy_snapshot_id", "actor_id", "receipt_id"):
        values.pop(name, None)
    values["actor_label"] = "" if values.get("actor_label") == shop.facts.name else values.get("actor_label")
    if values.get("resolved_by") and isinstance(values["resolved_by"], dict):
        values["resolved_by"] = values["resolved_by"]["kind"]
    if values.get("incident_id") is not None:
        values["incident_id"] = numbers[values["incident_id"]]
    if values.get("alert_id") is not None:
        values["alert_id"] = alert_numbers[values["alert_id"]]
    return values
