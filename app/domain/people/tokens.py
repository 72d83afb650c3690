"""API keys: hashed, scoped, expiring, shown once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.errors import Conflict, Invalid
from app.core.keys import hash_token, new_api_token, new_public_id
from app.core.types import Actor
from app.domain import access
from app.domain.catalog import checks, records
from app.models import Team, Token, TokenTeam, User

_VALUE = re.compile(r"[\x21-\x7e]{16,255}\Z")


def check_token(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they are stored; pure.

    Raises:
        Invalid: a value is wrong.
    """
    return checks.checked(fields, {"name": checks.line(), "scopes": _scopes, "expires_at": _moment, "value": checks.optional(_value)})


def create_token(
    session: Session,
    user: User,
    *,
    name: str,
    scopes: Iterable[str],
    actor: Actor,
    now: datetime,
    expires_at: datetime | None = None,
    team_ids: Iterable[int] = (),
    value: str | None = None,
) -> tuple[Token, str]:
    """A new API key of a user and its text, which is not kept; `value` carries an existing one over.

    Raises:
        Invalid: a value is wrong or taken.
        Conflict: the user is disabled or archived.
    """
    if user.archived_at is not None or user.disabled_at is not None:
        raise Conflict(f"{user.email} is disabled and can have no API key.")
    fields = check_token({"name": name, "scopes": scopes, "expires_at": expires_at, "value": value})
    if expires_at is not None and expires_at <= now:
        raise Invalid("expires_at", "The API key would have run out already.")
    if session.scalars(select(Token.id).where(Token.user_id == user.id, Token.name == fields["name"], Token.revoked_at.is_(None))).first() is not None:
        raise Invalid("name", f'{user.name} has an API key with the name "{fields["name"]}" already.')
    plain = fields.pop("value") or new_api_token()
    if session.scalars(select(Token.id).where(Token.token_hash == hash_token(plain))).first() is not None:
        raise Invalid("value", "This value is, or was, an API key already; take another.")
    row = Token(public_id=new_public_id("K"), user_id=user.id, token_hash=hash_token(plain), hint=_hint(plain), created_at=now, **fields)
    records.create(session, row, actor=actor, now=now)
    _set_teams(session, row, team_ids, actor, now)
    session.expire(user, ["tokens"])
    return row, plain


def update_token(
    session: Session,
    token: Token,
    *,
    actor: Actor,
    now: datetime,
    scopes: Iterable[str] | None = None,
    expires_at: datetime | Literal["as it is"] | None = "as it is",
    team_ids: Iterable[int] | None = None,
) -> bool:
    """Change what an API key may and how long; False when there is nothing to change.

    Raises:
        Invalid: a value is wrong.
    """
    given: dict[str, Any] = {"scopes": scopes} if scopes is not None else {}
    if expires_at != "as it is":
        given["expires_at"] = expires_at
    changed = records.change(session, token, check_token(given), actor=actor, now=now)
    return (team_ids is not None and _set_teams(session, token, team_ids, actor, now)) or changed


def revoke_token(session: Session, token: Token, *, actor: Actor, now: datetime) -> bool:
    """Make an API key useless at once; False when it is already."""
    if token.revoked_at is not None:
        return False
    return records.change(session, token, {"revoked_at": now}, actor=actor, now=now, verb="revoked")


def find_token(session: Session, user: User, name: str) -> Token | None:
    """The living API key of a user by its name."""
    return session.scalars(select(Token).where(Token.user_id == user.id, Token.name == name, Token.revoked_at.is_(None))).one_or_none()


def _set_teams(session: Session, token: Token, team_ids: Iterable[int], actor: Actor, now: datetime) -> bool:
    wanted = sorted({team_id for team_id in team_ids if records.require_living(session, Team, "team_ids", team_id)})
    present = list(session.scalars(select(TokenTeam).where(TokenTeam.token_id == token.id).order_by(TokenTeam.team_id)))
    before = [limit.team_id for limit in present]
    if before == wanted:
        return False
    records.note(session, "teams changed", token, {"team_ids": before}, {"team_ids": wanted}, actor=actor, now=now)
    for limit in present:
        session.delete(limit)
    session.flush()
    session.add_all(TokenTeam(token_id=token.id, team_id=team_id) for team_id in wanted)
    session.flush()
    session.expire(token, ["team_limits"])
    return True


def _hint(plain: str) -> str:
    shown = plain.removeprefix("sk_live_")
    return plain[: len(plain) - len(shown) + 4] + "…"


def _scopes(field: str, value: Any) -> list[str]:
    scopes = [value] if isinstance(value, str) else list(value)
    if not scopes:
        raise Invalid(field, 'Name at least one scope; "*" is all that the user may.')
    for scope in scopes:
        if scope not in access.SCOPES:
            raise Invalid(field, checks.unknown("scope", scope, access.SCOPES))
    return sorted(set(scopes))


def _moment(field: str, value: Any) -> datetime | None:
    if value is not None and (not isinstance(value, datetime) or value.tzinfo is None):
        raise Invalid(field, "Write a time with its zone, as 2027-01-31T00:00:00Z.")
    return value


def _value(field: str, value: Any) -> str:
    if not isinstance(value, str) or not _VALUE.match(value):
        raise Invalid(field, "An API key has 16 to 255 signs of ASCII, without spaces.")
    return value
