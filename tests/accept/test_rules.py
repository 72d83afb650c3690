"""The rules of accepting, one sentence each."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask

from app.core.errors import Conflict
from app.core.types import Action, Actor, ActorKind, Event, Reason
from app.domain import incidents, intake
from app.domain.intake import stored_key
from app.domain.plans import StaleConfig
from app.models import Alert, Incident, Integration, Meta, Receipt, ReceiptEvent, TimelineEntry
from app.wiring import transactions
from tests.accept.shop import START, Shop, minutes, resolve, rows, trigger

ANN = Actor(ActorKind.USER, "Ann")


@pytest.fixture(params=["fast", "general"])
def path(request: pytest.FixtureRequest) -> str:
    """Both ways of accepting."""
    return str(request.param)


def test_a_repeat_counts_and_changes_nothing_else(app: Flask, path: str) -> None:
    shop = Shop(app)
    accept = getattr(shop, path)
    (opened,) = accept(trigger(summary="disk is full"))
    (again,) = accept(trigger(summary="disk is very full"), now=minutes(1))

    assert (again.reason, again.incident_id, again.is_new) == (Reason.DUPLICATE, opened.incident_id, False)
    (alert,) = rows(Alert)
    assert (alert.count, alert.summary, alert.last_summary, alert.last_seen_at) == (2, "disk is full", "disk is very full", minutes(1))
    assert [line.kind for line in rows(TimelineEntry)] == ["opened"]


def test_a_repeat_does_not_undo_an_acknowledgement(app: Flask, path: str) -> None:
    shop = Shop(app)
    (opened,) = getattr(shop, path)(trigger())
    transactions.run(lambda session: incidents.acknowledge(session, incidents.find(session, opened.incident_id or 0), actor=ANN, now=START))
    getattr(shop, path)(trigger(), now=minutes(1))
    assert rows(Incident)[0].state == "acknowledged"


def test_a_trigger_after_a_resolve_is_a_new_incident(app: Flask, path: str) -> None:
    accept = getattr(Shop(app), path)
    (first,), _, (second,) = accept(trigger()), accept(resolve(), now=minutes(1)), accept(trigger(), now=minutes(2))
    assert second.is_new
    assert second.incident_id != first.incident_id


def test_a_resolve_with_nothing_open_is_a_receipt_that_says_so(app: Flask, path: str) -> None:
    (outcome,) = getattr(Shop(app), path)(resolve())
    assert outcome.reason is Reason.NOTHING_OPEN
    (receipt,) = rows(Receipt)
    assert (receipt.reason, receipt.verdict, receipt.incident_id) == ("nothing_open", "accepted", None)
    assert rows(Incident) == []


def test_a_late_trigger_is_shown_and_pages_nobody(app: Flask, path: str) -> None:
    accept = getattr(Shop(app), path)
    (first,) = accept(trigger(occurred_at=minutes(0), occurred_field="at"))
    accept(resolve(occurred_at=minutes(5), occurred_field="at"), now=minutes(5))
    (late,) = accept(trigger(occurred_at=minutes(4), occurred_field="at"), now=minutes(6))

    assert (late.reason, late.incident_id, late.is_new) == (Reason.STALE, first.incident_id, False)
    assert len(rows(Incident)) == 1
    assert [line.kind for line in rows(TimelineEntry)] == ["opened", "resolved", "stale"]
    assert rows(Receipt)[-1].reason == "stale"


@pytest.mark.parametrize(
    ("doubt", "extra", "after"),
    [
        ("another field", {"occurred_at": minutes(4), "occurred_field": "other"}, 6),
        ("the same moment", {"occurred_at": minutes(5), "occurred_field": "at"}, 6),
        ("no time at all", {}, 6),
        ("long after the resolve", {"occurred_at": minutes(4), "occurred_field": "at"}, 16),
    ],
)
def test_in_any_doubt_about_the_order_it_pages(app: Flask, path: str, doubt: str, extra: dict[str, object], after: int) -> None:
    accept = getattr(Shop(app), path)
    accept(trigger(occurred_at=minutes(0), occurred_field="at"))
    accept(resolve(occurred_at=minutes(5), occurred_field="at"), now=minutes(5))
    (outcome,) = accept(trigger(**extra), now=minutes(after))
    assert outcome.reason is Reason.NEW_INCIDENT, doubt


def test_a_resolve_by_hand_resolves_the_alerts_so_that_the_next_trigger_pages(app: Flask, path: str) -> None:
    shop = Shop(app)
    (opened,) = getattr(shop, path)(trigger())
    transactions.run(lambda session: incidents.resolve(session, incidents.find(session, opened.incident_id or 0), actor=ANN, now=START))
    (again,) = getattr(shop, path)(trigger(), now=minutes(1))
    assert again.reason is Reason.NEW_INCIDENT


def test_events_of_one_group_share_an_incident_that_resolves_with_the_last(app: Flask) -> None:
    shop = Shop(app, group_by="group")
    outcomes = shop.fast(trigger("a", group_key="web"), trigger("b", group_key="web"), trigger("c", group_key="db"))
    assert [outcome.reason for outcome in outcomes] == [Reason.NEW_INCIDENT, Reason.JOINED, Reason.NEW_INCIDENT]
    assert outcomes[0].incident_id == outcomes[1].incident_id != outcomes[2].incident_id

    shop.fast(resolve("a"), now=minutes(1))
    assert [incident.state for incident in rows(Incident)] == ["triggered", "triggered"]
    shop.fast(resolve("b"), now=minutes(2))
    assert [incident.state for incident in rows(Incident)] == ["resolved", "triggered"]


def test_a_batch_keeps_what_became_of_each_event(app: Flask) -> None:
    shop = Shop(app)
    shop.fast(trigger("a"))
    outcomes = shop.fast(trigger("b"), trigger("a"), resolve("nothing"), now=minutes(1))
    assert [outcome.reason for outcome in outcomes] == [Reason.NEW_INCIDENT, Reason.DUPLICATE, Reason.NOTHING_OPEN]
    receipt = rows(Receipt)[-1]
    kept = transactions.run(lambda session: [(each.n, each.reason) for each in session.query(ReceiptEvent).order_by(ReceiptEvent.n)], "read")
    assert receipt.event_count == 3
    assert kept == [(0, "new_incident"), (1, "duplicate"), (2, "nothing_open")]


def test_bodies_are_dropped_after_the_hundredth_repeat_within_an_hour(app: Flask, path: str) -> None:
    shop = Shop(app)
    getattr(shop, path)(trigger())
    transactions.run(lambda session: session.query(Alert).update({Alert.window_count: 99}))
    for n in (1, 2):
        getattr(shop, path)(trigger(), now=minutes(n))
    getattr(shop, path)(trigger(), now=minutes(61))
    assert [receipt.body is not None for receipt in rows(Receipt)] == [True, True, False, True]


def test_a_resolve_finds_its_alert_when_the_route_has_changed_since(app: Flask, path: str) -> None:
    shop, other = Shop(app), Shop(app)
    (opened,) = getattr(shop, path)(trigger())
    transactions.run(lambda session: session.query(Integration).filter_by(id=shop.integration_id).update({"service_id": other.service_id}))
    shop.runtime.cache.drop()
    (outcome,) = getattr(shop, path)(resolve(), now=minutes(1))
    assert (outcome.reason, outcome.incident_id) == (Reason.RESOLVED, opened.incident_id)


def test_a_plan_made_before_a_change_of_the_catalog_stores_nothing(app: Flask, path: str) -> None:
    shop = Shop(app)
    plan = shop.plan(trigger(), now=START)
    transactions.run(lambda session: session.query(Meta).update({Meta.config_version: Meta.config_version + 1}))
    accept = shop.runtime.acceptor.accept if path == "fast" else lambda each: transactions.run(lambda session: intake.accept(session, each))
    with pytest.raises(StaleConfig):
        accept(plan)
    assert rows(Alert) == []
    assert rows(Receipt) == []


def test_given_keys_are_the_services_and_derived_keys_name_their_source() -> None:
    event = Event(Action.TRIGGER, "disk", key_is_given=True)
    assert stored_key("generic", event, "s", "") == "disk"
    assert stored_key("tool", replace(event, key_is_given=False), "s", "") == "tool:disk"
    assert stored_key("tool", replace(event, dedup_key="  "), "s", "").startswith("tool:auto:")


def test_default_keys_join_only_equal_summary_and_details() -> None:
    event = Event(Action.TRIGGER, None)
    assert stored_key("tool", event, "a", "b") == stored_key("tool", event, "a", "b")
    assert len({stored_key("tool", event, "a", "b"), stored_key("tool", event, "a", ""), stored_key("tool", event, "ab", "")}) == 3


def test_long_keys_stay_apart() -> None:
    event = Event(Action.TRIGGER, "k" * 400, key_is_given=True)
    one, two = stored_key("tool", event, "", ""), stored_key("tool", replace(event, dedup_key="k" * 401), "", "")
    assert one != two
    assert max(len(one), len(two)) <= 255


def test_a_second_acknowledgement_says_who_was_first(app: Flask) -> None:
    (opened,) = Shop(app).fast(trigger())

    def act(who: str) -> incidents.Change:
        actor = Actor(ActorKind.USER, who)
        return transactions.run(lambda session: incidents.acknowledge(session, incidents.find(session, opened.incident_id or 0), actor=actor, now=START))

    assert act("Ann").changed
    second = act("Bob")
    assert not second.changed
    assert "Ann acknowledged it first" in second.sentence


def test_unresolve_is_refused_when_the_key_fires_elsewhere(app: Flask) -> None:
    shop = Shop(app)
    (first,) = shop.fast(trigger())
    shop.fast(resolve(), now=minutes(1))
    (second,) = shop.fast(trigger(), now=minutes(2))
    with pytest.raises(Conflict) as refused:
        transactions.run(lambda session: incidents.unresolve(session, incidents.find(session, first.incident_id or 0), actor=ANN, now=minutes(3)))
    assert refused.value.link == f"/incidents/{second.incident_id}"


def test_a_snooze_ends_an_acknowledgement_and_begins_again_at_step_one(app: Flask) -> None:
    (opened,) = Shop(app).fast(trigger())

    def act(name: str, **extra: object) -> None:
        verb = getattr(incidents, name)
        transactions.run(lambda session: verb(session, incidents.find(session, opened.incident_id or 0), actor=ANN, now=minutes(1), **extra))

    act("acknowledge")
    act("snooze", until=START + timedelta(hours=1))
    assert rows(Incident)[0].next_step_at is None
    act("unsnooze")
    (incident,) = rows(Incident)
    assert (incident.state, incident.escalation_step, incident.next_step_at, incident.escalation_round) == ("triggered", 0, minutes(1), 2)
