"""What a noun of the configuration file is made of; `people`, `services` and the others fill it in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from app.core.errors import Conflict
from app.core.keys import Vault
from app.core.types import Actor
from app.domain.configuration.shape import Field
from app.models import Base, ContactMethod, Destination, EscalationPolicy, HeartbeatMonitor, Integration, OutgoingWebhook, Service, Team, Token, User

Values = dict[str, Any]
Trail = tuple[str, ...]
"""The keys that lead to a thing: ("Web", "alertmanager")."""
M = TypeVar("M", bound=Base)


@dataclass(frozen=True)
class Entry:
    """A thing as the database has it, in the values of the file."""

    values: Values
    children: Mapping[str, Mapping[str, Entry]] = field(default_factory=dict)
    """Section to key to entry."""
    is_past: bool = False
    """It has run out; export leaves it out."""


@dataclass(frozen=True)
class Hand:
    """What writing needs, and the living rows by the names of the file."""

    session: Session
    vault: Vault
    actor: Actor
    now: datetime

    @property
    def by(self) -> dict[str, Any]:
        """Who writes, and when."""
        return {"actor": self.actor, "now": self.now}

    def user(self, email: str) -> User:
        """By address."""
        return self._one(User, email, User.email == email, User.archived_at.is_(None))

    def team(self, name: str) -> Team:
        """By name."""
        return self._one(Team, name, Team.name == name, Team.archived_at.is_(None))

    def destination(self, name: str) -> Destination:
        """By name."""
        return self._one(Destination, name, Destination.name == name, Destination.archived_at.is_(None))

    def policy(self, name: str) -> EscalationPolicy:
        """By name."""
        return self._one(EscalationPolicy, name, EscalationPolicy.name == name, EscalationPolicy.archived_at.is_(None))

    def service(self, name: str) -> Service:
        """By name."""
        return self._one(Service, name, Service.name == name, Service.archived_at.is_(None))

    def webhook(self, name: str) -> OutgoingWebhook:
        """By name."""
        return self._one(OutgoingWebhook, name, OutgoingWebhook.name == name, OutgoingWebhook.archived_at.is_(None))

    def integration(self, service: str, name: str) -> Integration:
        """By its service's name and its own."""
        own = Integration.service_id == self.service(service).id
        return self._one(Integration, name, own, Integration.name == name, Integration.archived_at.is_(None))

    def heartbeat(self, service: str, integration: str, name: str) -> HeartbeatMonitor:
        """By the names that lead to it."""
        own = HeartbeatMonitor.integration_id == self.integration(service, integration).id
        return self._one(HeartbeatMonitor, name, own, HeartbeatMonitor.name == name, HeartbeatMonitor.archived_at.is_(None))

    def contact_method(self, email: str, name: str) -> ContactMethod:
        """By its user's address and its name."""
        own = ContactMethod.user_id == self.user(email).id
        return self._one(ContactMethod, name, own, ContactMethod.name == name, ContactMethod.archived_at.is_(None))

    def token(self, email: str, name: str) -> Token:
        """By its user's address and its name."""
        return self._one(Token, name, Token.user_id == self.user(email).id, Token.name == name, Token.revoked_at.is_(None))

    def _one(self, model: type[M], name: str, *conditions: ColumnElement[bool]) -> M:
        row = self.session.scalars(select(model).where(*conditions)).one_or_none()
        if row is None:  # the plan was made of another catalog
            raise Conflict(f"There is no {model.__name__} {name} any more; plan again.")
        return row


def _unchanged(_vault: Vault, changed: Values, _given: Values) -> Values:
    return changed


@dataclass(frozen=True)
class Noun:
    """One kind of thing in the file."""

    word: str
    section: str
    fields: Mapping[str, Field]
    order: int
    """When it is written; what others name comes first."""
    check: Callable[[Values], Values]
    """The domain's own checks of the values that are given; raises Invalid.  Gives them back in their stored form."""
    create: Callable[[Hand, Trail, Values], None]
    change: Callable[[Hand, Trail, Values], None]
    archive: Callable[[Hand, Trail], None]
    key: str = "name"
    children: tuple[Noun, ...] = ()
    prepare: Callable[[Vault, Values, Values], Values] = _unchanged
    """(vault, what is to be written, all that the file gives): hashes and seals, before the transaction."""
    late: Callable[[Hand, Trail, Values], None] | None = None
    """Writes the late fields."""
    late_order: int = 0
    archive_order: int = 0


def only(values: Mapping[str, Any], *names: str, **renamed: str) -> Values:
    """These of the values, some under the domain's own name: `only(v, "name", interval="interval_seconds")`."""
    return {name: values[name] for name in names if name in values} | {new: values[old] for old, new in renamed.items() if old in values}
