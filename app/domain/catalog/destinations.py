"""Destinations: shared addresses, such as a room or a mailing list."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy.orm import Session

from app.core.keys import new_public_id
from app.core.types import Actor
from app.domain.catalog import checks, policies, records
from app.domain.catalog.addresses import Address
from app.domain.catalog.checks import Check
from app.models import Destination, Team


class DestinationFields(TypedDict, total=False):
    """All that can be changed of a destination."""

    name: str
    address: Address
    """Made by `addresses.prepare(vault, channel, …, shared=True)`."""
    team_id: int | None


_TABLE: Mapping[str, Check] = {"name": checks.line(), "team_id": checks.row_id}


def check_destination(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they are stored; pure.

    Raises:
        Invalid: a value is wrong.
    """
    return checks.checked(fields, _TABLE)


def create_destination(session: Session, *, name: str, address: Address, actor: Actor, now: datetime, team_id: int | None = None) -> Destination:
    """A new destination.

    Raises:
        Invalid: a value is wrong or taken.
    """
    values = check_destination({"name": name, "team_id": team_id})
    _check_against_others(session, values, None)
    row = Destination(public_id=new_public_id("D"), channel=address.channel, address=address.stored, created_at=now, **values)
    return records.create(session, row, actor=actor, now=now)


def update_destination(session: Session, destination: Destination, *, actor: Actor, now: datetime, **fields: Unpack[DestinationFields]) -> bool:
    """Change a destination; a new address is tried again when the former one was given up.  False when there is nothing to change.

    Raises:
        Invalid: a value is wrong or taken.
    """
    address = fields.pop("address", None)
    values = check_destination(fields)
    _check_against_others(session, values, destination)
    if address is not None:
        values |= {"channel": address.channel, "address": address.stored, "disabled_at": None, "disabled_reason": None}
    return records.change(session, destination, values, actor=actor, now=now)


def archive_destination(session: Session, destination: Destination, *, actor: Actor, now: datetime) -> bool:
    """Put a destination away.

    Raises:
        Conflict: a policy pages it.
    """
    records.hold(session)
    using = policies.policies_paging(session, "destination", destination.id)
    records.refuse_used(destination, [f"the escalation policy {policy.name}" for policy in using])
    return records.archive(session, destination, actor=actor, now=now)


def _check_against_others(session: Session, values: Mapping[str, Any], destination: Destination | None) -> None:
    if "name" in values:
        records.refuse_taken(session, Destination, "name", values["name"], but=destination)
    records.require_living(session, Team, "team_id", values.get("team_id"))
