"""Users: persons, and service accounts that only hold tokens."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.core.errors import Conflict, Invalid
from app.core.keys import new_public_id
from app.core.types import Actor
from app.domain.catalog import checks, policies, records
from app.domain.catalog.checks import Check
from app.models import ContactMethod, LoginSession, NotificationRule, TeamMember, Token, User

ROLES = ("admin", "manager", "responder", "observer")
KINDS = ("person", "service_account")


class UserOptions(TypedDict, total=False):
    """What a user may have besides address and name."""

    role: str
    kind: str
    timezone: str
    pagerduty_id: str | None


class UserFields(UserOptions, total=False):
    """All that can be changed of a user; the password has its own function."""

    email: str
    name: str


_TABLE: Mapping[str, Check] = {
    "email": checks.email,
    "name": checks.line(),
    "role": checks.one_of(*ROLES),
    "kind": checks.one_of(*KINDS),
    "timezone": checks.timezone,
    "pagerduty_id": checks.optional(checks.foreign_id),
}


def check_user(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they are stored; pure.

    Raises:
        Invalid: a value is wrong.
    """
    return checks.checked(fields, _TABLE)


def create_user(
    session: Session, *, email: str, name: str, actor: Actor, now: datetime, password_hash: str | None = None, **fields: Unpack[UserOptions]
) -> User:
    """A new user, a responder unless a role is given; without a password nobody can log in as them.

    Raises:
        Invalid: a value is wrong or taken.
    """
    values = check_user({"email": email, "name": name, "role": "responder", **fields})
    _check_against_others(session, values, None)
    row = User(public_id=new_public_id("U"), password_hash=_hash(password_hash), created_at=now, **values)
    return records.create(session, row, actor=actor, now=now)


def update_user(session: Session, user: User, *, actor: Actor, now: datetime, **fields: Unpack[UserFields]) -> bool:
    """Change a user; False when there is nothing to change.

    Raises:
        Invalid: a value is wrong or taken.
        Conflict: nobody would be left who may change everything.
    """
    values = check_user(fields)
    _check_against_others(session, values, user)
    if values.get("role", "admin") != "admin" or values.get("kind", "person") != "person":
        _keep_an_admin(session, user)
    return records.change(session, user, values, actor=actor, now=now)


def set_password(session: Session, user: User, *, password_hash: str, actor: Actor, now: datetime) -> None:
    """Give a user a password, as a hash by `core.passwords`; their browsers are logged out."""
    records.change(session, user, {"password_hash": _hash(password_hash)}, actor=actor, now=now, verb="password set")
    _log_out(session, user, now)


def disable_user(session: Session, user: User, *, actor: Actor, now: datetime) -> bool:
    """Let a user in no more, nor their tokens; they are paged no more.  False when it is so already.

    Raises:
        Conflict: nobody would be left who may change everything.
    """
    if user.disabled_at is not None:
        return False
    _keep_an_admin(session, user)
    _log_out(session, user, now)
    return records.change(session, user, {"disabled_at": now}, actor=actor, now=now, verb="disabled")


def enable_user(session: Session, user: User, *, actor: Actor, now: datetime) -> bool:
    """Let a disabled user in again."""
    return records.change(session, user, {"disabled_at": None}, actor=actor, now=now, verb="enabled")


def archive_user(session: Session, user: User, *, actor: Actor, now: datetime) -> bool:
    """Put a user away: out of all teams, tokens revoked, contact methods gone.

    Raises:
        Conflict: a policy pages them, or nobody would be left who may change everything.
    """
    records.hold(session)
    if user.archived_at is not None:
        return False
    using = policies.policies_paging(session, "user", user.id)
    records.refuse_used(user, [f"the escalation policy {policy.name}" for policy in using], "Page somebody else there first.")
    _keep_an_admin(session, user)
    records.archive(session, user, actor=actor, now=now, pagerduty_id=None, password_hash=None)
    _log_out(session, user, now)
    for membership in session.scalars(select(TeamMember).where(TeamMember.user_id == user.id)):
        session.delete(membership)
    for rule in session.scalars(select(NotificationRule).where(NotificationRule.user_id == user.id)):
        session.delete(rule)
    session.execute(update(Token).where(Token.user_id == user.id, Token.revoked_at.is_(None)).values(revoked_at=now))
    session.execute(update(ContactMethod).where(ContactMethod.user_id == user.id, ContactMethod.archived_at.is_(None)).values(archived_at=now))
    session.flush()
    session.expire(user)
    return True


def find_user(session: Session, email: str) -> User | None:
    """The living user of an e-mail address, in any case."""
    return session.scalars(select(User).where(User.email == email.strip().lower(), User.archived_at.is_(None))).one_or_none()


def _keep_an_admin(session: Session, leaving: User) -> None:
    if leaving.role != "admin" or leaving.kind != "person" or leaving.disabled_at is not None or leaving.archived_at is not None:
        return
    records.hold(session)
    others = select(func.count()).where(
        User.role == "admin", User.kind == "person", User.id != leaving.id, User.disabled_at.is_(None), User.archived_at.is_(None)
    )
    if session.scalars(others).one() == 0:
        raise Conflict(f"{leaving.email} is the last admin; make somebody else an admin first.")


def _log_out(session: Session, user: User, now: datetime) -> None:
    session.execute(update(LoginSession).where(LoginSession.user_id == user.id, LoginSession.revoked_at.is_(None)).values(revoked_at=now))


def _hash(password_hash: str | None) -> str | None:
    if password_hash is not None and not password_hash.startswith("scrypt$"):
        raise Invalid("password", "A password is hashed before it is stored.")
    return password_hash


def _check_against_others(session: Session, values: Mapping[str, Any], user: User | None) -> None:
    for field in ("email", "pagerduty_id"):
        if values.get(field):
            records.refuse_taken(session, User, field, values[field], but=user)
