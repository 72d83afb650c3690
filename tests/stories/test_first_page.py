"""A tool posts, somebody is paged: the main job."""

from __future__ import annotations

from tests.world import World


def test_an_alert_pages_by_webhook_and_mail(world: World) -> None:
    tool = world.paging("ann", hook=True, mail=True)

    tool.event("trigger", "db-1/disk", summary="Disk full on db-1").is_(202)

    world.incident("Disk full").is_triggered()
    page = world.hook("ann").expects("Disk full on db-1")
    assert page.headers["x-tocsin-delivery"]
    mail = world.inbox("ann").expects("Disk full on db-1", "Web")
    assert "Disk full on db-1" in mail.subject
    world.quiet()


def test_the_timeline_tells_who_was_paged(world: World) -> None:
    tool = world.paging("ann")

    tool.event("trigger", "db-1/disk", summary="Disk full")

    world.hook("ann").expects("Disk full")
    world.incident("Disk full").timeline_says("opened", "Ann")


def test_the_tool_resolves_and_the_incident_is_over(world: World) -> None:
    tool = world.paging("ann")
    tool.event("trigger", "disk", summary="Disk full")
    world.hook("ann").expects("Disk full")

    tool.event("resolve", "disk").is_(202)

    world.incident("Disk full").is_resolved(by="tool").timeline_says("opened", "resolved")
    world.clock.advance(hours=1)
    world.quiet()


def test_repeats_page_nobody_twice(world: World) -> None:
    tool = world.paging("ann")

    for _ in range(5):
        tool.event("trigger", "disk", summary="Disk full").is_(202)
        world.settle()

    world.hook("ann").expects("Disk full")
    world.incident("Disk full").counts(triggers=5)
    world.quiet()


def test_an_acknowledgement_stops_the_paging(world: World) -> None:
    tool = world.paging("ann", "bob")
    tool.event("trigger", "disk", summary="Disk full")
    world.hook("ann").expects("Disk full")

    world.incident("Disk full").acknowledge(by="ann")
    world.clock.advance(hours=1)

    world.incident("Disk full").is_acknowledged(by="Ann").timeline_says("opened", "acknowledged")
    world.hook("bob").expects_nothing()


def test_an_alert_acknowledged_before_its_page_left_pages_nobody(world: World) -> None:
    tool = world.paging("ann")
    tool.event("trigger", "disk", summary="Disk full")

    tool.event("acknowledge", "disk").is_(202)

    world.incident("Disk full").is_acknowledged(by="tool")
    world.quiet()


def test_a_second_acknowledgement_says_who_was_first(world: World) -> None:
    tool = world.paging("ann", "bob")
    tool.event("trigger", "disk", summary="Disk full")
    world.hook("ann").expects("Disk full")
    incident = world.incident("Disk full")
    incident.acknowledge(by="ann")

    change = incident.acknowledge(by="bob")

    assert not change.changed
    assert "Ann" in change.sentence
    incident.is_acknowledged(by="Ann")


def test_a_repeat_never_undoes_an_acknowledgement(world: World) -> None:
    tool = world.paging("ann")
    tool.event("trigger", "disk", summary="Disk full")
    world.hook("ann").expects("Disk full")
    world.incident("Disk full").acknowledge(by="ann")

    tool.event("trigger", "disk", summary="Disk still full")

    world.incident("Disk full").is_acknowledged(by="Ann").counts(triggers=2)
    world.quiet()


def test_a_trigger_after_a_resolve_is_a_new_incident(world: World) -> None:
    tool = world.paging("ann")
    tool.event("trigger", "disk", summary="Disk full")
    world.hook("ann").expects("Disk full")
    tool.event("resolve", "disk")

    tool.event("trigger", "disk", summary="Disk full again")

    first, second = world.incidents("Disk full")
    first.is_resolved()
    second.is_triggered()
    world.hook("ann").expects("Disk full again")


def test_a_tool_that_goes_on_firing_after_a_resolve_by_hand_opens_a_new_incident(world: World) -> None:
    tool = world.paging("ann")
    tool.event("trigger", "disk", summary="Disk full")
    world.hook("ann").expects("Disk full")
    world.incident("Disk full").resolve(by="ann")

    tool.event("trigger", "disk", summary="Disk full")

    assert len(world.incidents("Disk full")) == 2
    world.hook("ann").expects("Disk full")


def test_unacknowledging_pages_again_from_the_first_step(world: World) -> None:
    tool = world.paging("ann")
    tool.event("trigger", "disk", summary="Disk full")
    world.hook("ann").expects("Disk full")
    incident = world.incident("Disk full")
    incident.acknowledge(by="ann")

    incident.unacknowledge(by="ann")

    world.hook("ann").expects("Disk full")
    incident.is_triggered()


def test_a_service_without_a_policy_says_so(world: World) -> None:
    tool = world.integration()

    tool.event("trigger", "disk", summary="Disk full").is_(202)

    world.incident("Disk full").is_triggered().has(idle_reason="no_policy")
    world.quiet()


def test_a_policy_that_reaches_nobody_says_so(world: World) -> None:
    tool = world.paging("ann", hook=False, mail=False)

    tool.event("trigger", "disk", summary="Disk full").is_(202)
    world.settle()

    world.incident("Disk full").is_triggered().timeline_says("opened", "no_contact_method")
    world.quiet()


def test_everybody_of_a_step_is_paged_and_a_room_too(world: World) -> None:
    world.user("ann", hook=True)
    world.user("bob", mail=True)
    world.destination("ops room")
    world.policy("Default", ["ann", "bob", "ops room"])
    world.service("Web", policy="Default")
    tool = world.integration()

    tool.event("trigger", "disk", summary="Disk full")

    world.hook("ann").expects("Disk full")
    world.inbox("bob").expects("Disk full")
    world.hook("ops room").expects("Disk full")


def test_a_webhook_that_fails_at_first_is_tried_again_with_the_same_id(world: World) -> None:
    tool = world.paging("ann")
    world.hook("ann").answers(500, 503)
    tool.event("trigger", "disk", summary="Disk full")

    world.clock.advance(minutes=4)

    ids = {world.hook("ann").expects("Disk full").headers["x-tocsin-delivery"] for _ in range(3)}
    assert len(ids) == 1


def test_a_mail_server_that_asks_for_patience_gets_it(world: World) -> None:
    tool = world.paging("ann", hook=False, mail=True)
    world.mail.answers.append("451 try later")
    tool.event("trigger", "disk", summary="Disk full")
    world.inbox("ann").expects_nothing()

    world.clock.advance(minutes=4)

    world.inbox("ann").expects("Disk full")


def test_one_broken_address_keeps_nobody_else_waiting(world: World) -> None:
    world.user("ann", hook=True)
    world.user("bob", hook=True)
    world.policy("Default", ["ann", "bob"])
    world.service("Web", policy="Default")
    tool = world.integration()
    world.hook("ann").answers(404)

    tool.event("trigger", "disk", summary="Disk full")

    world.hook("bob").expects("Disk full")
    world.hook("ann").expects("Disk full")
    world.clock.advance(hours=2)
