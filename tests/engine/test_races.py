"""Two processes at the same work, and people who answer meanwhile."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import create_app
from app.core.types import SYSTEM
from app.domain import incidents
from app.engine import jobs
from app.engine.sender import sender_of
from app.models import Attempt, Delivery, Incident, TimelineEntry
from app.settings import Settings
from app.wiring import transactions
from app.wiring.extensions import db
from tests.conftest import close
from tests.engine import making
from tests.world.clock import MONDAY, FakeClock
from tests.world.receivers import HttpReceiver

INCIDENTS = 60


@pytest.fixture
def two_apps(settings: Settings) -> Iterator[list[Flask]]:
    """Two processes, as far as the database can tell."""
    made = [create_app(settings, FakeClock()) for _ in range(2)]
    with made[0].app_context():
        yield made
    for app in made:
        with app.app_context():
            sender_of(app).close()
            db.session.remove()
            close(app)


def storm(receiver: HttpReceiver) -> list[Incident]:
    owner, policy = making.service(), making.snapshot([making.target(making.user("ann", receiver.url("ann")))])
    return [making.incident(owner, policy, title=f"problem {n}") for n in range(INCIDENTS)]


def work(app: Flask) -> None:
    with app.app_context():
        jobs.work(escalate=True, seconds=30)
        sender_of(app).drain()


def at_once(*works: Callable[[], None]) -> None:
    threads = [threading.Thread(target=each) for each in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert not any(thread.is_alive() for thread in threads)


def test_two_processes_take_each_step_and_send_each_page_once(two_apps: list[Flask], receiver: HttpReceiver) -> None:
    storm(receiver)
    first, second = two_apps

    at_once(lambda: work(first), lambda: work(second))
    work(first)

    arrived = Counter(page.headers["x-tocsin-delivery"] for page in receiver.pages["ann"])
    assert len(arrived) == INCIDENTS
    assert set(arrived.values()) == {1}
    assert Counter(attempt.outcome for attempt in making.attempts()) == {"ok": INCIDENTS}
    assert Counter(line.kind for line in making.all_of(TimelineEntry)) == {"escalated": INCIDENTS, "delivered": INCIDENTS}


def test_no_send_begins_after_an_acknowledgement(two_apps: list[Flask], receiver: HttpReceiver) -> None:
    everything = storm(receiver)
    first, second = two_apps
    begun_before: dict[int, list[int]] = {}

    def attempts_of(session: Session, number: int) -> list[int]:
        return list(session.scalars(select(Attempt.id).join(Delivery).where(Delivery.incident_id == number)))

    def answer() -> None:
        with second.app_context():
            for number in sorted((incident.id for incident in everything), key=lambda number: number * 37 % 61):
                transactions.run(lambda session, number=number: incidents.acknowledge(session, incidents.find(session, number), actor=SYSTEM, now=MONDAY))
                begun_before[number] = transactions.run(lambda session, number=number: attempts_of(session, number), "read")

    at_once(lambda: work(first), answer)
    work(first)

    later = {number: transactions.run(lambda session, number=number: attempts_of(session, number), "read") for number in begun_before}
    assert later == begun_before
    states = Counter((delivery.state, delivery.reason) for delivery in making.deliveries())
    assert set(states) <= {("sent", None), ("dropped", "acknowledged")}
    assert len(receiver.pages["ann"]) == states["sent", None]
