"""Outgoing webhooks in the configuration file."""

from __future__ import annotations

from typing import Any

from app.core.keys import Vault
from app.domain import catalog
from app.domain.configuration import shape
from app.domain.configuration.noun import Hand, Noun, Trail, Values, only
from app.domain.configuration.shape import Field, Reader

_COLUMNS = ("name", "url", "http_method", "trigger_type", "enabled", "data", "headers", "trigger_template", "username", "forward_all", "also_in_debug")
_SECRETS = ("password", "authorization_header")


def _read_integrations(reader: Reader, path: str, value: Any, _trail: Trail) -> Any:
    found = []
    for at, each in reader.sequence(path, value):
        given = reader.mapping(at, each, {"service": shape.reference("services", "service"), "integration": shape.text()})
        if reader.require(at, given, "service", "integration"):
            place = ("integrations", given["service"])
            shape.read_reference(reader, f"{at}.integration", given["integration"], place, "integration")
            found.append((given["service"], given["integration"]))
    return sorted(set(found))


def _show_integrations(value: list[tuple[str, str]]) -> Any:
    return [{"service": service, "integration": integration} for service, integration in value]


def _check(values: Values) -> Values:
    return {**values, **catalog.check_webhook(only(values, *_COLUMNS))}


def _prepare(vault: Vault, changed: Values, _given: Values) -> Values:
    return {**changed, **{name: catalog.seal(vault, changed[name]) for name in _SECRETS if name in changed}}


def _stored(hand: Hand, values: Values) -> Values:
    stored = only(values, *_COLUMNS, *_SECRETS)
    if "team" in values:
        stored["team_id"] = hand.team(values["team"]).id if values["team"] else None
    if "integration_filter" in values:
        stored["integration_filter"] = [hand.integration(*each).public_id for each in values["integration_filter"]]
    return stored


def _create(hand: Hand, _trail: Trail, values: Values) -> None:
    catalog.create_webhook(hand.session, **_stored(hand, values), **hand.by)


def _change(hand: Hand, trail: Trail, values: Values) -> None:
    catalog.update_webhook(hand.session, hand.webhook(*trail), **_stored(hand, values), **hand.by)


def _archive(hand: Hand, trail: Trail) -> None:
    catalog.archive_webhook(hand.session, hand.webhook(*trail), **hand.by)


OUTGOING_WEBHOOKS = Noun(
    word="outgoing webhook",
    section="outgoing_webhooks",
    fields={
        "name": shape.text(needed=True),
        "trigger_type": shape.text(needed=True),
        "url": shape.text(needed=True),
        "http_method": shape.text(needed=True),
        "enabled": shape.yes_or_no(default=True),
        "team": shape.reference("teams", "team"),
        "data": shape.text(nullable=True),
        "headers": shape.text(nullable=True),
        "trigger_template": shape.text(nullable=True),
        "username": shape.text(nullable=True),
        "password": shape.secret(nullable=True),
        "authorization_header": shape.secret(nullable=True),
        "forward_all": shape.yes_or_no(default=True),
        "also_in_debug": shape.yes_or_no(default=False),
        "integration_filter": Field(_read_integrations, default=[], show=_show_integrations),
    },
    order=120,
    check=_check,
    prepare=_prepare,
    create=_create,
    change=_change,
    archive=_archive,
    archive_order=0,
)
