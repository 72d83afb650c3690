"""A small company to change, and the configuration file's commands as functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.cli.configuration import apply_text, plan_text
from app.core.keys import Vault
from app.core.types import Actor, ActorKind
from app.domain import catalog, configuration, people
from app.models import AuditEntry, Destination, EscalationPolicy, Integration, Meta, Service, Team, User
from app.wiring import transactions
from app.wiring.runtime import runtime
from tests.world.clock import MONDAY
from tests.world.databases import SECRET_KEY

ACTOR = Actor(ActorKind.USER, "Ann", 1, 1)


@dataclass
class Company:
    """Rows to begin with: Ann pages herself and the room, for the service Web."""

    session: Session
    vault: Vault
    ann: User
    bob: User
    team: Team
    room: Destination
    policy: EscalationPolicy
    service: Service
    integration: Integration
    key: str
    now: datetime = MONDAY

    @property
    def by(self) -> dict[str, Any]:
        """Who changes it, and when."""
        return {"actor": ACTOR, "now": self.now}

    def version(self) -> int:
        """The catalog's number."""
        return self.session.scalars(select(Meta.config_version)).one()

    def last_audit(self) -> AuditEntry:
        """What was written down last."""
        return self.session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1)).one()


@pytest.fixture
def vault() -> Vault:
    return Vault(SECRET_KEY)


@pytest.fixture
def company(session: Session, vault: Vault) -> Company:
    by: dict[str, Any] = {"actor": ACTOR, "now": MONDAY}
    ann = people.create_user(session, email="ann@example.com", name="Ann", role="admin", **by)
    bob = people.create_user(session, email="bob@example.com", name="Bob", **by)
    team = people.create_team(session, name="Platform", **by)
    room = catalog.create_destination(session, name="room", address=catalog.prepare_address(vault, "webhook", "http://127.0.0.1:9/room", shared=True), **by)
    steps = [catalog.Step([catalog.Target("user", ann.id)], 300), catalog.Step([catalog.Target("destination", room.id)], 600)]
    policy = catalog.create_policy(session, name="Default", steps=steps, **by)
    service = catalog.create_service(session, name="Web", policy_id=policy.id, **by)
    integration, key = catalog.create_integration(session, vault, service, name="alertmanager", source="prometheus", **by)
    return Company(session, vault, ann, bob, team, room, policy, service, integration, key)


ENVIRON = {"ANN_PASSWORD": "correct horse", "ANN_TOKEN": "a-token-of-ann-0123456789", "AM_KEY": "0123456789abcdef0123456789abcdef"}


@dataclass
class Office:
    """The configuration file of a running installation."""

    environ: dict[str, str]

    def plan(self, text: str, *, prune: bool = False) -> list[str]:
        """What would change, in words."""
        return [str(change) for change in plan_text(text, self.environ, prune=prune).changes]

    def apply(self, text: str, *, prune: bool = False) -> list[str]:
        """Change it."""
        return [str(change) for change in apply_text(text, self.environ, prune=prune)]

    def export(self) -> str:
        """Write it out."""
        return self.look(lambda session: configuration.export(configuration.load(session, runtime().vault, now=runtime().now())))

    def look(self, view: Callable[[Session], Any]) -> Any:
        """Read from the database."""
        return transactions.run(view, "read")

    def change(self, work: Callable[[Session], Any]) -> Any:
        """Write to the database."""
        return transactions.run(work)


@pytest.fixture
def office(app: Flask) -> Office:
    return Office(dict(ENVIRON))
