"""Services, integrations, routes and heartbeats in the configuration file."""

from __future__ import annotations

from typing import Any

from app.core.errors import Invalid, InvalidFields
from app.core.keys import Vault, check_integration_key, hash_key
from app.domain import catalog
from app.domain.catalog import RouteSpec, SealedKey
from app.domain.configuration import shape
from app.domain.configuration.noun import Hand, Noun, Trail, Values, only
from app.domain.configuration.shape import LOST, Field, Reader

_SERVICE_COLUMNS = ("name", "description", "severity_urgency", "default_severity", "pagerduty_id", "uuid")
_INTEGRATION_COLUMNS = ("name", "source", "enabled", "templates", "signature_scheme", "require_key", "rate_limit", "group_by", "group_template")
_ROUTE_FIELDS = ("condition", "severity", "group_template")


def _is_one_of(wanted: str, current: Any) -> bool:
    """Whether a key is among those that work, by their hashes."""
    return current is not LOST and hash_key(wanted) in current


def _renamed(error: Invalid, **names: str) -> InvalidFields:
    """The same problems under the file's names."""
    problems = error.problems if isinstance(error, InvalidFields) else [(error.field, error.why)]
    renamed = []
    for field, why in problems:
        first, dot, rest = field.partition(".")
        renamed.append((names.get(first, first) + dot + rest, why))
    return InvalidFields(renamed)


# Services


def _check_service(values: Values) -> Values:
    return {**values, **catalog.check_service(only(values, *_SERVICE_COLUMNS))}


def _stored_service(hand: Hand, values: Values) -> Values:
    stored = only(values, *_SERVICE_COLUMNS)
    if "team" in values:
        stored["team_id"] = hand.team(values["team"]).id if values["team"] else None
    if "escalation_policy" in values:
        stored["policy_id"] = hand.policy(values["escalation_policy"]).id if values["escalation_policy"] else None
    return stored


def _create_service(hand: Hand, _trail: Trail, values: Values) -> None:
    catalog.create_service(hand.session, **_stored_service(hand, values), **hand.by)


def _change_service(hand: Hand, trail: Trail, values: Values) -> None:
    catalog.update_service(hand.session, hand.service(*trail), **_stored_service(hand, values), **hand.by)


def _archive_service(hand: Hand, trail: Trail) -> None:
    catalog.archive_service(hand.session, hand.service(*trail), **hand.by)


# Integrations


def _check_integration(values: Values) -> Values:
    if values.get("key"):
        check_integration_key(values["key"])
    try:
        checked = catalog.check_integration(only(values, *_INTEGRATION_COLUMNS, mapping="options"))
    except Invalid as error:
        raise _renamed(error, options="mapping") from error
    catalog.check_routes([RouteSpec(**only(route, *_ROUTE_FIELDS)) for route in values.get("routes", [])])
    return {**values, **only(checked, *_INTEGRATION_COLUMNS, options="mapping")}


def _prepare_keys(vault: Vault, changed: Values, _given: Values) -> Values:
    prepared = dict(changed)
    if "signature_secret" in changed:
        prepared["signature_secret"] = catalog.seal(vault, changed["signature_secret"])
    if "key" in changed:
        prepared["key"] = catalog.seal_key(vault, changed["key"])
    return {**prepared, "generated_key": catalog.seal_key(vault)}


def _new_key(values: Values) -> SealedKey:
    """The file's key, else one made for it."""
    key: SealedKey = values.get("key") or values["generated_key"]
    return key


def _stored_integration(values: Values) -> Values:
    return only(values, *_INTEGRATION_COLUMNS, "signature_secret", mapping="options")


def _create_integration(hand: Hand, trail: Trail, values: Values) -> None:
    catalog.create_integration(hand.session, hand.vault, hand.service(trail[0]), key=_new_key(values), **_stored_integration(values), **hand.by)


def _change_integration(hand: Hand, trail: Trail, values: Values) -> None:
    integration = hand.integration(*trail)
    if "key" in values:
        catalog.rotate_key(hand.session, hand.vault, integration, key=values["key"], old_valid_until=hand.now, **hand.by)
    catalog.update_integration(hand.session, integration, **_stored_integration(values), **hand.by)


def _archive_integration(hand: Hand, trail: Trail) -> None:
    catalog.archive_integration(hand.session, hand.integration(*trail), **hand.by)


# Routes


def _write_routes(hand: Hand, trail: Trail, values: Values) -> None:
    specs = [
        RouteSpec(
            **only(route, *_ROUTE_FIELDS),
            service_id=hand.service(route["service"]).id if route.get("service") else None,
            policy_id=hand.policy(route["escalation_policy"]).id if route.get("escalation_policy") else None,
        )
        for route in values["routes"]
    ]
    catalog.set_routes(hand.session, hand.integration(*trail), specs, **hand.by)


def _read_routes(reader: Reader, path: str, value: Any, _trail: Trail) -> Any:
    fields = {
        "condition": shape.text(),
        "service": shape.reference("services", "service"),
        "escalation_policy": shape.reference("escalation_policies", "escalation policy"),
        "severity": shape.text(nullable=True),
        "group_template": shape.text(nullable=True),
    }
    read = [reader.mapping(at, each, fields) for at, each in reader.sequence(path, value)]
    return [{name: each for name, each in route.items() if each} for route in read]


# Heartbeats


def _check_heartbeat(values: Values) -> Values:
    if values.get("key"):
        check_integration_key(values["key"])
    try:
        catalog.check_heartbeat(_stored_heartbeat(values))
    except Invalid as error:
        raise _renamed(error, interval_seconds="interval", grace_seconds="grace") from error
    return values


def _stored_heartbeat(values: Values) -> Values:
    return only(values, "name", interval="interval_seconds", grace="grace_seconds")


def _create_heartbeat(hand: Hand, trail: Trail, values: Values) -> None:
    catalog.create_heartbeat(hand.session, hand.vault, hand.integration(*trail[:2]), key=_new_key(values), **_stored_heartbeat(values), **hand.by)


def _change_heartbeat(hand: Hand, trail: Trail, values: Values) -> None:
    monitor = hand.heartbeat(*trail)
    if "key" in values:
        catalog.rekey_heartbeat(hand.session, monitor, values["key"], **hand.by)
    catalog.update_heartbeat(hand.session, monitor, **_stored_heartbeat(values), **hand.by)


def _archive_heartbeat(hand: Hand, trail: Trail) -> None:
    catalog.archive_heartbeat(hand.session, hand.heartbeat(*trail), **hand.by)


HEARTBEATS = Noun(
    word="heartbeat",
    section="heartbeats",
    fields={
        "name": shape.text(needed=True),
        "interval": shape.duration(needed=True),
        "grace": shape.duration(default=0),
        "key": shape.secret(_is_one_of),
    },
    order=105,
    check=_check_heartbeat,
    prepare=_prepare_keys,
    create=_create_heartbeat,
    change=_change_heartbeat,
    archive=_archive_heartbeat,
    archive_order=2,
)
INTEGRATIONS = Noun(
    word="integration",
    section="integrations",
    fields={
        "name": shape.text(needed=True),
        "source": shape.text(needed=True, fixed=True),
        "key": shape.secret(_is_one_of),
        "enabled": shape.yes_or_no(default=True),
        "signature_secret": shape.secret(nullable=True),
        "signature_scheme": shape.text(nullable=True),
        "require_key": shape.yes_or_no(default=False),
        "rate_limit": shape.number(nullable=True),
        "group_by": shape.text(default="alert"),
        "group_template": shape.text(nullable=True),
        "templates": shape.json_object(default={}),
        "mapping": shape.json_object(default={}),
        "routes": Field(_read_routes, default=[], late=True),
    },
    order=100,
    check=_check_integration,
    prepare=_prepare_keys,
    create=_create_integration,
    change=_change_integration,
    archive=_archive_integration,
    late=_write_routes,
    late_order=110,
    archive_order=3,
    children=(HEARTBEATS,),
)
SERVICES = Noun(
    word="service",
    section="services",
    fields={
        "name": shape.text(needed=True),
        "description": shape.text(default=""),
        "team": shape.reference("teams", "team"),
        "escalation_policy": shape.reference("escalation_policies", "escalation policy"),
        "default_severity": shape.text(default="error"),
        "severity_urgency": shape.json_object(default={}),
        "pagerduty_id": shape.text(nullable=True),
        "uuid": shape.text(fixed=True),
    },
    order=90,
    check=_check_service,
    create=_create_service,
    change=_change_service,
    archive=_archive_service,
    archive_order=910,
    children=(INTEGRATIONS,),
)
