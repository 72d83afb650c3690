"""The per-process cache of the catalog.  It is exact: accepting checks `config_version` in its own statement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from app.core.clock import Clock
from app.core.errors import NotFound
from app.core.keys import Vault
from app.domain import access, catalog
from app.domain.facts import IntegrationFacts, Principal
from app.wiring import transactions

T = TypeVar("T", IntegrationFacts, Principal)
MAX_ENTRIES = 10_000


@dataclass
class _Generation:
    """What was read at one version of the catalog."""

    version: int
    entries: dict[tuple[str, str | int], Any] = field(default_factory=dict)


class ConfigCache:
    """Facts by key; a look-up that finds nothing is never kept, so a key works from the moment that it exists."""

    def __init__(self, vault: Vault, clock: Clock) -> None:
        """Start empty."""
        self._vault = vault
        self._clock = clock
        self._generation = _Generation(-1)

    def by_key(self, key_hash: str) -> IntegrationFacts | None:
        """The integration that a key names."""
        return self._get("key", key_hash, lambda session: access.integration_by_key(session, self._vault, key_hash))

    def by_intake_id(self, intake_id: str) -> IntegrationFacts | None:
        """The integration of an `integrationId`."""
        return self._get("intake_id", intake_id, lambda session: access.integration_by_intake_id(session, self._vault, intake_id))

    def by_id(self, integration_id: int) -> IntegrationFacts | None:
        """The integration with this row id."""
        return self._get("id", integration_id, lambda session: access.integration_by_id(session, self._vault, integration_id))

    def builtin_of(self, service_ref: str) -> IntegrationFacts | None:
        """The "API" integration of the service of a public id, `svc_…` or UUID, made on first use; None: no such service."""
        found = self._builtin(service_ref)
        if found is not None:
            return found
        now = self._clock.now()
        try:
            transactions.run(lambda session: catalog.builtin_integration(session, self._vault, access.find_service(session, service_ref), now=now))
        except NotFound:
            return None
        return self._builtin(service_ref)

    def _builtin(self, service_ref: str) -> IntegrationFacts | None:
        return self._get("service", service_ref, lambda session: access.builtin_integration_of(session, self._vault, service_ref))

    def principal(self, token_hash: str) -> Principal | None:
        """The owner of an API token."""
        return self._get("token", token_hash, lambda session: access.principal_by_token(session, token_hash))

    def is_current(self, version: int) -> bool:
        """Whether facts of this version still hold; reads one row, and forgets everything when they do not."""
        current = transactions.run(access.config_version, "read")
        if current != version:
            self.drop()
        return current == version

    def drop(self) -> None:
        """Forget everything."""
        self._generation = _Generation(-1)

    def _get(self, kind: str, ref: str | int, load: Callable[[Session], T | None]) -> T | None:
        generation = self._generation
        found: T | None = generation.entries.get((kind, ref))
        if found is not None:
            return found
        loaded = transactions.run(load, "read")
        if loaded is None:
            return None
        if loaded.config_version != generation.version or len(generation.entries) >= MAX_ENTRIES:
            generation = self._generation = _Generation(loaded.config_version)
        generation.entries[(kind, ref)] = loaded
        return loaded
