"""Nobody answers: whom Tocsin turns to next, and when it stops."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.core.errors import Conflict
from tests.world import World


def test_the_second_step_pages_bob_when_ann_stays_silent(world: World) -> None:
    tool = world.paging("ann", "bob")
    tool.event("trigger", "disk", summary="Disk full")
    world.hook("ann").expects("Disk full")

    world.clock.advance(minutes=5)

    world.hook("bob").expects("Disk full")
    world.quiet()


def test_a_policy_that_has_asked_everybody_says_so_and_stays_open(world: World) -> None:
    tool = world.paging("ann")
    tool.event("trigger", "disk", summary="Disk full")
    world.hook("ann").expects("Disk full")

    world.clock.advance(days=1)

    world.incident("Disk full").is_triggered().has(idle_reason="policy_exhausted").timeline_says("opened", "policy_exhausted")


def test_a_policy_that_repeats_pages_again_so_often(world: World) -> None:
    world.user("ann", hook=True)
    world.policy("Default", "ann", wait="10m", repeat=2)
    world.service("Web", policy="Default")
    world.integration().event("trigger", "disk", summary="Disk full")

    world.clock.advance(days=1)

    for _ in range(3):
        world.hook("ann").expects("Disk full")
    world.quiet()


def test_each_notification_rule_has_its_own_time(world: World) -> None:
    world.user("ann", hook=True, mail=True, rules={"hook": "0s", "mail": "3m"})
    world.policy("Default", "ann", wait="10m")
    world.service("Web", policy="Default")
    world.integration().event("trigger", "disk", summary="Disk full")
    world.hook("ann").expects("Disk full")

    world.clock.advance(minutes=2, seconds=59)
    world.inbox("ann").expects_nothing()
    world.clock.advance(seconds=1)
    world.inbox("ann").expects("Disk full")


def test_an_acknowledgement_cancels_the_rules_that_are_left(world: World) -> None:
    world.user("ann", hook=True, mail=True, rules={"hook": "0s", "mail": "3m"})
    world.policy("Default", "ann", wait="10m")
    world.service("Web", policy="Default")
    world.integration().event("trigger", "disk", summary="Disk full")
    world.hook("ann").expects("Disk full")

    world.incident("Disk full").acknowledge(by="ann")

    world.clock.advance(hours=1)
    world.quiet()


def test_low_urgency_uses_the_rules_for_it(world: World) -> None:
    world.user("ann", hook=True, mail=True, rules={"hook": "0s"})
    world.document["users"][0]["notification_rules"]["low"] = [{"contact_method": "mail", "after": "0s"}]
    world.policy("Default", "ann")
    world.service("Web", policy="Default")

    world.integration().event("trigger", "disk", summary="Disk filling", severity="warning")

    world.inbox("ann").expects("Disk filling")
    world.incident("Disk filling").has(urgency="low", severity="warning")
    world.quiet()


def test_a_team_is_everybody_in_it(world: World) -> None:
    world.user("ann", hook=True)
    world.user("bob", hook=True)
    world.team("Platform", "ann", "bob")
    world.policy("Default", "Platform")
    world.service("Web", policy="Default")

    world.integration().event("trigger", "disk", summary="Disk full")

    world.hook("ann").expects("Disk full")
    world.hook("bob").expects("Disk full")


def test_who_stands_on_a_step_twice_is_told_once(world: World) -> None:
    world.user("ann", hook=True)
    world.team("Platform", "ann")
    world.policy("Default", ["ann", "Platform"])
    world.service("Web", policy="Default")

    world.integration().event("trigger", "disk", summary="Disk full")

    world.hook("ann").expects("Disk full")
    world.quiet()


def test_an_incident_keeps_the_policy_that_it_started_with(world: World) -> None:
    tool = world.paging("ann", "bob")
    world.user("carl", hook=True)
    tool.event("trigger", "disk", summary="Disk full")
    world.hook("ann").expects("Disk full")

    world.policy("Default", "ann", "carl")
    world.clock.advance(minutes=5)

    world.hook("bob").expects("Disk full")
    world.hook("carl").expects_nothing()


def test_the_next_incident_has_the_new_policy(world: World) -> None:
    tool = world.paging("ann")
    world.user("carl", hook=True)
    tool.event("trigger", "disk", summary="Disk full")
    world.hook("ann").expects("Disk full")

    world.policy("Default", "carl")
    tool.event("trigger", "cpu", summary="CPU hot")

    world.hook("carl").expects("CPU hot")


def test_a_snoozed_incident_sleeps_and_then_pages_again(world: World) -> None:
    tool = world.paging("ann", "bob")
    tool.event("trigger", "disk", summary="Disk full")
    world.hook("ann").expects("Disk full")

    world.incident("Disk full").snooze(by="ann", until=world.clock.now() + timedelta(hours=2))

    world.clock.advance(hours=1, minutes=59)
    world.quiet()
    world.clock.advance(minutes=1)
    world.hook("ann").expects("Disk full")
    world.incident("Disk full").is_triggered().timeline_says("snoozed", "unsnoozed")


def test_a_snoozed_incident_that_is_resolved_does_not_wake_up(world: World) -> None:
    tool = world.paging("ann")
    tool.event("trigger", "disk", summary="Disk full")
    world.hook("ann").expects("Disk full")
    world.incident("Disk full").snooze(by="ann", until=world.clock.now() + timedelta(hours=2))

    tool.event("resolve", "disk")

    world.clock.advance(days=1)
    world.quiet()
    world.incident("Disk full").is_resolved(by="tool")


def test_what_is_unresolved_pages_again(world: World) -> None:
    tool = world.paging("ann")
    tool.event("trigger", "disk", summary="Disk full")
    world.hook("ann").expects("Disk full")
    incident = world.incident("Disk full")
    incident.resolve(by="ann")

    incident.unresolve(by="ann")

    world.hook("ann").expects("Disk full")
    tool.event("trigger", "disk", summary="Disk full")
    world.incident("Disk full").counts(triggers=2)


def test_what_fires_elsewhere_is_not_unresolved(world: World) -> None:
    tool = world.paging("ann")
    tool.event("trigger", "disk", summary="Disk full")
    world.hook("ann").expects("Disk full")
    first = world.incident("Disk full")
    first.resolve(by="ann")
    tool.event("trigger", "disk", summary="Disk full")
    world.hook("ann").expects("Disk full")

    with pytest.raises(Conflict, match="incident 2"):
        first.unresolve(by="ann")


def test_tocsin_away_for_an_hour_pages_each_step_once_when_it_is_back(world: World) -> None:
    """No ticker runs meanwhile: what fell due is done on return, and nobody gets the same page twice."""
    tool = world.paging("ann", "bob")
    tool.event("trigger", "disk", summary="Disk full")

    world.clock.set(world.clock.now() + timedelta(hours=1))
    world.settle()

    world.hook("ann").expects("Disk full")
    world.hook("bob").expects_nothing()
    world.clock.advance(minutes=5)
    world.hook("bob").expects("Disk full")


def test_a_tick_run_twice_does_what_it_does_once(world: World) -> None:
    world.paging("ann", "bob").event("trigger", "disk", summary="Disk full")

    for _ in range(5):
        world.settle()

    world.hook("ann").expects("Disk full")
    world.quiet()
