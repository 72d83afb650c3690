"""Routes: the ordered conditions of an integration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.core.errors import Invalid, InvalidFields
from app.core.keys import new_public_id
from app.core.types import Actor, Severity
from app.domain.catalog import checks, records
from app.models import EscalationPolicy, Integration, Route, Service

MAX_ROUTES = 200


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """One route as it shall be; the first whose condition holds is taken."""

    condition: str = ""
    """A template that renders to true or 1; empty: always."""
    service_id: int | None = None
    """None: the integration's own service."""
    policy_id: int | None = None
    """None: the service's policy."""
    severity: str | None = None
    group_template: str | None = None
    public_id: str | None = None
    """Of the route that it shall be a new version of."""


_TABLE = {
    "condition": checks.template,
    "service_id": checks.row_id,
    "policy_id": checks.row_id,
    "severity": checks.optional(checks.one_of(*Severity)),
    "group_template": checks.optional(checks.template),
    "public_id": checks.optional(checks.line(20)),
}


def check_routes(routes: Sequence[RouteSpec]) -> list[dict[str, Any]]:
    """The routes as they are stored; pure.

    Raises:
        Invalid: a value is wrong.
    """
    if len(routes) > MAX_ROUTES:
        raise Invalid("routes", f"An integration may have {MAX_ROUTES} routes.")
    good, problems = [], []
    for n, route in enumerate(routes):
        try:
            good.append(checks.checked(asdict(route), _TABLE))
        except InvalidFields as error:
            problems += [(f"routes[{n}].{field}", why) for field, why in error.problems]
    if problems:
        raise InvalidFields(problems)
    return good


def set_routes(session: Session, integration: Integration, routes: Sequence[RouteSpec], *, actor: Actor, now: datetime) -> bool:
    """Make these the routes of an integration; False when they are already.

    Raises:
        Invalid: a value is wrong, or names no living service or policy.
    """
    wanted = check_routes(routes)
    for n, values in enumerate(wanted):
        records.require_living(session, Service, f"routes[{n}].service_id", values["service_id"])
        records.require_living(session, EscalationPolicy, f"routes[{n}].policy_id", values["policy_id"])
    present = list(integration.routes)
    before, after = [picture(route) for route in present], [{name: values[name] for name in _PICTURED} for values in wanted]
    if before == after:
        return False
    records.note(session, "routes changed", integration, {"routes": before}, {"routes": after}, actor=actor, now=now)
    by_id = {route.public_id: route for route in present}
    for position, values in enumerate(wanted):
        named = values.pop("public_id")
        kept = by_id.pop(named, None) if named else (by_id.pop(present[position].public_id, None) if position < len(present) else None)
        route = kept or Route(public_id=new_public_id("R"), integration_id=integration.id)
        for name, value in {**values, "position": position}.items():
            setattr(route, name, value)
        session.add(route)
    for route in by_id.values():
        session.delete(route)
    session.flush()
    session.expire(integration, ["routes"])
    return True


_PICTURED = ("condition", "service_id", "policy_id", "severity", "group_template")


def picture(route: Route) -> dict[str, Any]:
    """What a route says."""
    return {name: getattr(route, name) for name in _PICTURED}
