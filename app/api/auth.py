"""Who is asking: the API token of the Authorization header, raw as OnCall has it, or after `Bearer` or `Token`."""

from __future__ import annotations

from dataclasses import replace

from flask import g, request

from app.core.errors import Unauthenticated
from app.core.keys import hash_token
from app.core.types import Actor, ActorKind
from app.domain import access
from app.domain.facts import Principal
from app.wiring.runtime import runtime

_SCHEMES = ("token token=", "bearer ", "token ")


def identify() -> Principal:
    """The owner of the request's token, kept on `g.principal`.

    Raises:
        Unauthenticated: there is no token, or it is unknown, expired or revoked, or its owner is disabled.
    """
    token = credential(request.headers.get("Authorization", ""))
    found = _living(hash_token(token)) if token else None
    if found is None:
        raise Unauthenticated("Invalid token.")
    g.principal = found
    return found


def credential(header: str) -> str:
    """The token of an Authorization header, without its scheme; empty when there is none."""
    value = header.strip()
    for scheme in _SCHEMES:
        if value.lower().startswith(scheme):
            return value[len(scheme) :].strip().strip('"')
    return value


def require(principal: Principal, verb: str) -> None:
    """Refuse whoever may do `verb` to nothing at all, before anything is looked up.

    Whose thing it is, is asked once the thing is known (`access.require` with its team); so limits to teams wait.

    Raises:
        Forbidden: it says whether the scope or the role is missing.
    """
    access.require(replace(principal, token_team_ids=frozenset()), verb)


def actor(principal: Principal) -> Actor:
    """The asker as history names them."""
    return Actor(ActorKind.TOKEN, principal.name, principal.token_id, principal.user_id)


def _living(token_hash: str) -> Principal | None:
    """The owner as they are now: what the cache holds is only good while the catalog is the one that was read."""
    cache = runtime().cache
    found = cache.principal(token_hash)
    if found is not None and not cache.is_current(found.config_version):
        found = cache.principal(token_hash)
    return None if found is None or access.is_expired(found.expires_at, runtime().now()) else found
