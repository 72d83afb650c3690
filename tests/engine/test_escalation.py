"""Which step an incident is at, and whom it pages."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from flask import Flask

from app.core.types import SYSTEM
from app.domain import escalation, incidents
from app.models import Incident, PolicySnapshot, TimelineEntry
from app.wiring import transactions
from tests.engine import making
from tests.world.clock import MONDAY, FakeClock

pytestmark = pytest.mark.usefixtures("app")
HOOK = "http://127.0.0.1:9/"


def advance(incident: Incident, now: datetime = MONDAY) -> bool:
    return transactions.run(lambda session: escalation.advance(session, [incident.id], now=now)) == 1


def now_is(incident: Incident) -> Incident:
    return next(row for row in making.all_of(Incident) if row.id == incident.id)


def lines(kind: str) -> list[TimelineEntry]:
    return [entry for entry in making.all_of(TimelineEntry) if entry.kind == kind]


def one_step(*targets: dict[str, object], **options: int) -> Incident:
    return making.incident(making.service(), making.snapshot(targets, **options))


def test_a_step_pages_its_people_and_waits() -> None:
    ann = making.user("ann", HOOK + "ann")
    incident = one_step(making.target(ann), wait=300)

    assert advance(incident)

    (delivery,) = making.deliveries()
    assert (delivery.target, delivery.user_id, delivery.channel, delivery.address) == (f"user:{ann.id}", ann.id, "webhook", {"url": HOOK + "ann"})
    assert (delivery.state, delivery.due_at, delivery.escalation_round, delivery.escalation_step) == ("planned", MONDAY, 1, 0)
    assert now_is(incident).next_step_at == MONDAY + timedelta(minutes=5)
    (line,) = lines("escalated")
    assert line.data == {"step": 1, "steps": 1, "turn": 1, "policy": "Default", "paged": ["Ann"]}
    assert (line.reason, line.actor_label) == ("step_reached", "Tocsin")


def test_a_step_is_done_once() -> None:
    incident = one_step(making.target(making.user("ann", HOOK)))

    assert advance(incident)
    assert not advance(incident)

    assert len(making.deliveries()) == 1


def test_steps_follow_each_other_and_the_end_is_said() -> None:
    ann, bob = making.user("ann", HOOK), making.user("bob", HOOK)
    incident = making.incident(making.service(), making.snapshot([making.target(ann)], [making.target(bob)], wait=60))

    times = [MONDAY + timedelta(seconds=60 * n) for n in range(3)]
    assert [advance(incident, at) for at in times] == [True, True, True]

    assert [(delivery.user_id, delivery.due_at) for delivery in making.deliveries()] == [(ann.id, times[0]), (bob.id, times[1])]
    assert (now_is(incident).next_step_at, now_is(incident).idle_reason) == (None, "policy_exhausted")
    assert [line.reason for line in lines("escalation_ended")] == ["policy_exhausted"]
    assert not advance(incident, times[2] + timedelta(days=1))


def test_a_policy_repeats_as_often_as_it_says() -> None:
    incident = making.incident(making.service(), making.snapshot([making.target(making.user("ann", HOOK))], wait=60, repeat=2))

    at = MONDAY
    while now_is(incident).next_step_at is not None:
        advance(incident, at)
        at += timedelta(seconds=60)

    assert [delivery.escalation_round for delivery in making.deliveries()] == [1, 2, 3]
    assert [line.data["turn"] for line in lines("escalated")] == [1, 2, 3]


def test_after_an_hour_of_downtime_each_step_runs_once_and_waits_anew() -> None:
    ann, bob = making.user("ann", HOOK), making.user("bob", HOOK)
    incident = making.incident(making.service(), making.snapshot([making.target(ann)], [making.target(bob)], wait=60, repeat=9))
    late = MONDAY + timedelta(hours=1)

    advance(incident, late)
    advance(incident, late)

    assert [delivery.user_id for delivery in making.deliveries()] == [ann.id]
    assert now_is(incident).next_step_at == late + timedelta(seconds=60)


def test_a_step_that_comes_to_nobody_says_so_and_the_next_runs_at_once() -> None:
    gone = making.user("gone", HOOK, disabled_at=MONDAY)
    bob = making.user("bob", HOOK)
    incident = making.incident(making.service(), making.snapshot([making.target(gone)], [making.target(bob)]))

    assert advance(incident)

    assert [delivery.user_id for delivery in making.deliveries()] == [bob.id]
    first, second = lines("escalated")
    assert first.reason == "no_one_on_call"
    assert first.data["missed"] == [{"who": "Gone", "reason": "no_one_on_call"}]
    assert second.data["paged"] == ["Bob"]


def test_a_policy_that_comes_to_nobody_waits_before_it_repeats() -> None:
    incident = making.incident(making.service(), making.snapshot([{"kind": "user", "id": 4711}], [{"kind": "schedule", "id": 1}], wait=60, repeat=9))

    advance(incident)

    assert now_is(incident).next_step_at == MONDAY + timedelta(seconds=60)
    assert [line.data["missed"][0]["who"] for line in lines("escalated")] == ["user 4711", "schedule 1"]


def test_a_person_without_contact_methods_is_named() -> None:
    incident = one_step(making.target(making.user("ann")))

    advance(incident)

    assert lines("escalated")[0].data["missed"] == [{"who": "Ann", "reason": "no_contact_method"}]


def test_notification_rules_of_the_urgency_set_address_and_delay() -> None:
    ann = making.user("ann", HOOK + "a", HOOK + "b", rules=[(0, 0, "high"), (1, 300, "high"), (1, 0, "low")])
    incident = one_step(making.target(ann))

    advance(incident)

    assert [(delivery.address["url"], delivery.due_at) for delivery in making.deliveries()] == [
        (HOOK + "a", MONDAY),
        (HOOK + "b", MONDAY + timedelta(minutes=5)),
    ]


def test_without_rules_every_contact_method_is_used_at_once() -> None:
    ann = making.user("ann", HOOK + "a", HOOK + "b", rules=[(0, 60, "low")])
    advance(one_step(making.target(ann)))

    assert [(delivery.address["url"], delivery.due_at) for delivery in making.deliveries()] == [(HOOK + "a", MONDAY), (HOOK + "b", MONDAY)]


def test_a_team_is_all_its_members_or_its_leads() -> None:
    ann, bob, gone = making.user("ann", HOOK), making.user("bob", HOOK), making.user("gone", HOOK, disabled_at=MONDAY)
    team = making.team("Platform", (ann, "lead"), (bob, "member"), (gone, "lead"))
    incident = making.incident(making.service(), making.snapshot([making.target(team)], [making.target(team, who="lead")]))

    advance(incident)
    advance(incident, MONDAY + timedelta(minutes=5))

    assert [delivery.user_id for delivery in making.deliveries()] == [ann.id, bob.id, ann.id]


def test_who_is_named_twice_is_paged_once() -> None:
    ann = making.user("ann", HOOK)
    team = making.team("Platform", (ann, "member"))
    advance(one_step(making.target(ann), making.target(team)))

    assert len(making.deliveries()) == 1


def test_a_destination_is_paged() -> None:
    room = making.destination("ops room", HOOK + "room")
    closed = making.destination("old room", HOOK, archived_at=MONDAY)
    advance(one_step(making.target(room), making.target(closed)))

    (delivery,) = making.deliveries()
    assert (delivery.target, delivery.user_id, delivery.address) == (f"destination:{room.id}", None, {"url": HOOK + "room"})
    assert lines("escalated")[0].data == {
        "step": 1, "steps": 1, "turn": 1, "policy": "Default", "paged": ["ops room"], "missed": [{"who": "old room", "reason": "no_one_on_call"}],
    }  # fmt: skip


@pytest.mark.parametrize("change", [{"state": "acknowledged"}, {"state": "resolved"}, {"snoozed_until": MONDAY + timedelta(hours=1)}])
def test_nobody_is_paged_for_what_somebody_has_or_is_over_or_sleeps(change: dict[str, object]) -> None:
    policy = making.snapshot([making.target(making.user("ann", HOOK))])
    incident = making.incident(making.service(), policy, **change)

    assert not advance(incident)
    assert not making.deliveries()


def test_an_empty_policy_ends_with_its_reason() -> None:
    incident = making.incident(making.service(), making.snapshot())
    advance(incident)

    assert now_is(incident).idle_reason == "empty_policy"


def test_the_policy_stays_as_it_was_when_escalation_began() -> None:
    ann, bob = making.user("ann", HOOK), making.user("bob", HOOK)
    incident = one_step(making.target(ann))
    making.save(PolicySnapshot(policy_id=1, content_hash="x" * 64, content={"steps": [{"wait": 1, "targets": [making.target(bob)]}]}, created_at=MONDAY))

    advance(incident)

    assert [delivery.user_id for delivery in making.deliveries()] == [ann.id]


def test_a_new_start_begins_at_step_one_in_a_new_round(app: Flask, clock: FakeClock) -> None:
    ann, bob = making.user("ann", HOOK), making.user("bob", HOOK)
    policy = making.snapshot([making.target(ann)], [making.target(bob)], wait=60)
    incident = making.incident(making.service(), policy)
    advance(incident)
    advance(incident, MONDAY + timedelta(seconds=60))

    def again(session: object) -> None:
        row = incidents.find(session, incident.id)  # type: ignore[arg-type]
        incidents.acknowledge(session, row, actor=SYSTEM, now=MONDAY)  # type: ignore[arg-type]
        incidents.unacknowledge(session, row, actor=SYSTEM, now=MONDAY)  # type: ignore[arg-type]
        row.policy_snapshot_id, row.next_step_at, row.idle_reason = policy.id, MONDAY, None

    transactions.run(again)
    advance(incident)

    assert [(delivery.escalation_round, delivery.escalation_step, delivery.user_id) for delivery in making.deliveries()] == [
        (1, 0, ann.id),
        (1, 1, bob.id),
        (2, 0, ann.id),
    ]


def test_a_step_that_cannot_be_run_is_put_off_where_people_see_it() -> None:
    incident = one_step(making.target(making.user("ann", HOOK)))

    transactions.run(lambda session: escalation.postpone(session, incident.id, "it broke", now=MONDAY))

    assert now_is(incident).next_step_at == MONDAY + escalation.POSTPONED
    assert lines("step_failed")[0].data == {"error": "it broke"}


def test_the_backlog_counts_what_is_due_and_how_late_it_is() -> None:
    policy = making.snapshot([making.target(making.user("ann", HOOK))])
    owner = making.service()
    for n in range(3):
        making.incident(owner, policy, at=MONDAY + timedelta(seconds=n))

    def backlog(now: datetime) -> tuple[int, float]:
        return transactions.run(lambda session: escalation.backlog(session, now=now), "read")

    assert backlog(MONDAY - timedelta(seconds=1)) == (0, 0.0)
    assert backlog(MONDAY + timedelta(seconds=1)) == (2, 1.0)
