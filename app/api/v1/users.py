"""/api/v1/users: people in OnCall's shape, to read."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session, selectinload

from app.api import paging
from app.api.asking import Ask, Filter
from app.api.endpoints import Endpoint, Shape
from app.core.errors import NotFound
from app.models import TeamMember, User
from app.wiring.transactions import reading

PAGE_SIZE = 100
SHAPE: Shape = {
    "id": "string",
    "email": "string",
    "slack": "object?",
    "username": "string",
    "role": "string",
    "is_phone_number_verified": "boolean",
    "timezone": "string",
    "teams": "list",
}
FILTERS = (
    Filter("username", "The user of this name or e-mail address."),
    Filter("email", "The user of this e-mail address, in any case."),
    Filter("short", "true: without slack, timezone and teams."),
)
_LONG = ("slack", "timezone", "teams")
_PHONE = frozenset({"sms", "voice", "phone", "whatsapp"})
"""Channels whose address is a telephone number."""
_LOAD = (selectinload(User.memberships).joinedload(TeamMember.team), selectinload(User.contact_methods))


@reading
def index(session: Session, ask: Ask) -> dict[str, Any]:
    """The oldest first; service accounts are no people and are not among them."""
    wanted = select(User.id).where(User.archived_at.is_(None), User.kind == "person")
    if ask.one("username"):
        wanted = wanted.where(or_(User.name == ask.one("username"), User.email == ask.one("username").lower()))
    if ask.one("email"):
        wanted = wanted.where(User.email == ask.one("email").lower())
    page = paging.read(session, ask, User, wanted, load=_LOAD, size=PAGE_SIZE, newest_first=False)
    is_short = ask.one("short").lower() == "true"
    return page.envelope([_short(_shown(user)) if is_short else _shown(user) for user in page.rows])


@reading
def get(session: Session, ask: Ask, ref: str) -> dict[str, Any]:
    """One user, or with `current` the owner of the token."""
    condition: ColumnElement[bool] = User.id == ask.principal.user_id if ref == "current" else User.public_id == ref.removeprefix("usr_")
    user = session.scalars(select(User).where(condition, User.archived_at.is_(None)).options(*_LOAD)).one_or_none()
    if user is None:
        raise NotFound(f"There is no user {ref}.")
    return _shown(user)


def _shown(user: User) -> dict[str, Any]:
    """OnCall's keys; `role` is our word: admin, manager, responder or observer."""
    verified = (method for method in user.contact_methods if method.verified_at is not None and method.archived_at is None)
    return {
        "id": user.public_id,
        "email": user.email,
        "slack": None,
        "username": user.name,
        "role": user.role,
        "is_phone_number_verified": any(method.channel in _PHONE for method in verified),
        "timezone": user.timezone,
        "teams": [membership.team.public_id for membership in user.memberships if membership.team.archived_at is None],
    }


def _short(shown: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in shown.items() if name not in _LONG}


ENDPOINTS = (
    Endpoint("GET", "users", "people:read", index, "List users", FILTERS, shape=SHAPE, paged=True),
    Endpoint("GET", "users/<ref>", "people:read", get, "Get a user, or with `current` the token's owner", shape=SHAPE),
)
