"""A service with one integration, made of bare rows, and plans for it: what tests of accepting need and no more."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask
from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from app.core.keys import new_public_id
from app.core.types import Action, Event, Ignored, Inbound, Severity
from app.domain import intake, receipts
from app.domain.facts import IntegrationFacts
from app.domain.plans import Outcome, Plan
from app.models import EscalationPolicy, EscalationStep, Integration, PolicySnapshot, Service
from app.wiring import transactions

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
INBOUND = Inbound("POST", "/api/v2/generic/incoming", {"content-type": "application/json"}, {}, b'{"summary": "x"}')


class Shop:
    """One service, one integration, a policy with a step."""

    def __init__(self, app: Flask, *, with_policy: bool = True, group_by: str = "alert") -> None:
        self.runtime: Any = app.extensions["tocsin"]
        name = secrets.token_hex(6)
        self.service_id, self.integration_id = transactions.run(lambda session: self._build(session, name, with_policy, group_by))

    def _build(self, session: Session, name: str, with_policy: bool, group_by: str) -> tuple[int, int]:
        policy = _policy(session, name) if with_policy else None
        service = Service(public_id=new_public_id("S"), uuid=str(uuid.uuid4()), name=name, policy=policy, created_at=START)
        integration = Integration(
            public_id=new_public_id("C"), intake_id=secrets.token_hex(16), service=service, name=name, source="generic", group_by=group_by, created_at=START
        )
        session.add_all([service, integration])
        session.flush()
        return service.id, integration.id

    @property
    def facts(self) -> IntegrationFacts:
        found: IntegrationFacts | None = self.runtime.cache.by_id(self.integration_id)
        assert found is not None
        return found

    def plan(self, *events: Event | Ignored, now: datetime) -> Plan:
        kept = receipts.facts(INBOUND, "goalert", 204, path=INBOUND.path, pack=self.runtime.settings.is_sqlite)
        return intake.prepare(self.facts, INBOUND, list(events), kept, now=now)

    def fast(self, *events: Event | Ignored, now: datetime = START) -> list[Outcome]:
        """Accept as the product does: the fast path where it fits."""
        accepted: list[Outcome] = self.runtime.acceptor.accept(self.plan(*events, now=now))
        return accepted

    def general(self, *events: Event | Ignored, now: datetime = START) -> list[Outcome]:
        """Accept by the general path alone."""
        plan = self.plan(*events, now=now)
        return transactions.run(lambda session: intake.accept(session, plan))


def _policy(session: Session, name: str) -> EscalationPolicy:
    snapshot = PolicySnapshot(content_hash=name, content={"steps": []}, created_at=START)
    session.add(snapshot)
    session.flush()
    policy = EscalationPolicy(public_id=new_public_id("P"), name=name, snapshot_id=snapshot.id, created_at=START)
    policy.steps = [EscalationStep(public_id=new_public_id("E"), position=0, wait_seconds=300)]
    session.add(policy)
    return policy


def trigger(key: str = "disk", **extra: Any) -> Event:
    return replace(Event(Action.TRIGGER, key, key_is_given=True, summary=f"{key} is full", severity=Severity.CRITICAL), **extra)


def resolve(key: str = "disk", **extra: Any) -> Event:
    return replace(Event(Action.RESOLVE, key, key_is_given=True, summary=f"{key} is fine"), **extra)


def acknowledge(key: str = "disk") -> Event:
    return Event(Action.ACKNOWLEDGE, key, key_is_given=True)


def minutes(n: float) -> datetime:
    return START + timedelta(minutes=n)


def rows(model: Any, *conditions: Any) -> list[Any]:
    """Rows in the order of their ids, detached."""
    return transactions.run(lambda session: list(session.scalars(select(model).where(*conditions).order_by(*inspect(model).primary_key))), "read")
