"""Where senders put their key, and whose it is.  All places are tried, not only the first that holds something."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from app.core.keys import hash_key, hash_token
from app.core.types import Inbound, Reason, first
from app.domain import access
from app.domain.facts import IntegrationFacts, Principal
from app.intake.doors import Refusal
from app.intake.http import Caller, Rejected, expired
from app.wiring.runtime import runtime

KEY_PARAMETERS = ("token", "integrationKey", "integration_key", "key")
_KEY_HEADERS = ("x-integration-key", "x-api-key", "x-routing-key")
_SCHEMES = ("token token=", "bearer ", "api-key ", "genie-key ", "token ")


def from_authorization(inbound: Inbound) -> Iterator[str]:
    """The credential of the Authorization header, without its scheme."""
    value = inbound.headers.get("authorization", "").strip()
    lower = value.lower()
    for scheme in _SCHEMES:
        if lower.startswith(scheme):
            yield value[len(scheme) :].strip().strip('"')
            return
    if value and not lower.startswith("basic "):
        yield value


def from_headers(inbound: Inbound) -> Iterator[str]:
    """Credentials of the Authorization header and of the headers that carry keys."""
    yield from from_authorization(inbound)
    for name in _KEY_HEADERS:
        if inbound.headers.get(name):
            yield inbound.headers[name].strip()


def from_parameters(parameters: Mapping[str, tuple[str, ...]], names: Iterable[str] = KEY_PARAMETERS) -> Iterator[str]:
    """Credentials among query or form parameters."""
    for name in names:
        value = first(parameters, name).strip()
        if value:
            yield value


def integration_of(candidates: Iterable[str]) -> IntegrationFacts:
    """The integration that one of these keys names.

    Raises:
        Rejected: there is no key, or none that is known and alive.
    """
    tried = ""
    for key in candidates:
        tried = tried or key
        found = _find(key)
        if found is not None:
            return found
    if not tried:
        raise Rejected(Refusal(Reason.NO_KEY, "unauthorized: send the integration key; the integration's page shows where it goes."))
    raise Rejected(Refusal(Reason.UNKNOWN_KEY, "unauthorized: nobody knows this integration key; copy it from the integration's page."), key=tried)


def _find(key: str) -> IntegrationFacts | None:
    key_hash, cache = hash_key(key), runtime().cache
    found = cache.by_key(key_hash)
    if found is not None and expired(found, key_hash) and not cache.is_current(found.config_version):
        found = cache.by_key(key_hash)  # its life may have been prolonged meanwhile
    return None if found is None or expired(found, key_hash) else found


def principal_of(candidates: Iterable[str]) -> Principal | None:
    """The owner of an API key among these, if there is one that has not expired."""
    for token in candidates:
        found = runtime().cache.principal(hash_token(token))
        if found is not None and not access.is_expired(found.expires_at, runtime().now()):
            return found
    return None


def must_be_of(caller: Caller, source_name: str, why: str) -> Caller:
    """Refuse a key of another source than the door's.

    Raises:
        Rejected: with a receipt on the key's owner.
    """
    if caller.integration.source != source_name:
        raise Rejected(Refusal(Reason.WRONG_SOURCE, why), caller.integration)
    return caller
