"""/api/v1/teams: teams in OnCall's shape, to read."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.api import paging
from app.api.asking import Ask, Filter
from app.api.endpoints import Endpoint, Shape
from app.core.errors import NotFound
from app.models import Team
from app.wiring.transactions import reading

SHAPE: Shape = {"id": "string", "grafana_id": "integer?", "name": "string", "email": "string", "avatar_url": "string"}


@reading
def index(session: Session, ask: Ask) -> dict[str, Any]:
    """The oldest first."""
    wanted = select(Team.id).where(Team.archived_at.is_(None))
    if ask.one("name"):
        wanted = wanted.where(Team.name == ask.one("name"))
    page = paging.read(session, ask, Team, wanted, newest_first=False)
    return page.envelope([_shown(team) for team in page.rows])


@reading
def get(session: Session, _ask: Ask, ref: str) -> dict[str, Any]:
    """One team."""
    team = session.scalars(select(Team).where(Team.public_id == ref, Team.archived_at.is_(None))).one_or_none()
    if team is None:
        raise NotFound(f"There is no team {ref}.")
    return _shown(team)


def _shown(team: Team) -> dict[str, Any]:
    """The keys that name things of Grafana's are there and empty."""
    return {"id": team.public_id, "grafana_id": None, "name": team.name, "email": "", "avatar_url": ""}


ENDPOINTS = (
    Endpoint("GET", "teams", "people:read", index, "List teams", (Filter("name", "The team of this name."),), shape=SHAPE, paged=True),
    Endpoint("GET", "teams/<ref>", "people:read", get, "Get a team", shape=SHAPE),
)
