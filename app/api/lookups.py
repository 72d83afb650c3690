"""Look-ups that several nouns share: by public id, by team, and what a token may see."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from app.core.errors import Invalid, NotFound
from app.domain import access
from app.domain.facts import Principal
from app.models import Alert, EscalationPolicy, Incident, Integration, Route, Service, Team, User


def public_ids(
    session: Session, model: type[Alert] | type[Incident] | type[Integration] | type[Route] | type[User], row_ids: Iterable[int | None]
) -> dict[int, str]:
    """Public ids by row id, in one query."""
    wanted = {row_id for row_id in row_ids if row_id is not None}
    if not wanted:
        return {}
    return dict(iter(session.execute(select(model.id, model.public_id).where(model.id.in_(wanted)))))


def living_id(session: Session, model: type[Team] | type[EscalationPolicy], field: str, public_id: str | None) -> int | None:
    """The row id of a living thing; None for null.

    Raises:
        Invalid: there is none with this id.
    """
    if public_id is None:
        return None
    found = session.scalars(select(model.id).where(model.public_id == public_id, model.archived_at.is_(None))).one_or_none()
    if found is None:
        raise Invalid(field, "Object does not exist")
    return found


def service_of(session: Session, field: str, ref: str) -> Service:
    """The living service that a field names by id, `svc_…` or UUID.

    Raises:
        Invalid: there is none.
    """
    try:
        return access.find_service(session, ref)
    except NotFound as error:
        raise Invalid(field, error.why) from error


def of_team(session: Session, team_id: str) -> ColumnElement[bool]:
    """The services of a team, or with `null` those of none.

    Raises:
        Invalid: there is no such team.
    """
    if team_id == "null":
        return Service.team_id.is_(None)
    row_id = session.scalars(select(Team.id).where(Team.public_id == team_id, Team.archived_at.is_(None))).one_or_none()
    if row_id is None:
        raise Invalid("team_id", "Select a valid choice. That choice is not one of the available choices.")
    return Service.team_id == row_id


def visible_to(principal: Principal) -> ColumnElement[bool] | None:
    """The services that lists may show: a token that is limited to teams sees theirs and those of no team (`access.may`); None: all."""
    if not principal.token_team_ids:
        return None
    return or_(Service.team_id.is_(None), Service.team_id.in_(principal.token_team_ids))
