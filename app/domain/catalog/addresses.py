"""Addresses on channels: checked by the channel's declared fields, its secret ones sealed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app import channels
from app.core.errors import Invalid, InvalidFields
from app.core.keys import Vault
from app.core.text import clean_line
from app.core.types import Channel
from app.domain.catalog.checks import suggestion, unknown

MASK = "****************"
"""Stands for a secret that is there and is not shown."""


@dataclass(frozen=True, slots=True)
class Address:
    """A checked address, ready to be stored: make it before a writing transaction begins."""

    channel: str
    stored: dict[str, str]


def check(channel: str, address: str | Mapping[str, Any], *, shared: bool = False) -> tuple[Channel, dict[str, str]]:
    """The channel and the plain fields of an address; a string is the channel's first field.

    Raises:
        Invalid: no such channel, or a field is missing, unknown or cannot be right; `shared` asks for a destination's.
    """
    kind = _kind(channel, shared)
    given: Mapping[str, Any] = {kind.fields[0].name: address} if isinstance(address, str) else address
    problems = _problems(kind, given)
    if problems:
        raise InvalidFields(problems)
    plain = {field.name: clean_line(str(given.get(field.name) or field.default), 4096) for field in kind.fields}
    plain = {name: value for name, value in plain.items() if value}
    if kind.check is not None:
        try:
            kind.check(plain)
        except Invalid as error:
            raise Invalid(f"address.{error.field}", error.why) from error
    return kind, plain


def prepare(vault: Vault, channel: str, address: str | Mapping[str, Any], *, shared: bool = False) -> Address:
    """Check an address and seal its secrets.

    Raises:
        Invalid: see `check`.
    """
    kind, plain = check(channel, address, shared=shared)
    secret = _secret_fields(kind)
    return Address(kind.name, {name: vault.seal(value) if name in secret else value for name, value in plain.items()})


def opened(vault: Vault, channel: str, stored: Mapping[str, str]) -> dict[str, str]:
    """The plain fields of a stored address, for sending.

    Raises:
        LostKey: a secret does not open.
    """
    secret = _secret_fields(channels.get(channel))
    return {name: vault.open(value) if name in secret else value for name, value in stored.items()}


def masked(channel: str, stored: Mapping[str, str]) -> dict[str, str]:
    """A stored address for people to see; of a channel that is gone everything is masked."""
    kind = channels.get(channel)
    secret = _secret_fields(kind) if kind else set(stored)
    return {name: MASK if name in secret else value for name, value in stored.items()}


def _kind(channel: str, shared: bool) -> Channel:
    kind = channels.get(channel)
    if kind is None:
        raise Invalid("channel", unknown("channel", channel, [each.name for each in channels.all()]))
    if shared and not kind.for_destination:
        raise Invalid("channel", f"{kind.title} reaches one person; a destination needs a shared address.")
    if not shared and not kind.for_person:
        raise Invalid("channel", f"{kind.title} is shared by many; make it a destination.")
    return kind


def _problems(kind: Channel, given: Mapping[str, Any]) -> list[tuple[str, str]]:
    names = [field.name for field in kind.fields]
    problems = [
        (f"address.{name}", f'{kind.title} has no field "{clean_line(str(name), 80)}"' + (suggestion(str(name), names) or f"; it has {', '.join(names)}."))
        for name in given
        if name not in names
    ]
    for field in kind.fields:
        value = given.get(field.name)
        if value is not None and not isinstance(value, str):
            problems.append((f"address.{field.name}", f"The field {field.name} is a text; put it in quotes."))
        elif not value and not field.default and field.required:
            problems.append((f"address.{field.name}", f"{kind.title} needs the field {field.name}: {field.title}."))
    return problems


def _secret_fields(kind: Channel | None) -> set[str]:
    return {field.name for field in kind.fields if field.secret} if kind else set()
