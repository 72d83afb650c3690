"""Who stands behind a target: (kind, id, options) become people and shared addresses at a moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models import Destination, Team, TeamMember, User


@dataclass(frozen=True, slots=True)
class OnCall:
    """Those whom a target means now; both empty when it comes to nobody."""

    label: str
    """What to call the target in a sentence."""
    people: tuple[User, ...] = ()
    destinations: tuple[Destination, ...] = ()


class Roster:
    """Who is on call at one moment; whoever asks twice about a target gets the same answer without a second look."""

    def __init__(self, session: Session, *, at: datetime) -> None:
        """Know nobody yet."""
        self._session = session
        self._at = at
        self._known: dict[tuple[Any, ...], OnCall] = {}

    def on_call(self, target: Mapping[str, Any]) -> OnCall:
        """Resolve a target of a policy's snapshot; one that is gone, or of a kind that is not known, comes to nobody."""
        name = (target["kind"], target["id"], str(target.get("who", "")))
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = on_call(self._session, target, at=self._at)
        return found


def on_call(session: Session, target: Mapping[str, Any], *, at: datetime) -> OnCall:
    """Resolve one target."""
    resolve = _KINDS.get(target["kind"])
    return resolve(session, target, at) if resolve else OnCall(f"{target['kind']} {target['id']}")


def _user(session: Session, target: Mapping[str, Any], _at: datetime) -> OnCall:
    user = session.get(User, target["id"])
    if user is None:
        return OnCall(f"user {target['id']}")
    return OnCall(user.name, people=(user,) if _is_active(user) else ())


def _team(session: Session, target: Mapping[str, Any], _at: datetime) -> OnCall:
    """All members, or with `who: lead` only those who lead it."""
    team = session.get(Team, target["id"])
    if team is None or team.archived_at is not None:
        return OnCall(team.name if team else f"team {target['id']}")
    query = select(User).join(TeamMember, TeamMember.user_id == User.id).where(TeamMember.team_id == team.id).order_by(TeamMember.id)
    if target.get("who") == "lead":
        query = query.where(TeamMember.role == "lead")
    return OnCall(team.name, people=tuple(user for user in session.scalars(query) if _is_active(user)))


def _destination(session: Session, target: Mapping[str, Any], _at: datetime) -> OnCall:
    destination = session.get(Destination, target["id"])
    if destination is None:
        return OnCall(f"destination {target['id']}")
    is_usable = destination.archived_at is None and destination.disabled_at is None
    return OnCall(destination.name, destinations=(destination,) if is_usable else ())


def _is_active(user: User) -> bool:
    return user.archived_at is None and user.disabled_at is None


_KINDS: dict[str, Callable[[Session, Mapping[str, Any], datetime], OnCall]] = {"user": _user, "team": _team, "destination": _destination}
