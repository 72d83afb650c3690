"""/api/v1/integrations: connections of sources to services, in OnCall's shape.

OnCall's `type` is our source: every alias of a source is taken, OnCall's own word is answered.  An integration belongs
to a service (`service_id`, ours), and with it to the service's team.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload, selectinload

from app import sources
from app.api import auth, lookups, paging
from app.api.asking import Ask, Field, Filter
from app.api.endpoints import Endpoint
from app.api.errors import BadRequest
from app.api.v1 import integration_shapes
from app.core.errors import Invalid, NotFound
from app.core.types import Source
from app.domain import access, catalog
from app.models import Integration, Service
from app.wiring.runtime import runtime
from app.wiring.transactions import reading, writing

BY_VENDOR = "group"
"""How integrations that are made here group, as OnCall's do: by the group that the vendor names."""
_CHANGEABLE = (
    Field("name"),
    Field("templates", "object", nullable=True, help="Only grouping_key can be set."),
    Field("default_route", "object", nullable=True, help="Its escalation_chain_id is the service's: leave it as it is."),
    Field("team_id", nullable=True, help="The service's team: leave it as it is."),
    Field("service_id", help="Ours: the id, svc_… or UUID of a service; without it the service Default."),
    Field("enabled", "boolean", help="Ours: false refuses everything that is posted to it."),
    Field("rate_limit", "integer", nullable=True, help="Ours: requests a minute; null: the installation's, 0: no limit."),
)
FIELDS = (Field("type", required=True, help="OnCall's word or ours, such as alertmanager."), *_CHANGEABLE)
FILTERS = (
    Filter("name", "The integration of this name."),
    Filter("team_id", "Those of a team's services; null: of services without a team."),
    Filter("service_id", "Those of a service."),
)
_LOAD = (joinedload(Integration.service).joinedload(Service.team), joinedload(Integration.service).joinedload(Service.policy), selectinload(Integration.keys))


@reading
def index(session: Session, ask: Ask) -> dict[str, Any]:
    """The oldest first."""
    wanted = select(Integration.id).join(Service, Service.id == Integration.service_id).where(Integration.archived_at.is_(None))
    if ask.one("name"):
        wanted = wanted.where(Integration.name == ask.one("name"))
    if ask.one("team_id"):
        wanted = wanted.where(lookups.of_team(session, ask.one("team_id")))
    if ask.one("service_id"):
        wanted = wanted.where(Integration.service_id == lookups.service_of(session, "service_id", ask.one("service_id")).id)
    visible = lookups.visible_to(ask.principal)
    if visible is not None:
        wanted = wanted.where(visible)
    page = paging.read(session, ask, Integration, wanted, load=_LOAD, newest_first=False)
    return page.envelope([integration_shapes.shown(integration, ask.now) for integration in page.rows])


@reading
def get(session: Session, ask: Ask, ref: str) -> dict[str, Any]:
    """One integration."""
    integration = _find(session, ref)
    access.require(ask.principal, "integrations:read", integration.service.team_id)
    return integration_shapes.shown(integration, ask.now)


def create(ask: Ask) -> dict[str, Any]:
    """A new integration; its key is made here and shown in `link`."""
    source = _source(ask.body["type"])
    return _look(ask, _create(ask, source, catalog.seal_key(runtime().vault)))


def update(ask: Ask, ref: str) -> dict[str, Any]:
    """Change what is given."""
    return _look(ask, _update(ask, ref))


@writing
def delete(session: Session, ask: Ask, ref: str) -> None:
    """Put it away: its key is unknown from now on."""
    catalog.archive_integration(session, _mine(session, ask, ref), actor=auth.actor(ask.principal), now=ask.now)


@writing
def _create(session: Session, ask: Ask, source: Source, key: catalog.SealedKey) -> str:
    named = ask.body.get("service_id")
    service = lookups.service_of(session, "service_id", named) if named else catalog.default_service(session, now=ask.now)
    access.require(ask.principal, "integrations:write", service.team_id)
    _refuse_what_is_the_services(ask.body, service)
    values: dict[str, Any] = {"group_by": BY_VENDOR, **_values(ask.body, BY_VENDOR)}
    values.setdefault("name", _free_name(session, service, source.title))
    actor = auth.actor(ask.principal)
    integration, _key = catalog.create_integration(session, runtime().vault, service, source=source.name, key=key, actor=actor, now=ask.now, **values)
    return integration.public_id


@writing
def _update(session: Session, ask: Ask, ref: str) -> str:
    integration = _mine(session, ask, ref)
    if "service_id" in ask.body and lookups.service_of(session, "service_id", ask.body["service_id"]).id != integration.service_id:
        raise Invalid("service_id", "An integration stays with its service; make a new one at the other.")
    if "type" in ask.body and ask.body["type"] != integration.source and _source(ask.body["type"]).name != integration.source:
        raise Invalid("type", "The type cannot be changed; make a new integration.")
    _refuse_what_is_the_services(ask.body, integration.service)
    catalog.update_integration(session, integration, actor=auth.actor(ask.principal), now=ask.now, **_values(ask.body, integration.group_by))
    return integration.public_id


@reading
def _look(session: Session, ask: Ask, ref: str) -> dict[str, Any]:
    return integration_shapes.shown(_find(session, ref), ask.now)


def _find(session: Session, ref: str) -> Integration:
    integration = session.scalars(
        select(Integration).where(Integration.public_id == ref.removeprefix("int_"), Integration.archived_at.is_(None)).options(*_LOAD)
    ).one_or_none()
    if integration is None:
        raise NotFound(f"There is no integration {ref}.")
    return integration


def _mine(session: Session, ask: Ask, ref: str) -> Integration:
    integration = _find(session, ref)
    access.require(ask.principal, "integrations:write", integration.service.team_id)
    return integration


def _source(word: str) -> Source:
    if word == "direct_paging":
        raise BadRequest("Direct paging integrations can't be created")
    source = sources.get(word)
    if source is None:
        raise BadRequest("This integration type is deprecated" if word.startswith("legacy_") else "Invalid integration type")
    return source


def _values(body: Mapping[str, Any], present: str) -> dict[str, Any]:
    """The body in the catalog's words; `present` is how the integration groups."""
    values = {name: body[name] for name in ("name", "enabled", "rate_limit") if name in body}
    if "templates" in body:
        values |= _grouping(body["templates"] or {}, present)
    return values


def _grouping(templates: Mapping[str, Any], present: str) -> dict[str, Any]:
    """OnCall's grouping key is our group template; nobody reads the other templates yet, so none is taken."""
    others = sorted(name for name, value in templates.items() if name != "grouping_key" and not integration_shapes.is_empty(value))
    if others:
        raise BadRequest(f"The template {others[0][:100]} cannot be set here; leave it null.")
    if "grouping_key" not in templates:
        return {}
    template = templates["grouping_key"]
    if not isinstance(template, str | None):
        raise BadRequest("Invalid grouping_key template data")
    if template:
        return {"group_by": "template", "group_template": template}
    return {"group_by": BY_VENDOR, "group_template": None} if present == "template" else {}


def _refuse_what_is_the_services(body: Mapping[str, Any], service: Service) -> None:
    """Team and escalation policy belong to the service; saying what they are already is welcome."""
    team_id = service.team.public_id if service.team else None
    if body.get("team_id", team_id) != team_id and body["team_id"] is not None:
        raise Invalid("team_id", f"The integration belongs to the team of its service {service.name}; give the service_id of one of the other team.")
    policy_id = service.policy.public_id if service.policy else None
    wanted = (body.get("default_route") or {}).get("escalation_chain_id")
    if wanted is not None and wanted != policy_id:
        raise Invalid("default_route", f"The escalation policy is the service's; change it at the service {service.name}.")


def _free_name(session: Session, service: Service, title: str) -> str:
    taken = {integration.name for integration in catalog.living_integrations(session, service)}
    return next(name for n in range(1, len(taken) + 2) if (name := title if n == 1 else f"{title} {n}") not in taken)


_ONE = "integrations/<ref>"
ENDPOINTS = (
    Endpoint("GET", "integrations", "integrations:read", index, "List integrations", FILTERS, shape=integration_shapes.SHAPE, paged=True),
    Endpoint("POST", "integrations", "integrations:write", create, "Create an integration", body=FIELDS, shape=integration_shapes.SHAPE, success=201),
    Endpoint("GET", _ONE, "integrations:read", get, "Get an integration", shape=integration_shapes.SHAPE),
    Endpoint("PUT", _ONE, "integrations:write", update, "Change an integration", body=FIELDS, shape=integration_shapes.SHAPE),
    Endpoint("PATCH", _ONE, "integrations:write", update, "Change an integration", body=FIELDS, shape=integration_shapes.SHAPE),
    Endpoint("DELETE", _ONE, "integrations:write", delete, "Delete an integration", success=204),
)
