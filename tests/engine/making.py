"""Rows for the engine's tests, made directly: what the catalog and the intake would leave."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.keys import new_public_id
from app.models import Alert, Attempt, Base, ContactMethod, Delivery, Destination, Incident, NotificationRule, PolicySnapshot, Service, Team, TeamMember, User
from app.wiring import transactions
from tests.world.clock import MONDAY

Row = TypeVar("Row", bound=Base)


def save(*rows: Base) -> None:
    """Store rows in a transaction of their own."""
    transactions.run(lambda session: session.add_all(rows))


def user(name: str, *addresses: str, rules: Iterable[tuple[int, int, str]] = (), **fields: Any) -> User:
    """A person with webhook addresses; rules are (number of the address, seconds, urgency)."""
    made = User(public_id=new_public_id("U"), email=f"{name}@example.com", name=name.capitalize(), role="responder", created_at=MONDAY, **fields)
    made.contact_methods = [
        ContactMethod(public_id=new_public_id("M"), name=f"hook {n}", channel="webhook", address={"url": address}, created_at=MONDAY)
        for n, address in enumerate(addresses)
    ]
    save(made)
    made_rules = [
        NotificationRule(user_id=made.id, contact_method_id=made.contact_methods[n].id, urgency=urgency, after_seconds=after) for n, after, urgency in rules
    ]
    save(*made_rules)
    return made


def destination(name: str, address: str, **fields: Any) -> Destination:
    made = Destination(public_id=new_public_id("D"), name=name, channel="webhook", address={"url": address}, created_at=MONDAY, **fields)
    save(made)
    return made


def team(name: str, *members: tuple[User, str]) -> Team:
    made = Team(public_id=new_public_id("T"), name=name, created_at=MONDAY)
    made.members = [TeamMember(user_id=member.id, role=role) for member, role in members]
    save(made)
    return made


def target(thing: User | Team | Destination, **options: Any) -> dict[str, Any]:
    kind = {User: "user", Team: "team", Destination: "destination"}[type(thing)]
    return {"kind": kind, "id": thing.id, **options}


def snapshot(*steps: Iterable[dict[str, Any]], wait: int = 300, repeat: int = 0) -> PolicySnapshot:
    """A policy's snapshot; each step is its targets."""
    content = {"policy_id": 1, "name": "Default", "repeat": repeat, "steps": [{"wait": wait, "targets": list(targets)} for targets in steps]}
    digest = hashlib.sha256((json.dumps(content) + uuid.uuid4().hex).encode()).hexdigest()
    made = PolicySnapshot(policy_id=1, content_hash=digest, content=content, created_at=MONDAY)
    save(made)
    return made


def service(name: str = "Web") -> Service:
    made = Service(public_id=new_public_id("S"), uuid=str(uuid.uuid4()), name=name, created_at=MONDAY)
    save(made)
    return made


def incident(owner: Service, policy: PolicySnapshot | None, *, at: datetime = MONDAY, title: str = "disk full", **fields: Any) -> Incident:
    """A new incident whose first step is due."""
    values: dict[str, Any] = {
        "state": "triggered",
        "severity": "critical",
        "urgency": "high",
        "escalation_round": 1,
        "next_step_at": at if policy else None,
        "idle_reason": None if policy else "no_policy",
        "policy_snapshot_id": policy.id if policy else None,
    }
    made = Incident(public_id=new_public_id("I"), service_id=owner.id, title=title, opened_at=at, changed_at=at, **{**values, **fields})
    save(made)
    alert = Alert(
        public_id=new_public_id("A"),
        service_id=owner.id,
        incident_id=made.id,
        dedup_key=title + made.public_id,
        state="firing",
        severity="critical",
        summary=title,
        opened_at=at,
        last_seen_at=at,
        window_started_at=at,
    )
    save(alert)
    return made


def all_of(kind: type[Row]) -> list[Row]:
    """All rows of a table, by their key."""

    def work(session: Session) -> list[Row]:
        return list(session.scalars(select(kind).order_by(*kind.__mapper__.primary_key)))

    return transactions.run(work, "read")


def deliveries() -> list[Delivery]:
    return all_of(Delivery)


def attempts() -> list[Attempt]:
    return all_of(Attempt)
