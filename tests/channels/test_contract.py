"""What every channel does, whatever the other side does: it answers in time, with the right outcome and without secrets."""

from __future__ import annotations

import ipaddress
import time

import pytest

from app import channels
from app.core.errors import Invalid
from app.core.http import Outbound
from app.core.types import Channel, Message, Sent
from tests.channels.outside import Outside

LOOPBACK = (ipaddress.ip_network("127.0.0.1/32"),)
MESSAGE = Message(
    delivery_id="V123",
    subject="[Tocsin] #42 disk full on db-1 – wirklich",
    text="disk full\n.\nreally",
    html="<p>disk full</p>",
    payload={"event": "incident.triggered", "title": "disk full"},
    thread="incident-42@hub.example",
)
SECONDS = 1.5


def send(channel: Channel, outside: Outside, behaviour: str) -> Sent:
    if not outside.does(behaviour):
        pytest.skip(f"a {channel.title} receiver cannot")
    http = Outbound(allow=LOOPBACK, mail_server=outside.mail_server, seconds=SECONDS)
    began = time.monotonic()
    sent = channel.send(MESSAGE, outside.address, http)
    assert time.monotonic() - began < SECONDS + 1, "a send ends within its total time"
    assert "that-is-secret" not in sent.detail + sent.provider_id
    assert len(sent.detail) <= 500
    assert "\n" not in sent.detail
    return sent


def test_what_is_taken_is_sent(channel: Channel, outside: Outside) -> None:
    sent = send(channel, outside, "taken")

    assert sent.outcome == "ok", sent
    assert len(outside.received) == 1
    assert "V123" in outside.received[0]


def test_a_refusal_is_final(channel: Channel, outside: Outside) -> None:
    sent = send(channel, outside, "refuses")

    assert sent.outcome == "refused"
    assert str(sent.status) in sent.detail


def test_a_busy_receiver_is_asked_again(channel: Channel, outside: Outside) -> None:
    sent = send(channel, outside, "is busy")

    assert sent.outcome == "retry"
    if sent.status == 429:
        assert sent.retry_after == 7


@pytest.mark.parametrize("behaviour", ["fails", "is silent", "drips", "breaks off"])
def test_trouble_is_tried_again(channel: Channel, outside: Outside, behaviour: str) -> None:
    sent = send(channel, outside, behaviour)

    assert sent.outcome == "retry"
    assert sent.detail


def test_a_redirect_is_not_followed(channel: Channel, outside: Outside) -> None:
    sent = send(channel, outside, "redirects to a private address")

    assert sent.outcome == "refused"
    assert "redirect" in sent.detail
    assert len(outside.received) == 1


def test_an_answer_without_end_is_cut(channel: Channel, outside: Outside) -> None:
    sent = send(channel, outside, "answers without end")

    assert sent.outcome in ("ok", "retry")


def test_an_empty_address_is_refused_before_it_is_stored(channel: Channel) -> None:
    assert channel.check is not None
    with pytest.raises(Invalid):
        channel.check({})


def test_the_registry_finds_each_channel_by_its_name() -> None:
    assert {"webhook", "email"} <= {channel.name for channel in channels.all()}
    assert all(channels.get(channel.name) is channel for channel in channels.all())
    assert channels.get("carrier pigeon") is None
