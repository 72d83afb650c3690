"""Seed 001: the Events API with the bodies as printed there, and PagerDuty's form of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.world import IntegrationInTest, World

BY_KEY = {
    "event_action": "trigger",
    "dedup_key": "unique-alert-id",
    "payload": {"summary": "High CPU on web-01", "source": "monitoring", "severity": "critical"},
}
TRIGGER = {
    "event_action": "trigger",
    "dedup_key": "srv-web-01/high-cpu",
    "payload": {
        "summary": "High CPU usage on web-01 (95%)",
        "source": "monitoring-system",
        "severity": "critical",
        "custom_details": {"cpu_percent": 95, "host": "web-01", "region": "us-east-1"},
    },
}
ACKNOWLEDGE = {"event_action": "acknowledge", "dedup_key": "srv-web-01/high-cpu"}
RESOLVE = {"event_action": "resolve", "dedup_key": "srv-web-01/high-cpu"}


@pytest.fixture
def tool(world: World) -> IntegrationInTest:
    return world.integration("Prod", source="events-v2", key="a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6")


def send(world: World, tool: IntegrationInTest, body: Any) -> Any:
    return world.post("/api/events", json=body, headers={"Authorization": f"Token token={tool.key}"})


def enqueue(world: World, tool: IntegrationInTest, body: dict[str, Any]) -> Any:
    return world.post("/v2/enqueue", json={**body, "routing_key": tool.key})


def test_the_curl_line_with_an_integration_key_works_as_printed(world: World, tool: IntegrationInTest) -> None:
    answer = send(world, tool, BY_KEY).is_(202)

    assert answer.json["status"] == "success"
    world.incident("High CPU on web-01").is_triggered().has(severity="critical", urgency="high")


def test_trigger_acknowledge_and_resolve_as_printed(world: World, tool: IntegrationInTest) -> None:
    send(world, tool, TRIGGER).is_(202)
    incident = world.incident("High CPU usage on web-01 (95%)").is_triggered()

    send(world, tool, ACKNOWLEDGE).is_(202)
    incident.is_acknowledged(by="Prod")

    send(world, tool, RESOLVE).is_(202)
    incident.is_resolved(by="Prod").timeline_says("opened", "acknowledged", "resolved")


def test_the_curl_line_with_an_api_key_goes_to_the_services_own_integration(world: World) -> None:
    world.user("ann", role="admin", tokens=[{"name": "api", "value": "sk_live_abc123-long-enough-for-a-token", "scopes": ["events:write"]}])
    world.service("Web")
    bearer = {"Authorization": "Bearer sk_live_abc123-long-enough-for-a-token"}
    service = service_refs(world)

    for n, ref in enumerate(service):
        world.post("/api/events", json={**BY_KEY, "service_id": ref, "dedup_key": f"k{n}"}, headers=bearer).is_(202)

    assert len(world.incidents("High CPU on web-01")) == len(service) == 3


def service_refs(world: World) -> list[str]:
    from sqlalchemy import select

    from app.models import Service

    row = world.read(lambda session: session.scalars(select(Service).where(Service.name == "Web")).one())
    return [f"svc_{row.public_id}", row.uuid, row.public_id]


def test_an_api_key_needs_a_service_its_scope_and_access(world: World) -> None:
    tokens = [
        {"name": name, "value": f"sk_live_{name}-long-enough-for-a-token", "scopes": [scope]}
        for name, scope in (("ok", "events:write"), ("ro", "incidents:read"))
    ]
    world.user("ann", role="admin", tokens=tokens)
    world.user("bob", role="observer", tokens=[{"name": "bob", "value": "sk_live_bob-long-enough-for-a-token", "scopes": ["*"]}])
    world.service("Web")
    [ref, *_] = service_refs(world)

    def post(name: str, **more: str) -> Any:
        return world.post("/api/events", json={**BY_KEY, **more}, headers={"Authorization": f"Bearer sk_live_{name}-long-enough-for-a-token"})

    post("ok").is_(400).says("service_id")
    post("ok", service_id="svc_nosuch").is_(404).says("service")
    post("ro", service_id=ref).is_(403).says("events:write")
    post("bob", service_id=ref).is_(403)
    post("unknown", service_id=ref).is_(401)
    world.has_no_incident()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({key: value for key, value in BY_KEY.items() if key != "event_action"}, "event_action"),
        ({**BY_KEY, "event_action": "explode"}, "event_action"),
        ({key: value for key, value in BY_KEY.items() if key != "dedup_key"}, "dedup_key"),
        ({"event_action": "resolve"}, "dedup_key"),
        ({"event_action": "acknowledge"}, "dedup_key"),
        ({**BY_KEY, "payload": {"source": "monitoring"}}, "payload.summary"),
        ({**BY_KEY, "payload": {"summary": "x"}}, "payload.source"),
        ({"event_action": "trigger", "dedup_key": "k"}, "payload"),
        ({**BY_KEY, "payload": {**BY_KEY["payload"], "severity": "terrible"}}, "payload.severity"),  # type: ignore[dict-item]
    ],
)
def test_what_is_missing_or_wrong_is_named(world: World, tool: IntegrationInTest, body: dict[str, Any], field: str) -> None:
    send(world, tool, body).is_(400).says(field)

    world.has_no_incident()
    assert tool.last_request().says(field).reason == "invalid"


def test_the_severity_may_be_left_out_and_the_services_own_is_taken(world: World, tool: IntegrationInTest) -> None:
    send(world, tool, {**BY_KEY, "payload": {"summary": "x", "source": "y"}}).is_(202)

    world.incident("x").has(severity="error", urgency="high")


@pytest.mark.parametrize("action", ["acknowledge", "resolve"])
def test_what_is_not_open_is_no_error_and_opens_nothing(world: World, tool: IntegrationInTest, action: str) -> None:
    send(world, tool, {"event_action": action, "dedup_key": "never seen"}).is_(202)

    world.has_no_incident()
    assert tool.last_request().reason == "nothing_open"


def test_pagerdutys_answer_has_its_three_words(world: World, tool: IntegrationInTest) -> None:
    answer = enqueue(world, tool, TRIGGER).is_(202)

    assert answer.json == {"status": "success", "message": "Event processed", "dedup_key": "srv-web-01/high-cpu"}
    assert answer.headers["content-type"].startswith("application/json")


def test_pagerduty_makes_a_dedup_key_that_resolves_what_it_opened(world: World, tool: IntegrationInTest) -> None:
    key = enqueue(world, tool, {name: value for name, value in TRIGGER.items() if name != "dedup_key"}).is_(202).json["dedup_key"]
    assert key

    enqueue(world, tool, {"event_action": "resolve", "dedup_key": key}).is_(202)

    world.incident("High CPU").is_resolved()


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"event_action": "resolve"}, "dedup_key"),
        ({"event_action": "acknowledge"}, "dedup_key"),
        ({**TRIGGER, "payload": {"summary": "x", "source": "y"}}, "severity"),
        ({**TRIGGER, "payload": {"source": "y", "severity": "info"}}, "summary"),
        ({**TRIGGER, "event_action": "boom"}, "event_action"),
    ],
)
def test_pagerdutys_refusals_have_pagerdutys_shape(world: World, tool: IntegrationInTest, body: dict[str, Any], word: str) -> None:
    answer = enqueue(world, tool, body).is_(400)

    assert list(answer.json) == ["status", "message", "errors"]
    assert answer.json["status"] == "invalid event"
    assert word in str(answer.json["errors"])
    world.has_no_incident()


def test_pagerduty_calls_an_unknown_key_an_invalid_event(world: World) -> None:
    world.post("/v2/enqueue", json={**TRIGGER, "routing_key": "f" * 32}).is_(400).says("Invalid routing key")


def test_both_doors_and_goalerts_share_the_keys_that_senders_give(world: World) -> None:
    tool = world.integration(source="generic")

    send(world, tool, TRIGGER).is_(202)
    enqueue(world, tool, TRIGGER).is_(202)
    tool.goalert(summary="x", dedup="srv-web-01/high-cpu").is_(200)

    world.incident("High CPU").counts(triggers=3)
