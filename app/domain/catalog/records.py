"""How every change of the catalog is written: the row, its audit entry, the next config_version."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, select, update
from sqlalchemy import inspect as describe
from sqlalchemy.orm import Session

from app.core.errors import Conflict, Invalid
from app.core.types import Actor
from app.domain.catalog import addresses
from app.models import AuditEntry, Base, Meta

NOUNS = {
    "services": "service",
    "integrations": "integration",
    "heartbeat_monitors": "heartbeat",
    "escalation_policies": "escalation policy",
    "destinations": "destination",
    "outgoing_webhooks": "outgoing webhook",
    "users": "user",
    "teams": "team",
    "contact_methods": "contact method",
    "tokens": "token",
}
"""The word for a row of each table."""

_SECRET = frozenset(
    {
        "password_hash",
        "signature_secret",
        "token_hash",
        "key_hash",
        "key_sealed",
        "password",
        "authorization_header",
        "headers",
        "intake_id",
        "verification_hash",
    }
)
"""Columns that the audit says only "set" of."""
_DULL = frozenset({"id", "created_at", "archived_at", "snapshot_id"})
"""Columns that say nothing about what somebody changed."""


_TITLES = {"pagerduty_id": "PagerDuty id", "uuid": "UUID", "email": "address"}
R = TypeVar("R", bound=Base)


def hold(session: Session) -> None:
    """Let nobody else change the catalog until this transaction ends, so that what is checked from now on stays true.

    Whoever changes the catalog locks the one row of meta before any other, so that two never wait for each other.
    """
    if session.info.get("catalog_held_in") is session.get_transaction() is not None:
        return
    with session.no_autoflush:
        session.execute(select(Meta.config_version).where(Meta.id == 1).with_for_update())
    session.info["catalog_held_in"] = session.get_transaction()


def bump(session: Session) -> None:
    """Raise config_version, so that every cache of the catalog is dropped."""
    hold(session)
    with session.no_autoflush:
        session.execute(update(Meta).where(Meta.id == 1).values(config_version=Meta.config_version + 1).execution_options(synchronize_session=False))


def create(session: Session, row: R, *, actor: Actor, now: datetime) -> R:
    """Write a new row."""
    bump(session)
    session.add(row)
    session.flush()
    _audit(session, "created", row, None, {name: value for name, value in picture(row).items() if value is not None}, actor, now)
    return row


def change(session: Session, row: Base, values: Mapping[str, Any], *, actor: Actor, now: datetime, verb: str = "changed") -> bool:
    """Give a row's columns these values; False (and nothing written) when it has them already."""
    different = {name: value for name, value in values.items() if getattr(row, name) != value}
    if not different:
        return False
    bump(session)
    before = picture(row)
    for name, value in different.items():
        setattr(row, name, value)
    after = picture(row)
    shown = [name for name in before if name in different]
    _audit(session, verb, row, {name: before[name] for name in shown}, {name: after[name] for name in shown}, actor, now)
    return True


def note(session: Session, verb: str, row: Base, before: Any, after: Any, *, actor: Actor, now: datetime) -> None:
    """Record a change of what hangs on a row: its steps, routes, members, rules or keys.  Call it before the change is flushed."""
    bump(session)
    _audit(session, verb, row, before, after, actor, now)


def archive(session: Session, row: Base, *, actor: Actor, now: datetime, **values: Any) -> bool:
    """Put a row away: its name is free again, history goes on naming it.  `values` are columns to change along."""
    if getattr(row, "archived_at") is not None:  # noqa: B009 - every table of the catalog but one has it
        return False
    bump(session)
    before = picture(row)
    for name, value in {"archived_at": now, **values}.items():
        setattr(row, name, value)
    _audit(session, "archived", row, before, None, actor, now)
    return True


def refuse_taken(session: Session, model: type[Any], field: str, value: Any, *conditions: ColumnElement[bool], but: Base | None = None) -> None:
    """Refuse a value that another living row has.

    Raises:
        Invalid: it is taken.
    """
    hold(session)
    query = select(model.id).where(getattr(model, field) == value, model.archived_at.is_(None), *conditions)
    if but is not None:
        query = query.where(model.id != getattr(but, "id"))  # noqa: B009 - Base does not declare it
    if session.scalars(query.limit(1)).first() is not None:
        raise Invalid(field, f'There is already {_an(NOUNS[model.__tablename__])} with the {_TITLES.get(field, field)} "{value}".')


def refuse_used(row: Base, users: list[str], advice: str = "") -> None:
    """Refuse to archive what is in use, and name what uses it.

    Raises:
        Conflict: `users` is not empty.
    """
    if not users:
        return
    shown = users if len(users) <= 5 else [*users[:5], f"{len(users) - 5} more"]
    listed = shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
    raise Conflict(f"The {noun_of(row)} {label_of(row)} is in use by {listed}." + (f" {advice}" if advice else ""))


def require_living(session: Session, model: type[R], field: str, row_id: int | None) -> R | None:
    """The living row of an id; None for None.

    Raises:
        Invalid: there is none.
    """
    if row_id is None:
        return None
    hold(session)
    living = select(model).where(getattr(model, "id") == row_id, getattr(model, "archived_at").is_(None))  # noqa: B009 - Base does not declare them
    row = session.scalars(living.execution_options(populate_existing=True)).one_or_none()  # it may have been read before the hold
    if row is None:
        raise Invalid(field, f"There is no such {NOUNS[model.__tablename__]}.")
    return row


def picture(row: Base) -> dict[str, Any]:
    """The row for the audit: readable, without secrets."""
    shown: dict[str, Any] = {}
    for column in describe(type(row)).columns:
        name, value = column.key, getattr(row, column.key)
        if name in _DULL:
            continue
        if name in _SECRET:
            shown[name] = "set" if value else None
        elif name == "address":
            plain = addresses.masked(row.channel, value)  # type: ignore[attr-defined]  # who has an address has a channel
            shown[name] = {part: _origin(text) if "://" in text else text for part, text in plain.items()}
        elif name == "url":
            shown[name] = _origin(value)
        else:
            shown[name] = value.isoformat() if isinstance(value, datetime) else value
    return shown


def noun_of(row: Base) -> str:
    """What kind of thing a row is."""
    return NOUNS[row.__tablename__]


def label_of(row: Base) -> str:
    """What people call this one."""
    return str(getattr(row, "name", None) or getattr(row, "email", ""))


def _audit(session: Session, verb: str, row: Base, before: Any, after: Any, actor: Actor, now: datetime) -> None:
    entry = AuditEntry(
        at=now,
        actor_kind=str(actor.kind),
        actor_id=actor.id,
        actor_label=actor.label,
        verb=verb,
        noun=noun_of(row),
        noun_id=getattr(row, "id"),  # noqa: B009 - Base does not declare it
        noun_label=label_of(row)[:255],
        before=before,
        after=after,
    )
    session.add(entry)
    session.flush()


def _origin(url: str) -> str:
    """Scheme and host: the rest of an address may be a secret."""
    if "{" in url:
        return "a template"
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}/…"


def _an(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeio" else f"a {noun}"
