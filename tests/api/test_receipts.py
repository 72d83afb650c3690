"""/api/v1/receipts and unknown_key_requests: what tools sent, rejects too; and deliveries: what left."""

from __future__ import annotations

import json
from typing import Any

from app.models import Attempt, Delivery, Integration
from tests.api.conftest import KEY, Firm
from tests.api.test_permissions import made_delivery

URL = "/api/v2/generic/incoming"


def posted(firm: Firm, body: Any = b"", key: str = KEY, **headers: str) -> int:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return firm.app.test_client().post(f"{URL}?token={key}", data=data, headers={"Content-Type": "application/json", **headers}).status_code


def test_a_receipt_shows_the_request_with_its_secrets_masked(firm: Firm) -> None:
    number = firm.alert("disk")

    (listed,) = firm.get("receipts")["results"]
    shown = firm.get(f"receipts/{listed['id']}")

    assert listed == {
        "id": listed["id"],
        "received_at": "2026-01-05T09:00:00Z",
        "integration_id": firm.id_of(Integration, "tool"),
        "door": "goalert",
        "method": "POST",
        "path": f"{URL}?token=********",
        "remote": "127.0.0.1",
        "status": 200,
        "verdict": "accepted",
        "reason": "new_incident",
        "error": None,
        "action": "trigger",
        "dedup_key": "disk",
        "alert_id": firm.get("alerts")["results"][0]["id"],
        "incident_number": number,
        "event_count": 1,
        "repeats": 0,
        "body_size": listed["body_size"],
    } | {"status": listed["status"]}
    assert {name: shown[name] for name in listed} == listed
    assert (json.loads(shown["body"])["summary"], shown["body_encoding"], shown["events"]) == ("disk is full", "text", [])
    assert KEY not in json.dumps(shown)


def test_what_is_no_text_is_shown_as_base64(firm: Firm) -> None:
    posted(firm, b"\xff\x00{")

    shown = firm.get(f"receipts/{firm.get('receipts')['results'][0]['id']}")

    assert (shown["verdict"], shown["body"], shown["body_encoding"]) == ("unrecognised", "/wB7", "base64")


def test_the_events_of_a_batch_are_shown(firm: Firm) -> None:
    link = firm.post("integrations", {"type": "alertmanager"}, status=201)["link"]
    alerts = [{"status": status, "labels": {"alertname": name}, "fingerprint": name} for name, status in [("a", "firing"), ("b", "firing"), ("c", "resolved")]]
    firm.app.test_client().post(link.removeprefix("http://tocsin.test"), json={"alerts": alerts})

    shown = firm.get(f"receipts/{firm.get('receipts')['results'][0]['id']}")

    assert (shown["event_count"], shown["reason"]) == (3, "batch")
    assert [(event["action"], event["reason"]) for event in shown["events"]] == [
        ("trigger", "new_incident"),
        ("trigger", "new_incident"),
        ("resolve", "nothing_open"),
    ]
    number = shown["events"][1]["incident_number"]
    assert [each["id"] for each in firm.get(f"receipts?incident={number}")["results"]] == [shown["id"]]


def test_filters(firm: Firm) -> None:
    number = firm.alert("disk")
    posted(firm, {"summary": ""})
    tool = firm.id_of(Integration, "tool")

    def verdicts(query: str) -> list[str]:
        return [each["verdict"] for each in firm.get(f"receipts?{query}")["results"]]

    assert verdicts("") == ["rejected", "accepted"]
    assert verdicts("verdict=rejected") == ["rejected"]
    assert verdicts(f"integration={tool}") == ["rejected", "accepted"]
    assert verdicts(f"incident={number}") == verdicts(f"incident=inc_{firm.group(number)}") == ["accepted"]
    for query in ("verdict=good", "integration=C1", "incident=999"):
        assert list(firm.ask("GET", f"receipts?{query}").get_json()) == [query.partition("=")[0]]


def test_requests_with_an_unknown_key_are_counted(firm: Firm) -> None:
    for n in range(3):
        assert posted(firm, {"summary": "x"}, key=f"wrong-key-{n}-wrong-key-{n}") == 401

    page = firm.get("unknown_key_requests")

    assert (page["count"], page["total_ever"]) == (3, 3)
    assert page["results"][0] == {
        "id": 3,
        "received_at": "2026-01-05T09:00:00Z",
        "door": "goalert",
        "method": "POST",
        "path": f"{URL}?token=********",
        "remote": "127.0.0.1",
        "key_hint": page["results"][0]["key_hint"],
        "reason": "unknown_key",
        "body_size": 16,
    }
    assert len(page["results"][0]["key_hint"]) <= 5
    assert firm.get("receipts")["count"] == 0


def test_a_delivery_shows_its_attempts_and_masks_what_is_secret(firm: Firm) -> None:
    ref = made_delivery(firm)

    def try_it(session: Any) -> None:
        row = session.query(Delivery).one()
        session.add(
            Attempt(delivery_id=row.id, n=1, process="worker:1", lease_token="t", started_at=firm.clock.now(), outcome="retry", status=503, detail="busy")
        )

    firm.write(try_it)

    shown = firm.get(f"deliveries/{ref}")
    (listed,) = firm.get("deliveries")["results"]

    assert shown["address"] == {"url": "http://127.0.0.1/x", "secret": "****************"}
    assert [(each["number"], each["outcome"], each["status"], each["detail"]) for each in shown["attempts"]] == [(1, "retry", 503, "busy")]
    assert {name: shown[name] for name in listed} == listed
    assert (listed["incident_number"], listed["state"], listed["channel"]) == (1, "planned", "webhook")


def test_deliveries_are_filtered(firm: Firm) -> None:
    made_delivery(firm)
    other = firm.alert("other")

    assert firm.get("deliveries?incident=1&state=planned&channel=webhook")["count"] == 1
    assert firm.get(f"deliveries?incident={other}")["count"] == 0
    assert firm.get("deliveries?state=sent")["count"] == 0
    assert firm.get("deliveries?channel=email")["count"] == 0
    assert "state" in firm.ask("GET", "deliveries?state=lost").get_json()
    assert "incident" in firm.ask("GET", "deliveries?incident=999").get_json()
