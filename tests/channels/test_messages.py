"""What people and receivers read."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app import channels
from app.core.errors import Invalid
from app.core.http import Outbound
from app.core.keys import hmac_sha256
from app.domain.messages import Named, Picture, Site, payload, render
from tests.channels.outside import RawServer
from tests.channels.test_contract import LOOPBACK

SITE = Site("https://tocsin.example", "tocsin.example", b"secret")
AT = datetime(2024, 1, 23, 10, 30, 0, 999_999, tzinfo=UTC)
PICTURE = Picture(
    number=42,
    id="inc_abc123",
    title="High CPU on web-01",
    status="OPEN",
    urgency="HIGH",
    severity="critical",
    service=Named("svc_xyz", "Web Application"),
    assignee=Named("usr_123", "Jane Doe"),
    url="https://tocsin.example/incidents/inc_abc123",
    opened_at=AT,
    alert_count=2,
    details="load <average> & more",
    source_link="https://grafana.example/d/1",
    links=(("https://wiki.example/cpu", "Runbook"), ("javascript:alert(1)", "bad")),
)


def test_the_payload_is_as_documented_with_its_keys_in_order() -> None:
    expected = """{"event": "incident.triggered", "timestamp": "2024-01-23T10:30:00Z", "incident": {"id": "inc_abc123", "title": "High CPU on web-01", \
"status": "OPEN", "urgency": "HIGH", "service": {"id": "svc_xyz", "name": "Web Application"}, "assignee": {"id": "usr_123", "name": "Jane Doe"}, \
"url": "https://tocsin.example/incidents/inc_abc123"}}"""

    assert json.dumps(payload(PICTURE, "incident.triggered", AT)) == expected


def test_nobody_is_null() -> None:
    assert payload(replace(PICTURE, assignee=None), "incident.resolved", AT)["incident"]["assignee"] is None


def test_the_texts_say_what_why_and_where() -> None:
    message = render(PICTURE, "incident.triggered", AT, delivery_id="V1", answer_url="https://tocsin.example/a/T", site=SITE)

    assert message.subject == "[Tocsin] #42 High CPU on web-01"
    assert message.thread == "incident-42@tocsin.example"
    for text in (message.text, message.html):
        for words in (
            "High CPU on web-01",
            "Web Application",
            "critical",
            "Jane Doe",
            "2024-01-23 10:30:00 UTC",
            "2 alerts",
            "inc_abc123",
            "grafana.example",
            "Runbook",
            "https://tocsin.example/a/T",
            "V1",
        ):
            assert words in text
    assert "load <average> & more" in message.text


def test_hostile_texts_stay_texts() -> None:
    message = render(PICTURE, "incident.triggered", AT, delivery_id="V1", answer_url="https://tocsin.example/a/T", site=SITE)

    assert "load &lt;average&gt; &amp; more" in message.html
    assert 'href="javascript' not in message.html


@pytest.mark.parametrize("event", ["incident.triggered", "incident.acknowledged", "incident.resolved", "incident.sla_breached"])
def test_the_subject_is_the_same_for_every_event_so_that_mails_thread(event: str) -> None:
    assert render(PICTURE, event, AT, delivery_id="V1", answer_url="https://tocsin.example/a/T", site=SITE).subject == "[Tocsin] #42 High CPU on web-01"


def test_a_webhook_is_signed_over_the_very_bytes_that_are_sent(server: RawServer) -> None:
    server.answers(200)
    channel = channels.get("webhook")
    assert channel is not None
    message = render(PICTURE, "incident.triggered", AT, delivery_id="V1", answer_url="https://tocsin.example/a/T", site=SITE)

    sent = channel.send(message, {"url": f"http://127.0.0.1:{server.port}/", "secret": "hook-secret"}, Outbound(allow=LOOPBACK))

    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert sent.outcome == "ok"
    assert f"X-Signature: sha256={hmac_sha256('hook-secret', body)}".encode() in head
    assert b"X-Tocsin-Delivery: V1" in head
    assert b"Content-Type: application/json" in head
    assert json.loads(body) == message.payload


def test_without_a_secret_there_is_no_signature(server: RawServer) -> None:
    server.answers(200)
    channel = channels.get("webhook")
    assert channel is not None

    message = render(PICTURE, "incident.triggered", AT, delivery_id="V1", answer_url="https://tocsin.example/a/T", site=SITE)

    channel.send(message, {"url": f"http://127.0.0.1:{server.port}/"}, Outbound(allow=LOOPBACK))

    assert b"X-Signature" not in server.requests[0]


@pytest.mark.parametrize("address", ["ann@example.com", "a.b+c@x.y"])
def test_mail_addresses(address: str) -> None:
    channel = channels.get("email")
    assert channel is not None
    assert channel.check is not None
    channel.check({"email": address})


@pytest.mark.parametrize("address", ["", "ann", "ann@", "@x", "a b@x", "a@x, b@y", "Ann <a@x>", "a@x\r\nBcc: b@y", "a@x\n", "ä@example.com"])
def test_what_is_no_single_mail_address(address: str) -> None:
    channel = channels.get("email")
    assert channel is not None
    assert channel.check is not None
    with pytest.raises(Invalid):
        channel.check({"email": address})


@pytest.mark.parametrize("address", ["", "ftp://x/", "x", "http://", "http://x:99999/", "http://x:0/", "http://[::1"])
def test_what_is_no_web_address(address: str) -> None:
    channel = channels.get("webhook")
    assert channel is not None
    assert channel.check is not None
    with pytest.raises(Invalid):
        channel.check({"url": address})
