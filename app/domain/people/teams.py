"""Teams and their members."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.errors import Invalid
from app.core.keys import new_public_id
from app.core.types import Actor
from app.domain.catalog import checks, policies, records
from app.models import Destination, EscalationPolicy, OutgoingWebhook, Schedule, Service, Team, TeamMember, Token, TokenTeam, User

ROLES = ("lead", "member")
_OWNED: Mapping[str, type[Any]] = {
    "the service": Service,
    "the escalation policy": EscalationPolicy,
    "the destination": Destination,
    "the outgoing webhook": OutgoingWebhook,
    "the schedule": Schedule,
}


def check_team(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they are stored; pure.

    Raises:
        Invalid: a value is wrong.
    """
    return checks.checked(fields, {"name": checks.line()})


def create_team(session: Session, *, name: str, actor: Actor, now: datetime) -> Team:
    """A new team without members.

    Raises:
        Invalid: the name is wrong or taken.
    """
    values = check_team({"name": name})
    records.refuse_taken(session, Team, "name", values["name"])
    return records.create(session, Team(public_id=new_public_id("T"), created_at=now, **values), actor=actor, now=now)


def update_team(session: Session, team: Team, *, name: str, actor: Actor, now: datetime) -> bool:
    """Rename a team; False when that is its name.

    Raises:
        Invalid: the name is wrong or taken.
    """
    values = check_team({"name": name})
    records.refuse_taken(session, Team, "name", values["name"], but=team)
    return records.change(session, team, values, actor=actor, now=now)


def set_members(session: Session, team: Team, members: Mapping[int, str], *, actor: Actor, now: datetime) -> bool:
    """Make these the members, user ids to lead or member; False when they are already.

    Raises:
        Invalid: a role or user is unknown.
    """
    for user_id, role in members.items():
        records.require_living(session, User, "members", user_id)
        if role not in ROLES:
            raise Invalid("members", checks.unknown("role in a team", role, ROLES))
    present = {membership.user_id: membership for membership in session.scalars(select(TeamMember).where(TeamMember.team_id == team.id))}
    before = {user_id: membership.role for user_id, membership in present.items()}
    if before == dict(members):
        return False
    shown = [{"members": {str(user_id): role for user_id, role in sorted(of.items())}} for of in (before, members)]
    records.note(session, "members changed", team, shown[0], shown[1], actor=actor, now=now)
    for user_id, membership in present.items():
        if user_id not in members:
            session.delete(membership)
    for user_id, role in members.items():
        if user_id in present:
            present[user_id].role = role
        else:
            session.add(TeamMember(team_id=team.id, user_id=user_id, role=role))
    session.flush()
    session.expire(team, ["members"])
    return True


def archive_team(session: Session, team: Team, *, actor: Actor, now: datetime) -> bool:
    """Put a team away.

    Raises:
        Conflict: it owns something, a policy pages it, or an API key is limited to it.
    """
    records.hold(session)
    if team.archived_at is not None:
        return False
    using = [
        f"{words} {name}"
        for words, model in _OWNED.items()
        for name in session.scalars(select(model.name).where(model.team_id == team.id, model.archived_at.is_(None)).order_by(model.name))
    ]
    using += [f"the steps of the escalation policy {policy.name}" for policy in policies.policies_paging(session, "team", team.id)]
    limited = select(Token.name).join(TokenTeam, TokenTeam.token_id == Token.id).where(TokenTeam.team_id == team.id, Token.revoked_at.is_(None))
    using += [f"the API key {name}" for name in session.scalars(limited.order_by(Token.name))]
    records.refuse_used(team, using)
    set_members(session, team, {}, actor=actor, now=now)
    return records.archive(session, team, actor=actor, now=now)


def find_team(session: Session, name: str) -> Team | None:
    """The living team of a name."""
    return session.scalars(select(Team).where(Team.name == name, Team.archived_at.is_(None))).one_or_none()
