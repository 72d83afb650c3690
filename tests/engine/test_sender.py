"""The send pool against a real receiver."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.core.keys import Vault
from app.core.types import Sent
from app.domain import escalation
from app.engine.sender import LANE_SLOTS, SLOTS, Sender
from app.models import Alert, Delivery, Incident
from app.settings import Settings
from app.wiring import transactions
from app.wiring.extensions import db
from tests.engine import making
from tests.world.clock import MONDAY, FakeClock
from tests.world.receivers import Answer, HttpReceiver


@dataclass
class Gate:
    """A way out whose sends wait until they are let through; it knows how many wait at once."""

    opened: threading.Event = field(default_factory=threading.Event)
    waiting: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    answer: Sent | Exception = field(default_factory=Sent.ok)

    def deliver(self, _method: str, url: str, **_rest: Any) -> Sent:
        if "stuck" in url:
            self.waiting.append(url)
            assert self.opened.wait(20)
        self.passed.append(url)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def mail(self, _message: EmailMessage, _to: str) -> Sent:
        return Sent.ok()


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.opened.set()


def pages(*urls: str) -> list[Incident]:
    """A planned page to each address."""
    owner = making.service()
    made = [making.incident(owner, making.snapshot([making.target(making.user(f"person{n}", url))])) for n, url in enumerate(urls)]
    for incident in made:
        transactions.run(lambda session, number=incident.id: escalation.advance(session, [number], now=MONDAY))
    return made


def states() -> list[tuple[str, str | None]]:
    return [(delivery.state, delivery.reason) for delivery in making.deliveries()]


def pump(sender: Sender) -> int:
    """Until nothing more goes."""
    total = 0
    while done := sender.pump().started:
        total += done
    return total


def test_a_page_arrives_with_its_delivery_id_and_the_documented_body(sender: Sender, receiver: HttpReceiver) -> None:
    (incident,) = pages(receiver.url("ann"))

    assert sender.pump().started == 1
    assert sender.drain()

    (page,) = receiver.pages["ann"]
    (delivery,) = making.deliveries()
    assert page.headers["x-tocsin-delivery"] == delivery.public_id
    assert page.body == {
        "event": "incident.triggered",
        "timestamp": "2026-01-05T09:00:00Z",
        "incident": {
            "id": f"inc_{incident.public_id}",
            "title": "disk full",
            "status": "OPEN",
            "urgency": "HIGH",
            "service": {"id": f"svc_{making.all_of(making.Service)[0].public_id}", "name": "Web"},
            "assignee": {"id": f"usr_{making.all_of(making.User)[0].public_id}", "name": "Person0"},
            "url": f"http://tocsin.test/incidents/inc_{incident.public_id}",
        },
    }
    assert list(page.body["incident"]) == ["id", "title", "status", "urgency", "service", "assignee", "url"]
    assert states() == [("sent", None)]


def test_a_busy_receiver_gets_the_same_delivery_again(sender: Sender, receiver: HttpReceiver, clock: FakeClock) -> None:
    receiver.answers["ann"] = [Answer(503)]
    pages(receiver.url("ann"))
    sender.pump()
    sender.drain()
    assert states() == [("planned", None)]
    assert sender.pump().started == 0, "not before its time"

    clock.advance(5)
    assert sender.pump().started == 1
    sender.drain()

    first, second = receiver.pages["ann"]
    assert first.headers["x-tocsin-delivery"] == second.headers["x-tocsin-delivery"]
    assert first.body == second.body
    assert states() == [("sent", None)]


def test_an_address_that_may_not_be_reached_is_a_refusal_that_names_the_setting(sender: Sender) -> None:
    pages("http://192.168.7.7/hook")
    sender.pump()
    sender.drain()

    assert states() == [("failed", "refused")]
    assert "OUTBOUND_ALLOW" in making.attempts()[0].detail


def test_a_channel_that_is_gone_is_said(sender: Sender) -> None:
    pages("http://127.0.0.1:9/")
    transactions.run(lambda session: session.execute(Delivery.__table__.update().values(channel="carrier pigeon")))
    sender.pump()
    sender.drain()

    assert making.attempts()[0].detail == "There is no channel carrier pigeon."


def test_a_fault_of_our_own_is_an_outcome_that_people_see_and_stops_nothing_else(app: Flask, gate: Gate) -> None:
    gate.answer = RuntimeError("a secret")
    sender = Sender(app, gate)
    pages("http://127.0.0.1:9/")
    sender.pump()
    sender.drain()
    sender.close()

    assert [attempt.detail for attempt in making.attempts()] == ["Tocsin itself failed: RuntimeError"]
    assert states() == [("planned", None)], "it is tried again"


def test_a_delivery_that_cannot_even_begin_stops_no_other_and_is_not_claimed_for_ever(sender: Sender, receiver: HttpReceiver) -> None:
    broken, _ = pages(receiver.url("ann"), receiver.url("bob"))
    spoil = Alert.__table__.update().where(Alert.incident_id == broken.id).values(links=["no link at all"])
    transactions.run(lambda session: session.execute(spoil))

    pump(sender)
    sender.drain()

    assert (len(receiver.pages["ann"]), len(receiver.pages["bob"])) == (0, 1)
    first = making.deliveries()[0]
    assert (first.state, first.attempt_count, first.lease_token, first.due_at) == ("planned", 1, None, MONDAY + timedelta(seconds=5))
    assert any(attempt.detail.startswith("Tocsin itself failed: TypeError") for attempt in making.attempts() if attempt.delivery_id == first.id)
    assert sender.busy == 0


def test_what_was_sent_is_written_down_although_the_database_was_away(app: Flask, gate: Gate, settings: Settings) -> None:
    if not settings.is_sqlite:
        pytest.skip("a file is taken away more easily than a server")
    sender = Sender(app, gate)
    pages("http://stuck.example/")
    sender.pump()
    file = Path(settings.database_url.removeprefix("sqlite:///"))
    db.engine.dispose()
    file.rename(file.with_suffix(".away"))
    file.mkdir()
    gate.opened.set()
    threading.Event().wait(0.5)
    file.rmdir()
    file.with_suffix(".away").rename(file)

    assert sender.drain(5)
    sender.close()
    assert states() == [("sent", None)]


def test_a_secret_of_an_address_is_opened_for_the_send_only(app: Flask, sender: Sender, receiver: HttpReceiver) -> None:
    vault: Vault = app.extensions["tocsin"].vault
    sealed = vault.seal("hook-secret")
    pages(receiver.url("ann"))
    transactions.run(lambda session: session.execute(Delivery.__table__.update().values(address={"url": receiver.url("ann"), "secret": sealed})))
    sender.pump()
    sender.drain()

    assert receiver.pages["ann"][0].headers["x-signature"].startswith("sha256=")


def test_a_lost_key_is_said(app: Flask, sender: Sender) -> None:
    pages("http://127.0.0.1:9/")
    lost = Vault("another secret key").seal("hook-secret")
    transactions.run(lambda session: session.execute(Delivery.__table__.update().values(address={"url": "http://127.0.0.1:9/", "secret": lost})))
    sender.pump()
    sender.drain()

    assert "SECRET_KEY" in making.attempts()[0].detail
    assert states() == [("failed", "refused")]


def test_a_receiver_that_hangs_holds_up_no_other(app: Flask, gate: Gate) -> None:
    sender = Sender(app, gate)
    pages(*["http://stuck.example:80/"] * (LANE_SLOTS + 5), *[f"http://fine{n}.example/" for n in range(5)])

    pump(sender)
    until_passed(gate, 5)

    assert len(gate.waiting) == LANE_SLOTS
    assert sender.pump().held_back
    assert sorted(gate.passed) == [f"http://fine{n}.example/" for n in range(5)]
    waiting = [delivery for delivery in making.deliveries() if delivery.state == "planned" and delivery.lease_token is None]
    assert len(waiting) == 5, "what found no place keeps no lease"
    gate.opened.set()
    sender.drain()
    assert pump(sender) == 5
    sender.close()
    assert {state for state, _ in states()} == {"sent"}


def test_no_more_is_claimed_than_can_be_sent_at_once(app: Flask, gate: Gate) -> None:
    sender = Sender(app, gate)
    pages(*[f"http://stuck{n}.example/" for n in range(SLOTS + 3)])

    assert pump(sender) == SLOTS
    assert len([delivery for delivery in making.deliveries() if delivery.lease_token]) == SLOTS
    gate.opened.set()
    sender.drain()
    sender.close()


def test_draining_gives_up_in_time(app: Flask, gate: Gate) -> None:
    sender = Sender(app, gate)
    pages("http://stuck.example/")
    sender.pump()

    assert not sender.drain(0.1)
    gate.opened.set()
    assert sender.drain(5)
    sender.close()


def test_a_lease_that_ended_before_the_send_began_is_left_to_whoever_has_it(app: Flask, gate: Gate, clock: FakeClock) -> None:
    sender = Sender(app, gate)
    pages("http://stuck.example/", "http://fine.example/")
    sender.pump()
    until_passed(gate, 1)
    clock.advance(31)
    transactions.run(
        lambda session: session.execute(Delivery.__table__.update().where(Delivery.state == "planned").values(lease_token="f" * 32, leased_by="other"))
    )
    gate.opened.set()
    sender.drain()
    sender.close()

    stuck = next(delivery for delivery in making.deliveries() if delivery.state == "planned")
    assert (stuck.leased_by, stuck.due_at) == ("other", MONDAY)


def until_passed(gate: Gate, count: int) -> None:
    moment = threading.Event()
    for _ in range(200):
        if len(gate.passed) >= count:
            return
        moment.wait(0.05)
    raise AssertionError(f"{len(gate.passed)} of {count} sends passed")
