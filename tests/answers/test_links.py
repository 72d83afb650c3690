"""The link in a message: looking changes nothing, the button acknowledges."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from app.core.keys import new_public_id
from app.core.types import Actor, ActorKind
from app.domain import incidents, links
from app.models import Delivery, Incident, TimelineEntry, User
from app.wiring import transactions
from tests.accept.shop import Shop, rows, trigger
from tests.world.clock import FakeClock


@pytest.fixture
def token(app: Flask, clock: FakeClock) -> str:
    """The link of a message to Ann about a full disk."""
    (opened,) = Shop(app).fast(trigger(summary="disk <b>is</b> full"), now=clock.now())

    def send(session: Session) -> str:
        ann = User(public_id=new_public_id("U"), email="ann@example.com", name="Ann", role="responder", created_at=clock.now())
        session.add(ann)
        session.flush()
        delivery = Delivery(
            public_id=new_public_id("V"), subject_kind="incident", subject_id=opened.incident_id, incident_id=opened.incident_id, user_id=ann.id,
            channel="email", address={"address": "ann@example.com"}, state="sent", due_at=clock.now(), created_at=clock.now(),
        )  # fmt: skip
        session.add(delivery)
        made = links.link_token(b"secret", delivery.public_id)
        links.remember(delivery, made, now=clock.now())
        return made

    return transactions.run(send)


def test_looking_changes_nothing(client: FlaskClient, token: str) -> None:
    for look in (client.get, client.head):
        assert look(f"/a/{token}").status_code == 200
    assert rows(Incident)[0].state == "triggered"
    assert [line.kind for line in rows(TimelineEntry)] == ["opened"]


def test_the_page_shows_the_incident_and_trusts_no_text_of_it(client: FlaskClient, token: str) -> None:
    page = client.get(f"/a/{token}")
    assert "disk &lt;b&gt;is&lt;/b&gt; full" in page.text
    assert "Acknowledge as Ann" in page.text
    assert "script-src" in page.headers["Content-Security-Policy"] or "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_the_button_acknowledges_in_the_name_of_who_got_the_message(client: FlaskClient, token: str) -> None:
    page = client.post(f"/a/{token}")
    assert "You have it." in page.text
    (incident,) = rows(Incident)
    assert (incident.state, incident.next_step_at, incident.acknowledged_by["label"]) == ("acknowledged", None, "Ann")
    line = rows(TimelineEntry)[-1]
    assert (line.kind, line.actor_label, line.data["via"]) == ("acknowledged", "Ann", "the link in a message")


def test_the_second_time_it_says_who_was_first(client: FlaskClient, token: str, clock: FakeClock) -> None:
    bob = Actor(ActorKind.USER, "Bob")
    transactions.run(lambda session: incidents.acknowledge(session, session.query(Incident).one(), actor=bob, now=clock.now()))
    page = client.post(f"/a/{token}")
    assert "Bob acknowledged it first" in page.text
    assert "Acknowledge as" not in page.text


def test_after_the_end_it_says_that_it_is_over(client: FlaskClient, token: str, clock: FakeClock) -> None:
    bob = Actor(ActorKind.USER, "Bob")
    transactions.run(lambda session: incidents.resolve(session, session.query(Incident).one(), actor=bob, now=clock.now()))
    assert "Bob has resolved it already." in client.post(f"/a/{token}").text
    assert rows(Incident)[0].state == "resolved"


def test_a_link_runs_out(client: FlaskClient, token: str, clock: FakeClock) -> None:
    clock.advance(timedelta(hours=72).total_seconds())
    for ask in (client.get, client.post):
        gone = ask(f"/a/{token}")
        assert gone.status_code == 404
        assert "run out" in gone.text
    assert rows(Incident)[0].state == "triggered"


def test_a_made_up_link_answers_nothing(client: FlaskClient, token: str) -> None:
    assert client.post(f"/a/{token[:-1]}x").status_code == 404
    assert rows(Incident)[0].state == "triggered"


def test_every_attempt_carries_the_same_link_and_no_two_deliveries_share_one() -> None:
    assert links.link_token(b"secret", "V1") == links.link_token(b"secret", "V1")
    assert len({links.link_token(b"secret", "V1"), links.link_token(b"secret", "V2"), links.link_token(b"other", "V1")}) == 3
