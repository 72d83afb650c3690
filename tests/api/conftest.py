"""A small firm that the tests of the API ask about: two teams, five people with tokens, two services, one tool."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

import pytest
from flask import Flask
from sqlalchemy import event, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from app.core.keys import hash_token
from app.core.types import SYSTEM, Actor, ActorKind
from app.domain import catalog, incidents, people
from app.models import EscalationPolicy, Incident, Integration, Service, Team, Token, User
from app.wiring import transactions
from app.wiring.extensions import db
from app.wiring.runtime import runtime
from tests.world.clock import FakeClock

T = TypeVar("T")
KEY = "0123456789abcdef0123456789abcdef"
ROLES = {"admin": "admin", "manager": "manager", "member": "responder", "observer": "observer", "stranger": "manager"}
"""Everybody by name; admin, manager, member and observer are of the team Platform, the stranger of Other."""


class Firm:
    """What there is to ask about, and how to ask."""

    def __init__(self, app: Flask, clock: FakeClock) -> None:
        self.app = app
        self.clock = clock
        self.tokens: dict[str, str] = {}
        self.write(self._found)

    def _found(self, session: Session) -> None:
        by: dict[str, Any] = {"actor": SYSTEM, "now": self.clock.now()}
        users = {
            name: people.create_user(session, email=f"{name}@example.com", name=name.capitalize(), role=role, timezone="Europe/Berlin", **by)
            for name, role in ROLES.items()
        }
        platform, other = people.create_team(session, name="Platform", **by), people.create_team(session, name="Other", **by)
        people.set_members(session, platform, {users[name].id: "member" for name in ROLES if name != "stranger"}, **by)
        people.set_members(session, other, {users["stranger"].id: "lead"}, **by)
        steps = [catalog.Step((catalog.Target("user", users["member"].id),), 300)]
        policy = catalog.create_policy(session, name="Default", steps=steps, **by)
        web = catalog.create_service(session, name="Web", team_id=platform.id, policy_id=policy.id, **by)
        catalog.create_service(session, name="Shop", team_id=other.id, **by)
        catalog.create_integration(session, runtime().vault, web, name="tool", source="generic", key=KEY, rate_limit=0, **by)
        for name, user in users.items():
            self.tokens[name] = people.create_token(session, user, name="api", scopes=["*"], **by)[1]

    def token(self, name: str, *scopes: str, teams: tuple[str, ...] = (), expires_at: datetime | None = None) -> str:
        """Another token of somebody."""

        def work(session: Session) -> str:
            user = session.scalars(select(User).where(User.email == f"{name}@example.com")).one()
            limits = [row.id for row in session.scalars(select(Team).where(Team.name.in_(teams)))]
            label = f"{'+'.join(scopes)} {teams} {expires_at}"
            by: dict[str, Any] = {"actor": SYSTEM, "now": self.clock.now()}
            return people.create_token(session, user, name=label, scopes=scopes or ["*"], team_ids=limits, expires_at=expires_at, **by)[1]

        return self.write(work)

    def write(self, work: Callable[[Session], T]) -> T:
        return transactions.run(work)

    def read(self, work: Callable[[Session], T]) -> T:
        return transactions.run(work, "read")

    def ask(self, method: str, path: str, *, by: str = "admin", token: str | None = None, **request: Any) -> TestResponse:
        """Ask /api/v1 as somebody."""
        headers = {"Authorization": token or self.tokens[by], **request.pop("headers", {})}
        return self.app.test_client().open(f"/api/v1/{path}", method=method, headers=headers, **request)

    def get(self, path: str, **request: Any) -> Any:
        """The JSON of a GET that is answered 200."""
        return json_of(self.ask("GET", path, **request), 200)

    def post(self, path: str, body: Any = None, *, status: int = 200, **request: Any) -> Any:
        """The JSON of a POST (None when the answer is empty)."""
        return json_of(self.ask("POST", path, **({"json": body} if body is not None else {}), **request), status)

    def alert(self, dedup: str = "disk", *, key: str = KEY, **fields: str) -> int:
        """A tool reports something; the incident's number."""
        body = {"summary": f"{dedup} is full", "details": "on db-1", "dedup": dedup, **fields}
        response = self.app.test_client().post(f"/api/v2/generic/incoming?token={key}", json=body, headers={"Accept": "application/json"})
        assert response.status_code == 200, response.get_data(as_text=True)
        return int(response.get_json()["AlertID"])

    def group(self, number: int) -> str:
        """The public id of an incident."""
        return self.read(lambda session: session.get_one(Incident, number).public_id)

    def id_of(self, model: type[Service] | type[Team] | type[User] | type[Integration] | type[EscalationPolicy], name: str) -> str:
        """The public id of what has a name."""
        return self.read(lambda session: session.scalars(select(model.public_id).where(model.name == name)).one())

    def incident(self, number: int) -> Incident:
        """The row as it is now."""
        return self.read(lambda session: session.get_one(Incident, number))

    def act(self, number: int, name: str, by: str = "Ann", **arguments: Any) -> incidents.Change:
        """Somebody does something elsewhere, as on a page."""
        action: Callable[..., incidents.Change] = getattr(incidents, name)
        who = Actor(ActorKind.USER, by)
        return self.write(lambda session: action(session, incidents.find(session, number), actor=who, now=self.clock.now(), **arguments))

    def revoke(self, token: str) -> None:
        """Make a token useless."""

        def work(session: Session) -> None:
            row = session.scalars(select(Token).where(Token.token_hash == hash_token(token))).one()
            people.revoke_token(session, row, actor=SYSTEM, now=self.clock.now())

        self.write(work)


def json_of(response: TestResponse, status: int) -> Any:
    assert response.status_code == status, f"{response.status_code}: {response.get_data(as_text=True)[:1000]}"
    if not response.get_data():
        return None
    assert response.mimetype == "application/json"
    return response.get_json()


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements that are sent to the database."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


@pytest.fixture
def firm(app: Flask, clock: FakeClock) -> Firm:
    """The firm in a fresh database."""
    return Firm(app, clock)
