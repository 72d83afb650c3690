"""What holds for alerts and incidents whatever happens, in whatever order."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.errors import Conflict
from app.core.types import Actor, ActorKind, Reason
from app.domain import incidents
from app.models import Alert, Incident, TimelineEntry
from app.wiring import transactions
from tests.accept.shop import START, Shop, acknowledge, resolve, rows, trigger

ANN = Actor(ActorKind.USER, "Ann")
KEYS = st.sampled_from(["disk", "cpu", "swap"])
GROUPS = st.sampled_from([None, "web", "db"])


HOW = settings(
    max_examples=30,
    stateful_step_count=20,
    phases=[Phase.generate],  # shrinking a story of real transactions takes minutes; the failing story is printed whole
    suppress_health_check=list(HealthCheck),
)


class Life(RuleBasedStateMachine):
    """Senders and people at work on one service."""

    app: Flask

    @initialize(group_by=st.sampled_from(["alert", "group"]), with_policy=st.booleans())
    def open_shop(self, group_by: str, with_policy: bool) -> None:
        self.shop = Shop(self.app, group_by=group_by, with_policy=with_policy)
        self.with_policy = with_policy
        self.now = START
        self.counted = 0

    @rule(key=KEYS, group=GROUPS, fast=st.booleans())
    def a_tool_triggers(self, key: str, group: str | None, fast: bool) -> None:
        accept = self.shop.fast if fast else self.shop.general
        (outcome,) = accept(trigger(key, group_key=group), now=self.now)
        assert outcome.reason in (Reason.NEW_INCIDENT, Reason.JOINED, Reason.DUPLICATE)
        self.counted += 1

    @rule(key=KEYS, fast=st.booleans())
    def a_tool_resolves(self, key: str, fast: bool) -> None:
        accept = self.shop.fast if fast else self.shop.general
        (outcome,) = accept(resolve(key), now=self.now)
        assert outcome.reason in (Reason.RESOLVED, Reason.NOTHING_OPEN)

    @rule(key=KEYS)
    def a_tool_acknowledges(self, key: str) -> None:
        self.shop.fast(acknowledge(key), now=self.now)

    @rule(keys=st.lists(KEYS, min_size=2, max_size=4), group=GROUPS)
    def a_tool_sends_a_batch(self, keys: list[str], group: str | None) -> None:
        outcomes = self.shop.fast(*(trigger(key, group_key=group) for key in keys), now=self.now)
        assert len(outcomes) == len(keys)
        self.counted += len(keys)

    @rule(action=st.sampled_from(["acknowledge", "unacknowledge", "snooze", "unsnooze", "resolve", "unresolve", "note"]), pick=st.integers(0, 5))
    def a_person_acts(self, action: str, pick: int) -> None:
        found = self.incidents()
        if not found:
            return
        number = found[pick % len(found)].id
        before = found[pick % len(found)].state
        extra: dict[str, Any] = {"snooze": {"until": self.now + timedelta(hours=1)}, "note": {"text": "hm"}}.get(action, {})

        def act(session: Any) -> incidents.Change:
            return getattr(incidents, action)(session, incidents.find(session, number), actor=ANN, now=self.now, **extra)  # type: ignore[no-any-return]

        try:
            change = transactions.run(act)
        except Conflict:
            return
        again = rows(Incident, Incident.id == number)[0]
        if action == "resolve":
            assert again.state == "resolved"
            assert change.changed is (before != "resolved")

    @rule(minutes=st.integers(0, 90))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    def incidents(self) -> list[Incident]:
        return rows(Incident, Incident.service_id == self.shop.service_id)

    @invariant()
    def the_promises_hold(self) -> None:
        if not hasattr(self, "shop"):
            return
        found, alerts, lines = transactions.run(self._read, "read")
        self._open_as_long_as_an_alert_fires(found, alerts)
        self._a_next_step_or_a_reason(found, alerts)
        assert sum(alert.count for alert in alerts) == self.counted, "a trigger was lost"
        for incident in found:
            times = [entry.at for entry in lines if entry.incident_id == incident.id]
            assert times, "an incident without a history"
            assert times == sorted(times), "history goes back"

    def _read(self, session: Session) -> tuple[list[Incident], list[Alert], list[TimelineEntry]]:
        mine = select(Incident.id).where(Incident.service_id == self.shop.service_id)
        return (
            list(session.scalars(select(Incident).where(Incident.service_id == self.shop.service_id))),
            list(session.scalars(select(Alert).where(Alert.service_id == self.shop.service_id))),
            list(session.scalars(select(TimelineEntry).where(TimelineEntry.incident_id.in_(mine)).order_by(TimelineEntry.id))),
        )

    def _open_as_long_as_an_alert_fires(self, found: list[Incident], alerts: list[Alert]) -> None:
        firing = [alert for alert in alerts if alert.state == "firing"]
        assert {alert.incident_id for alert in firing} == {incident.id for incident in found if incident.state != "resolved"}
        assert len({alert.dedup_key for alert in firing}) == len(firing)

    def _a_next_step_or_a_reason(self, found: list[Incident], alerts: list[Alert]) -> None:
        for incident in found:
            awaited = incident.state == "triggered" and incident.snoozed_until is None and self.with_policy
            assert (incident.next_step_at is not None) is awaited
            assert (incident.idle_reason is None) is awaited
            assert incident.state != "acknowledged" or incident.acknowledged_at is not None
            assert (incident.resolved_at is not None) is (incident.state == "resolved")
            assert incident.alert_count == sum(alert.incident_id == incident.id for alert in alerts)


def test_the_life_of_incidents_keeps_its_promises(app: Flask) -> None:
    machine = type("LifeOfThisApp", (Life,), {"app": app})
    run_state_machine_as_test(machine, settings=HOW)


@pytest.mark.parametrize("action", ["unacknowledge", "unsnooze", "unresolve"])
def test_an_action_that_does_not_fit_the_state_says_so(app: Flask, action: str) -> None:
    shop = Shop(app)
    (outcome,) = shop.fast(trigger())
    with pytest.raises(Conflict, match="Incident"):
        transactions.run(lambda session: getattr(incidents, action)(session, incidents.find(session, outcome.incident_id or 0), actor=ANN, now=START))
