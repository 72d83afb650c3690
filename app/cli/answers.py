"""How commands that change the catalog answer: sentences on stderr, codes that scripts can use."""

from __future__ import annotations

import functools
import getpass
import sys
from collections.abc import Callable
from typing import NoReturn, ParamSpec, TypeVar

import click
from flask import Flask, current_app
from sqlalchemy import inspect

from app.core.errors import InvalidFields, Refused
from app.core.types import Actor, ActorKind
from app.wiring import transactions
from app.wiring.extensions import db
from app.wiring.schema import bring_up_to_date
from app.wiring.transactions import DatabaseAway

REFUSED = 1
"""The file, a value or the change is refused; click itself ends with 2 on wrong use."""
THERE_ARE_CHANGES = 3
"""`flask plan --exit-code` found something to change."""
AWAY = 75
"""The database cannot be reached: try again later (EX_TEMPFAIL)."""

P = ParamSpec("P")
T = TypeVar("T")


def answering(command: Callable[P, T]) -> Callable[P, T]:
    """Make refusals sentences and exit codes instead of tracebacks; on a new installation make the tables first."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            _make_tables()
            return command(*args, **kwargs)
        except InvalidFields as error:
            _end(REFUSED, *(f"{field}: {_as_part(why)}" for field, why in error.problems))
        except Refused as error:
            _end(REFUSED, error.why)
        except DatabaseAway as error:
            _end(AWAY, f"The database cannot be reached: {str(error).partition(chr(10))[0]}")

    return wrapped


def operator() -> Actor:
    """Who typed the command, for the audit."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        name = "somebody"
    return Actor(ActorKind.SYSTEM, f"{name}, at the command line")


def _make_tables() -> None:
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # the proxy's own way, not in its type
    if not transactions.retrying(lambda: inspect(db.engine).has_table("meta")):
        bring_up_to_date(app)


def _as_part(why: str) -> str:
    """A sentence as the second half of a line: `path: this`."""
    plain = why.removesuffix(".") if why.count(". ") == 0 else why
    return plain[:1].lower() + plain[1:] if plain[1:2].islower() or plain[1:2] == " " else plain


def _end(code: int, *lines: str) -> NoReturn:
    for line in lines:
        click.echo(line, err=True)
    sys.exit(code)
