"""Many alerts in one request, groups, and routes to other services."""

from __future__ import annotations

from typing import Any

from app.models import Incident
from tests.world import IntegrationInTest, World


def alert(name: str, status: str = "firing", **labels: str) -> dict[str, Any]:
    return {"status": status, "labels": {"alertname": name, **labels}, "annotations": {"summary": name}, "fingerprint": name.lower()}


def post(tool: IntegrationInTest, *alerts: dict[str, Any], group: str = "{}") -> Any:
    return tool.post({"status": "firing", "groupKey": group, "alerts": list(alerts)}).is_(202)


def service_of(world: World, words: str) -> str:
    number = world.incident(words).number
    return world.read(lambda session: session.get_one(Incident, number).service.name)


def test_each_alert_of_a_request_is_an_incident_of_its_own(world: World) -> None:
    tool = world.integration(source="prometheus")

    answer = post(tool, alert("Disk"), alert("Cpu"))

    assert len(answer.json["results"]) == 2
    assert len(world.incidents()) == 2


def test_a_request_may_open_one_and_close_another(world: World) -> None:
    tool = world.integration(source="prometheus")
    post(tool, alert("Disk"))

    post(tool, alert("Cpu"), alert("Disk", "resolved"))

    world.incident("Disk").is_resolved(by="tool")
    world.incident("Cpu").is_triggered()


def test_the_same_alert_twice_in_one_request_is_one_incident(world: World) -> None:
    tool = world.integration(source="prometheus")

    post(tool, alert("Disk"), alert("Disk"))

    world.incident("Disk").counts(triggers=2)


def test_a_request_without_alerts_is_taken_and_does_nothing(world: World) -> None:
    tool = world.integration(source="prometheus")

    tool.post({"status": "firing", "alerts": []}).is_(202).says("ignored", "empty")

    world.has_no_incident()
    assert tool.last_request().verdict == "ignored"


def test_an_integration_may_group_as_its_tool_does(world: World) -> None:
    world.user("ann", hook=True)
    world.policy("Default", "ann")
    world.service("Web", policy="Default")
    tool = world.integration(source="prometheus", group_by="group")

    post(tool, alert("Disk"), alert("Cpu"), group="one")
    post(tool, alert("Mem"), group="one")

    [incident] = world.incidents()
    incident.has(alert_count=3)
    world.hook("ann").expects("incident.triggered")
    world.quiet()


def test_a_group_is_over_when_its_last_alert_is(world: World) -> None:
    tool = world.integration(source="prometheus", group_by="group")
    post(tool, alert("Disk"), alert("Cpu"), group="one")
    [incident] = world.incidents()

    post(tool, alert("Disk", "resolved"), group="one")
    incident.is_triggered()
    post(tool, alert("Cpu", "resolved"), group="one")

    incident.is_resolved(by="tool")


def test_a_group_that_is_over_begins_anew(world: World) -> None:
    tool = world.integration(source="prometheus", group_by="group")
    post(tool, alert("Disk"), group="one")
    post(tool, alert("Disk", "resolved"), group="one")

    post(tool, alert("Disk"), group="one")

    assert len(world.incidents()) == 2


def test_a_group_may_be_made_by_a_template(world: World) -> None:
    tool = world.integration(source="prometheus", group_by="template", group_template="{{ labels.region }}")

    post(tool, alert("Disk", region="eu"), alert("Cpu", region="us"), alert("Mem", region="eu"))

    assert len(world.incidents()) == 2


def test_one_alertmanager_many_teams(world: World) -> None:
    for name in ("ann", "bob"):
        world.user(name, hook=True)
        world.policy(name, name)
    world.service("Web", policy="ann")
    world.service("Database", policy="bob")
    tool = world.integration(source="prometheus", routes=[{"condition": "{{ labels.team == 'db' }}", "service": "Database"}])

    post(tool, alert("Slow", team="db"), alert("Disk", team="web"))

    world.hook("bob").expects("Slow")
    world.hook("ann").expects("Disk")
    world.quiet()


def test_a_resolve_finds_its_alert_after_the_route_was_edited(world: World) -> None:
    world.service("Web")
    world.service("Database")
    tool = world.integration(source="prometheus", routes=[{"condition": "{{ labels.team == 'db' }}", "service": "Database"}])
    post(tool, alert("Slow", team="db"))

    world.integration(source="prometheus", key=tool.key, routes=[])
    post(tool, alert("Slow", "resolved", team="db"))

    world.incident("Slow").is_resolved()


def test_a_route_may_page_others_and_say_how_bad_it_is(world: World) -> None:
    for name in ("ann", "bob"):
        world.user(name, hook=True)
        world.policy(name, name)
    world.service("Web", policy="ann")
    route = {"condition": "{{ payload.receiver == 'night' }}", "escalation_policy": "bob", "severity": "info"}
    tool = world.integration(source="prometheus", routes=[route])

    tool.post({"status": "firing", "receiver": "night", "alerts": [alert("Disk")]}).is_(202)

    world.hook("bob").expects("Disk")
    world.incident("Disk").has(severity="info", urgency="low")


def test_a_route_that_asks_for_what_is_not_there_does_not_hold(world: World) -> None:
    world.service("Database")
    tool = world.integration(source="prometheus", routes=[{"condition": "{{ payload.nothing.at.all == 1 }}", "service": "Database"}])

    post(tool, alert("Disk"))

    assert service_of(world, "Disk") == "Web"


def test_a_route_that_cannot_be_rendered_pages_all_the_same(world: World) -> None:
    world.user("ann", hook=True)
    world.policy("Default", "ann")
    world.service("Web", policy="Default")
    tool = world.integration(source="prometheus", routes=[{"condition": "{{ 1 // (labels.n | int) }}", "service": "Web"}])

    tool.post({"status": "firing", "alerts": [alert("Disk", n="0")]}).is_(400)

    world.hook("ann").expects("Unrecognised payload")
    assert tool.last_request().verdict == "unrecognised"


def test_a_trigger_that_is_older_than_the_resolve_pages_nobody_and_is_shown(world: World) -> None:
    tool = world.paging("ann", source="prometheus")
    post(tool, {**alert("Disk"), "startsAt": "2026-01-05T08:55:00Z"})
    world.hook("ann").expects("Disk")
    post(tool, {**alert("Disk", "resolved"), "startsAt": "2026-01-05T08:55:00Z"})

    post(tool, {**alert("Disk"), "startsAt": "2026-01-05T08:50:00Z"})

    world.clock.advance(hours=1)
    assert tool.last_request().reason == "stale"
    world.incident("Disk").is_resolved().timeline_says("resolved", "stale")
    world.quiet()


def test_a_trigger_of_the_same_time_as_the_resolve_pages_in_doubt(world: World) -> None:
    tool = world.paging("ann", source="prometheus")
    firing = {**alert("Disk"), "startsAt": "2026-01-05T08:55:00Z"}
    post(tool, firing)
    world.hook("ann").expects("Disk")
    post(tool, {**firing, "status": "resolved"})

    post(tool, firing)

    world.hook("ann").expects("Disk")
    assert len(world.incidents("Disk")) == 2


def test_an_old_trigger_long_after_the_resolve_pages(world: World) -> None:
    tool = world.paging("ann", source="prometheus")
    post(tool, {**alert("Disk"), "startsAt": "2026-01-05T08:55:00Z"})
    world.hook("ann").expects("Disk")
    post(tool, {**alert("Disk", "resolved"), "startsAt": "2026-01-05T08:55:00Z"})

    world.clock.advance(minutes=11)
    post(tool, {**alert("Disk"), "startsAt": "2026-01-05T08:50:00Z"})

    world.hook("ann").expects("Disk")
