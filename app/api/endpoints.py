"""The one table of routes: what is registered, checked and documented comes from these rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, jsonify

from app.api import asking, auth
from app.api.asking import Field, Filter
from app.core.errors import NotFound
from app.core.text import clean
from app.wiring.runtime import runtime

Shape = Mapping[str, str]
"""An answer's keys and kinds: string, integer, boolean, datetime, object or list, with a `?` when it may be null."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row: a method and a path, who may ask, what is asked and what is answered."""

    method: str
    path: str
    """Below /api/v1/, with its parts in angle brackets; the slash at the end is optional for clients."""
    verb: str
    """What the asker must be allowed to do; see `domain.access`."""
    view: Callable[..., Any]
    """`view(ask, **path)`: what it returns is the JSON; None is an empty body."""
    summary: str
    filters: tuple[Filter, ...] = ()
    body: tuple[Field, ...] = ()
    shape: Shape | None = None
    paged: bool = False
    """Whether the answer is one page of things of that shape."""
    success: int = 200

    @property
    def name(self) -> str:
        """A name of its own, as get_alert_groups_ref."""
        words = self.path.replace("<", "").replace(">", "").replace("/", " ").split()
        return "_".join((self.method.lower(), *words))

    @property
    def is_partial(self) -> bool:
        """Whether fields that a creation needs may be left out."""
        return self.method in ("PUT", "PATCH")


def add(blueprint: Blueprint, endpoint: Endpoint) -> None:
    """Register one row."""

    def view(**path: str) -> Response:
        principal = auth.identify()
        auth.require(principal, endpoint.verb)
        if any(clean(part) != part for part in path.values()):
            raise NotFound("No id holds such signs.")
        answer = endpoint.view(asking.read(principal, endpoint.body, partial=endpoint.is_partial), **path)
        if endpoint.method != "GET":
            runtime().knock.ring()
        return respond(answer, endpoint.success)

    blueprint.add_url_rule(f"/{endpoint.path}", endpoint.name, view, methods=[endpoint.method], strict_slashes=False, provide_automatic_options=False)


def respond(answer: Any, status: int) -> Response:
    """An answer as JSON, or empty."""
    if answer is None:
        response = Response(status=status)
        del response.headers["Content-Type"]
    else:
        response = jsonify(answer)
        response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    return response
