"""Every place where a sealed secret is stored; whether all of them open, and sealing them anew with the present key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.core.errors import LostKey
from app.core.keys import Vault
from app.models import Base, ContactMethod, Delivery, Destination, HeartbeatMonitor, Integration, IntegrationKey, OutgoingWebhook, StoredSetting
from app.models.deliveries import WAITING

COLUMNS: tuple[InstrumentedAttribute[Any], ...] = (
    Integration.signature_secret,
    IntegrationKey.key_sealed,
    HeartbeatMonitor.key_sealed,
    ContactMethod.address,
    Destination.address,
    Delivery.address,
    OutgoingWebhook.password,
    OutgoingWebhook.authorization_header,
    StoredSetting.value,
)
"""An address is a mapping of which only the channel's secret fields are sealed."""
_MARK = "gAAAAA"
"""How every Fernet token begins: version 0x80 and the upper bytes of a time before the year 2106."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One stored value that holds at least one sealed text."""

    column: InstrumentedAttribute[Any]
    row: Any
    """The row's primary key."""
    value: Any

    @property
    def table(self) -> type[Base]:
        """The table that it is in."""
        return cast(type[Base], self.column.class_)

    @property
    def name(self) -> str:
        """Table, column and row, for people."""
        return f"{self.table.__tablename__}.{self.column.key} of {self.row}"


def cells(session: Session) -> Iterator[Cell]:
    """Every sealed value that is stored."""
    for column in COLUMNS:
        key = next(iter(column.class_.__mapper__.primary_key))
        statement = select(key, column).where(column.is_not(None))
        if column.class_ is Delivery:
            statement = statement.where(WAITING)  # the address of what was sent is never opened again
        for row, value in session.execute(statement.execution_options(yield_per=1000)):
            if any(_is_sealed(text) for text in _texts(value)):
                yield Cell(column, row, value)


def lost(found: list[Cell], vault: Vault) -> list[Cell]:
    """The cells that neither SECRET_KEY nor a SECRET_KEY_OLD opens."""
    return [cell for cell in found if not _opens(cell.value, vault)]


def reseal(cell: Cell, vault: Vault) -> Cell:
    """The same cell, sealed with the first key.

    Raises:
        LostKey: no key opens it.
    """
    return Cell(cell.column, cell.row, _resealed(cell.value, vault))


def replace(session: Session, old: Cell, new: Cell) -> bool:
    """Store the new value unless somebody changed the old one meanwhile (and so sealed it anew)."""
    row = session.get(old.table, old.row, with_for_update=True, populate_existing=True)
    if row is None or getattr(row, old.column.key) != old.value:
        return False
    setattr(row, old.column.key, new.value)
    return True


def _texts(value: Any) -> list[str]:
    values = value.values() if isinstance(value, dict) else [value]
    return [text for text in values if isinstance(text, str)]


def _is_sealed(text: str) -> bool:
    return text.startswith(_MARK)


def _opens(value: Any, vault: Vault) -> bool:
    try:
        for text in _texts(value):
            if _is_sealed(text):
                vault.open(text)
    except LostKey:
        return False
    return True


def _resealed(value: Any, vault: Vault) -> Any:
    if isinstance(value, dict):
        return {name: _resealed(part, vault) for name, part in value.items()}
    return vault.reseal(value) if isinstance(value, str) and _is_sealed(value) else value
