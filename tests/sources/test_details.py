"""What single sources promise beyond the contract and their payloads on disk."""

from __future__ import annotations

import json
import time

import pytest

from app.core.errors import InvalidFields
from app.core.types import Event, Inbound
from app.sources import events_v2, generic, prometheus


def posted(body: object) -> Inbound:
    return Inbound("POST", "/", {"content-type": "application/json"}, {}, json.dumps(body).encode())


def one_event(events: list[object]) -> Event:
    (event,) = events
    assert isinstance(event, Event)
    return event


TRIGGER = {"event_action": "trigger", "payload": {"summary": "s", "source": "h", "severity": "error"}}


def test_pagerdutys_door_gives_a_trigger_without_key_a_new_one_each_time() -> None:
    first, second = (one_event([*events_v2.parse_pagerduty(posted(TRIGGER), {})]).dedup_key for _ in range(2))

    assert first
    assert len(first) == 32
    assert first != second


def test_our_own_door_asks_for_a_key() -> None:
    with pytest.raises(InvalidFields) as refused:
        events_v2.parse(posted(TRIGGER), {})

    assert refused.value.problems == [("dedup_key", "is missing or blank")]


def test_a_long_key_and_summary_are_not_refused() -> None:
    event = one_event([*events_v2.parse(posted({**TRIGGER, "dedup_key": "k" * 9_000, "payload": {"summary": "s" * 9_000, "source": "h"}}), {})])

    assert len(event.dedup_key or "") == 9_000
    assert len(event.summary) == 9_000


def test_two_different_problems_of_the_generic_api_have_no_key_of_a_sender() -> None:
    event = one_event([*generic.parse(posted({"summary": "a", "details": "b"}), {})])

    assert (event.dedup_key, event.key_is_given) == (None, False)


def test_the_integration_key_is_not_kept_with_the_alert() -> None:
    event = one_event([*generic.parse(posted({"summary": "a", "token": "secret-key"}), {})])

    assert "secret-key" not in repr(event)


def test_ten_alerts_are_read_in_a_millisecond() -> None:
    alert = {
        "status": "firing",
        "labels": {"alertname": "TargetDown", "cluster": "fra-1", "instance": "web-01.example.com:9113", "job": "nginx", "severity": "warning"},
        "annotations": {"summary": "web-01 is not being scraped", "description": "x" * 200, "runbook_url": "https://wiki.example.com/x", "impact": "none"},
        "startsAt": "2026-03-14T11:00:30.1Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example.com:9090/graph",
    }
    inbound = posted({"version": "4", "groupKey": "{}", "alerts": [{**alert, "labels": {**alert["labels"], "n": str(n)}} for n in range(10)]})

    best = min(_seconds(inbound) for _ in range(30))

    assert best < 0.001 * 3, "a millisecond, with room for a busy machine"


def _seconds(inbound: Inbound) -> float:
    started = time.perf_counter()
    prometheus.parse(inbound, {})
    return time.perf_counter() - started
