"""Addresses on channels, and destinations, in the configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app import channels
from app.domain import catalog
from app.domain.configuration import shape
from app.domain.configuration.noun import Hand, Noun, Trail, Values, only
from app.domain.configuration.shape import BAD, Field, Reader


def address_fields() -> dict[str, Field]:
    """Of whoever has an address."""
    return {"channel": shape.text(needed=True), "address": Field(_read_address, needed=True, tell=None)}


def check_address(values: Values, *, shared: bool = False) -> Values:
    """The address by the channel's own rules; both must stand in the file together.

    Raises:
        Invalid: it cannot be right.
    """
    if "channel" not in values or "address" not in values:
        return {}
    kind, plain = catalog.check_address(values["channel"], values["address"], shared=shared)
    return {"channel": kind.name, "address": plain}


def show_address(values: Mapping[str, Any], secret: Any) -> Any:
    """The address as the file writes it: a string when it is but the channel's first field; `secret(field)` stands for a secret."""
    kind = channels.get(values["channel"])
    plain: dict[str, Any] = dict(values["address"])
    if kind is None:
        return plain
    hidden = {field.name for field in kind.fields if field.secret}
    shown = {name: secret(name) if name in hidden else value for name, value in plain.items()}
    return shown[kind.fields[0].name] if list(shown) == [kind.fields[0].name] else shown


def _read_address(reader: Reader, path: str, value: Any, _trail: Trail) -> Any:
    if isinstance(value, Mapping) and set(value) != {"env"}:
        read = {str(name): shape.read_text(reader, f"{path}.{name}", each) for name, each in value.items()}
        return BAD if BAD in read.values() else read
    return shape.read_text(reader, path, value)


def _check_destination(values: Values) -> Values:
    return {**values, **catalog.check_destination(only(values, "name")), **check_address(values, shared=True)}


def _prepare_destination(vault: Any, changed: Values, given: Values) -> Values:
    rest = only(changed, "name", "team")
    if not {"channel", "address"} & set(changed):
        return rest
    return {**rest, "address": catalog.prepare_address(vault, given["channel"], given["address"], shared=True)}


def _stored(hand: Hand, values: Values) -> Values:
    stored = only(values, "name", "address")
    if "team" in values:
        stored["team_id"] = hand.team(values["team"]).id if values["team"] else None
    return stored


def _create(hand: Hand, _trail: Trail, values: Values) -> None:
    catalog.create_destination(hand.session, **_stored(hand, values), **hand.by)


def _change(hand: Hand, trail: Trail, values: Values) -> None:
    catalog.update_destination(hand.session, hand.destination(*trail), **_stored(hand, values), **hand.by)


def _archive(hand: Hand, trail: Trail) -> None:
    catalog.archive_destination(hand.session, hand.destination(*trail), **hand.by)


DESTINATIONS = Noun(
    word="destination",
    section="destinations",
    fields={"name": shape.text(needed=True), **address_fields(), "team": shape.reference("teams", "team")},
    order=70,
    check=_check_destination,
    prepare=_prepare_destination,
    create=_create,
    change=_change,
    archive=_archive,
    archive_order=930,
)
